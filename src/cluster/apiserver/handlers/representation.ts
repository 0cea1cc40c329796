import { GantryError } from '../../../kernel/mod.ts';
import type { Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { inVersion } from '../operations/convert.ts';
import { tableColumns, tableRow } from './table.ts';

/** The form an answer takes: the objects themselves, a table for people, or their metadata only. */
export type Form = 'object' | 'table' | 'partial';

/** Chooses among the forms an Accept header asks for, in its order. 406 when none can be given. */
export function negotiateForm(accept: string | undefined): Form {
  if (accept === undefined || accept === '') return 'object';
  for (const clause of accept.split(',')) {
    const [media = '', ...parameters] = clause.split(';').map((part) => part.trim());
    if (media !== 'application/json' && media !== 'application/*' && media !== '*/*' && media !== 'application/yaml') continue;
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
    const isMeta = parameters.includes('g=meta.k8s.io') && parameters.some((parameter) => parameter === 'v=v1' || parameter === 'v=v1beta1');
    if (as === undefined) return 'object';
    if (as === 'Table' && isMeta) return 'table';
    if ((as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') && isMeta) return 'partial';
  }
  throw new GantryError('unsupported', 'only the following media types are accepted: application/json, application/yaml', { details: { reason: 'NotAcceptable' } });
}

/** The JSON text of one object in the version and form asked for. */
export function renderObject(kind: Kind, stored: StoredObject, form: Form, nowMs: number): string {
  if (form === 'object') return isSameVersion(kind) ? stored.text : JSON.stringify(inVersion(kind, stored.object));
  if (form === 'partial') return JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: stored.object.metadata });
  return JSON.stringify(tableOf(kind, [stored], { resourceVersion: stored.object.metadata.resourceVersion }, nowMs, true));
}

/** The JSON text of a list. */
export function renderList(kind: Kind, objects: readonly StoredObject[], metadata: Record<string, unknown>, form: Form, nowMs: number): string {
  if (form === 'table') return JSON.stringify(tableOf(kind, objects, metadata, nowMs, true));
  const isPartial = form === 'partial';
  const head = isPartial ? { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' } : { kind: `${kind.type.kind}List`, apiVersion: apiVersion(kind) };
  const items = objects.map((stored) => renderObject(kind, stored, isPartial ? 'partial' : 'object', nowMs));
  return `${JSON.stringify({ ...head, metadata }).slice(0, -1)},"items":[${items.join(',')}]}`;
}

/** The JSON text of the object part of a watch event. Only the first table of a watch repeats the columns. */
export function renderWatched(kind: Kind, stored: StoredObject, form: Form, nowMs: number, isFirst: boolean): string {
  if (form !== 'table') return renderObject(kind, stored, form, nowMs);
  return JSON.stringify(tableOf(kind, [stored], { resourceVersion: stored.object.metadata.resourceVersion }, nowMs, isFirst));
}

function tableOf(kind: Kind, objects: readonly StoredObject[], metadata: Record<string, unknown>, nowMs: number, hasColumns: boolean): unknown {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: hasColumns ? tableColumns(kind) : [],
    rows: objects.map(({ object }) => tableRow(kind, object, nowMs)),
  };
}

function apiVersion({ type }: Kind): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

function isSameVersion(kind: Kind): boolean {
  return kind.type.version === kind.storageVersion;
}
