import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { qualifiedNameProblem } from '../validation/names.ts';
import type { ApiObject, Conversion, Strategy } from './kind.ts';

type Core = k8s.Event;
type Newer = k8s.EventsEvent;

const maxFieldLength = 128;
const maxNoteBytes = 1024;

/** Events are in the namespace of what they are about. Those with an eventTime say who reports them and what was done. */
export const eventStrategy: Strategy<k8s.Event> = {
  validate(event, errors) {
    const namespace = event.metadata.namespace ?? '';
    const about = event.involvedObject.namespace ?? '';
    const isNew = event.eventTime !== undefined;
    const hasOwnPlace = namespace === 'default' || namespace === 'kube-system';
    if (about === '' ? !hasOwnPlace : about !== namespace && !isNew) errors.invalid('involvedObject.namespace', about, 'does not match event.namespace');
    if (isNew) validateNewer(event, errors);
  },
};

function validateNewer(event: Core, errors: FieldErrors): void {
  const component = event.reportingComponent ?? '';
  if (component === '') errors.required('reportingComponent');
  const problem = component === '' ? undefined : qualifiedNameProblem(component);
  if (problem !== undefined) errors.invalid('reportingComponent', component, problem);
  for (const field of ['reportingInstance', 'action', 'reason'] as const) {
    const text = event[field] ?? '';
    if (text === '') errors.required(field);
    else if (text.length > maxFieldLength) errors.invalid(field, '', `can have at most ${maxFieldLength} characters`);
  }
  if (Buffer.byteLength(event.message ?? '') > maxNoteBytes) errors.invalid('message', '', `can have at most ${maxNoteBytes} characters`);
}

/** Newer name → the stored one. */
const fieldNames = {
  reportingController: 'reportingComponent',
  regarding: 'involvedObject',
  note: 'message',
  deprecatedSource: 'source',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
  deprecatedCount: 'count',
} as const satisfies Partial<Record<keyof Newer, keyof Core>>;

function renamed(object: ApiObject, names: readonly (readonly [from: string, to: string])[]): ApiObject {
  const result = { ...object };
  for (const [from] of names) delete result[from];
  for (const [from, to] of names) if (object[from] !== undefined) result[to] = object[from];
  return result;
}

const toStoredNames = Object.entries(fieldNames);
const fromStoredNames = toStoredNames.map(([newer, stored]) => [stored, newer] as const);

/** events.k8s.io/v1 as a view of the core group's Event: the same objects under newer names. */
export const eventConversion: Conversion = {
  toStored: (object) => ({ involvedObject: {}, ...renamed(object, toStoredNames), apiVersion: 'v1' }),
  fromStored: (object) => ({ ...renamed(object, fromStoredNames), apiVersion: 'events.k8s.io/v1' }),
  validateCreate(object, errors) {
    const event = object as unknown as Newer;
    if ((event.eventTime ?? null) === null) errors.required('eventTime');
    if (event.type !== 'Normal' && event.type !== 'Warning') errors.invalid('type', '', `has invalid value: ${event.type ?? ''}`);
    if (event.deprecatedFirstTimestamp !== undefined) errors.invalid('firstTimestamp', '', 'needs to be unset');
    if (event.deprecatedLastTimestamp !== undefined) errors.invalid('lastTimestamp', '', 'needs to be unset');
    if ((event.deprecatedCount ?? 0) !== 0) errors.invalid('count', '', 'needs to be unset');
    if (Object.values(event.deprecatedSource ?? {}).some((part) => part !== '')) errors.invalid('source', '', 'needs to be unset');
  },
};

const aboutFields = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'] as const;

/** What field selectors may name, in the core group. */
export const eventFields: Record<string, (event: Core) => string> = {
  ...Object.fromEntries(aboutFields.map((field) => [`involvedObject.${field}`, ({ involvedObject }: Core) => involvedObject[field] ?? ''])),
  reason: ({ reason }) => reason ?? '',
  reportingComponent: ({ reportingComponent }) => reportingComponent ?? '',
  source: ({ source, reportingComponent }) => source?.component ?? reportingComponent ?? '',
  type: ({ type }) => type ?? '',
};

/** The same in events.k8s.io. Selectors look at stored objects. */
export const newerEventFields: Record<string, (event: Newer) => string> = Object.fromEntries(
  [...aboutFields.map((field) => [`regarding.${field}`, `involvedObject.${field}`]), ['reason', 'reason'], ['reportingController', 'reportingComponent'], ['type', 'type']].map(([name = '', stored = '']) => [
    name,
    (event: Newer) => eventFields[stored]?.(event as unknown as Core) ?? '',
  ]),
);
