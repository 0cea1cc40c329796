import { type FieldPath, flattenObject, mergeApplied, removeFields, showPath } from '../../../api/mod.ts';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest, updateConflict } from '../errors.ts';
import { type ApiObject, apiVersionOfKind, type Kind, objectKey } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { createObject } from './create.ts';
import { decodeObject, readObject } from './decode-object.ts';
import { kubectlManager, lastAppliedFields, updateLastApplied } from './last-applied.ts';
import { type Machine, type ObjectPlace, timeText, type WriteOptions } from './machine.ts';
import { isSameManager, type Manager, readManagers, setManagers, without } from './managed-fields.ts';
import { invalidOptions } from './request-options.ts';
import { modifyObject, type WritePart } from './update.ts';

/** A server-side apply: the fields one manager wants, as a partial object. */
export interface ApplyRequest {
  readonly config: unknown;
  /** Takes fields over from their managers instead of failing. */
  readonly isForced: boolean;
}

/** What owned the fields of an object that nobody had applied or tracked. */
const beforeFirstApply = 'before-first-apply';

/**
 * Server-side apply (Kubernetes documentation): merges what the manager wants, takes away what it wanted before and does not any more,
 * and fails with the conflicts when a field that would change has another manager. Creates the object when there is none.
 */
export async function applyObject(machine: Machine, kind: Kind, place: ObjectPlace, request: ApplyRequest, part: WritePart, options: WriteOptions): Promise<{ object: StoredObject; isNew: boolean }> {
  checkManager(options);
  if (kind.conversion !== undefined) throw new GantryError('unsupported', `server-side apply needs the stored version of the kind: ${kind.type.group}/${kind.storageVersion}`);
  const config = readConfig(kind, place, request.config, options);
  const fields = new Set(flattenObject(kind.node, onlyPart(kind, config, part)).keys());
  const manager: Manager = { name: options.fieldManager, operation: 'Apply', apiVersion: apiVersionOfKind(kind), subresource: part === 'status' ? 'status' : '', time: timeText(machine.clock.now()), fields };
  if (part === 'main' && machine.objects.get(objectKey(kind, place.namespace, place.name)) === undefined) {
    try {
      const owner = (object: ApiObject): void => setManagers(object, [manager]);
      if ((config.metadata.uid ?? '') !== '') throw updateConflict(kind.type, place.name, `Precondition failed: UID in precondition: ${config.metadata.uid}, UID in object meta: `);
      return { object: await createObject(machine, kind, place.namespace, structuredClone(config), { ...options, owner }), isNew: true };
    } catch (error) {
      // Somebody was quicker: then this is an update.
      if (!isError(error, 'already-exists')) throw error;
    }
  }
  const modify = (current: ApiObject): ApiObject => applied(kind, current, config, manager, part, request.isForced, options);
  const object = await modifyObject(machine, kind, place, modify, { part, uid: config.metadata.uid }, { ...options, owner: () => undefined });
  return { object, isNew: false };
}

function checkManager({ fieldManager, isManagerNamed }: WriteOptions): void {
  if (isManagerNamed === true && fieldManager !== '') return;
  const errors = new FieldErrors();
  errors.required('fieldManager', 'is required for apply patch');
  throw invalidOptions('PatchOptions', errors);
}

function readConfig(kind: Kind, { namespace, name }: ObjectPlace, value: unknown, options: WriteOptions): ApiObject {
  const config = readObject(kind, value, options);
  if (config.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  if (config.metadata.name === '') config.metadata.name = name;
  if (config.metadata.name !== name) throw badRequest(`the name of the object (${config.metadata.name}) does not match the name on the URL (${name})`);
  if (kind.type.isNamespaced) {
    config.metadata.namespace ??= namespace;
    if (config.metadata.namespace !== namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  return config;
}

/** What a write to this part may own: status through its subresource, the rest through the object. */
function onlyPart(kind: Kind, config: ApiObject, part: WritePart): Record<string, unknown> {
  if (!kind.hasStatus) return config;
  const { status, ...rest } = config;
  return part === 'status' ? (status === undefined ? {} : { status }) : rest;
}

function applied(kind: Kind, current: ApiObject, config: ApiObject, manager: Manager, part: WritePart, isForced: boolean, options: WriteOptions): ApiObject {
  const { managedFields, resourceVersion: _, ...metadata } = current.metadata;
  const live = { ...current, metadata } as ApiObject;
  const had = managersOf(kind, live, managedFields, manager.time);
  const before = had.find((other) => isSameManager(other, manager));
  let others = had.filter((other) => !isSameManager(other, manager));
  const wanted = { ...onlyPart(kind, config, part), metadata: wantedMetadata(config) };
  const merged = mergeApplied(kind.node, live, wanted) as ApiObject;
  const conflicts = findConflicts(kind, live, merged, manager.fields, others);
  if (conflicts.length > 0) {
    if (!isForced && !isMigration(kind, live, manager, conflicts)) throw conflictError(conflicts);
    others = others.map((other) => ({ ...other, fields: without(other.fields, ...conflicts.filter(({ manager: lost }) => lost === other).map(({ fields }) => fields)) }));
  }
  const dropped = without(before?.fields ?? new Set(), manager.fields, ...others.map(({ fields }) => fields));
  const pruned = (dropped.size === 0 ? merged : (removeFields(kind.node, merged, dropped) ?? {})) as ApiObject;
  const result = decodeObject(kind, { ...pruned, apiVersion: live.apiVersion, kind: live.kind, metadata: { ...pruned.metadata, name: metadata.name } }, options);
  const isSame = before !== undefined && before.fields.size === manager.fields.size && without(manager.fields, before.fields).size === 0;
  setManagers(result, [...others, isSame ? { ...manager, time: before.time } : manager]);
  if (manager.name === kubectlManager) updateLastApplied(result, config);
  result.metadata.resourceVersion = config.metadata.resourceVersion;
  return result;
}

/** Conflicts only about what kubectl itself had applied on the client's side. */
function isMigration(kind: Kind, live: ApiObject, manager: Manager, conflicts: readonly Conflict[]): boolean {
  if (manager.name !== kubectlManager) return false;
  const own = lastAppliedFields(kind, live);
  return conflicts.every(({ fields }) => [...fields].every((path) => own.has(path)));
}

function wantedMetadata({ metadata }: ApiObject): Record<string, unknown> {
  const { labels, annotations, finalizers, ownerReferences } = metadata;
  return Object.fromEntries(Object.entries({ labels, annotations, finalizers, ownerReferences }).filter(([, value]) => value !== undefined));
}

function managersOf(kind: Kind, live: ApiObject, entries: ApiObject['metadata']['managedFields'], time: string): Manager[] {
  const managers = readManagers(entries);
  if (managers.length > 0) return managers;
  return [{ name: beforeFirstApply, operation: 'Update', apiVersion: apiVersionOfKind(kind), subresource: '', time, fields: new Set(flattenObject(kind.node, live).keys()) }];
}

interface Conflict { readonly manager: Manager; readonly fields: ReadonlySet<FieldPath> }

/** Fields that would get another value although someone else manages them. */
function findConflicts(kind: Kind, live: ApiObject, merged: ApiObject, wanted: ReadonlySet<FieldPath>, others: readonly Manager[]): Conflict[] {
  const before = flattenObject(kind.node, live);
  const after = flattenObject(kind.node, merged);
  const changed = [...wanted].filter((path) => before.has(path) && after.has(path) && before.get(path) !== after.get(path));
  return others.flatMap((manager) => {
    const fields = new Set(changed.filter((path) => manager.fields.has(path)));
    return fields.size === 0 ? [] : [{ manager, fields }];
  });
}

function conflictError(conflicts: readonly Conflict[]): GantryError {
  const places = conflicts.flatMap(({ manager, fields }) => [...fields].map((path) => ({ reason: 'FieldManagerConflict', message: `conflict with ${describe(manager)}`, field: showPath(path) })));
  const lines = conflicts.map(({ manager, fields }) => {
    const list = [...fields].map(showPath);
    return list.length === 1 ? `conflict with ${describe(manager)}: ${list[0] ?? ''}` : `conflicts with ${describe(manager)}:\n${list.map((field) => `- ${field}`).join('\n')}`;
  });
  const count = places.length;
  return new GantryError('conflict', `Apply failed with ${count} conflict${count === 1 ? '' : 's'}: ${lines.join('\n')}`, { places });
}

function describe({ name, apiVersion, subresource, operation, time }: Manager): string {
  const by = subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`;
  return `${JSON.stringify(name)}${by} using ${apiVersion}${operation === 'Update' && time !== '' ? ` at ${time}` : ''}`;
}
