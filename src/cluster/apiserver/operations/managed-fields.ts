import { type FieldPath, flattenObject, fromFieldsV1, type k8s, type SchemaNode, toFieldsV1 } from '../../../api/mod.ts';
import { type ApiObject, apiVersionOfKind, type Kind } from '../kinds/kind.ts';
import type { WriteOptions } from './machine.ts';

/** Who owns which fields, by which kind of write: one entry of `metadata.managedFields`. */
export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** Empty: the object itself. */
  readonly subresource: string;
  readonly time: string;
  readonly fields: ReadonlySet<FieldPath>;
}

/** More writers by update than this are kept as one. */
const maxUpdateManagers = 10;

/** Who stands for writers that were too many to keep apart. */
const ancientManager = 'ancient-changes';

/** Reads managedFields. Entries that cannot be read are left out. */
export function readManagers(entries: readonly k8s.ManagedFieldsEntry[] | undefined): Manager[] {
  return (entries ?? []).flatMap(({ manager, operation, apiVersion, subresource, time, fieldsType, fieldsV1 }) => {
    if (manager === undefined || (operation !== 'Apply' && operation !== 'Update') || fieldsType !== 'FieldsV1') return [];
    return [{ name: manager, operation, apiVersion: apiVersion ?? '', subresource: subresource ?? '', time: time ?? '', fields: fromFieldsV1(fieldsV1) }];
  });
}

/** Writes managedFields: those of apply first, then by time; managers that own nothing go. */
export function writeManagers(managers: readonly Manager[]): k8s.ManagedFieldsEntry[] | undefined {
  const kept = capped(managers.filter(({ fields }) => fields.size > 0)).toSorted((a, b) => (a.operation === b.operation ? compare(a.time, b.time) || compare(a.name, b.name) : a.operation === 'Apply' ? -1 : 1));
  if (kept.length === 0) return undefined;
  return kept.map(({ name, operation, apiVersion, subresource, time, fields }) => ({
    manager: name,
    operation,
    apiVersion,
    ...(time === '' ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(fields),
    ...(subresource === '' ? {} : { subresource }),
  }));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function capped(managers: readonly Manager[]): Manager[] {
  const updates = managers.filter(({ operation }) => operation === 'Update').toSorted((a, b) => compare(a.time, b.time));
  if (updates.length <= maxUpdateManagers) return [...managers];
  const old = updates.slice(0, updates.length - maxUpdateManagers + 1);
  const fields = new Set(old.flatMap((manager) => [...manager.fields]));
  const last = old.at(-1);
  const merged: Manager[] = last === undefined ? [] : [{ ...last, name: ancientManager, subresource: '', fields }];
  return [...managers.filter((manager) => !old.includes(manager)), ...merged];
}

/** Whether two entries are of the same writer. */
export function isSameManager(a: Omit<Manager, 'fields' | 'time'>, b: Omit<Manager, 'fields' | 'time'>): boolean {
  return a.name === b.name && a.operation === b.operation && a.apiVersion === b.apiVersion && a.subresource === b.subresource;
}

/** The fields that differ between two states of an object. */
export function changedFields(node: SchemaNode, before: ApiObject | undefined, after: ApiObject): { written: Set<FieldPath>; removed: Set<FieldPath> } {
  const old = before === undefined ? new Map<FieldPath, string>() : flattenObject(node, before);
  const now = flattenObject(node, after);
  const written = new Set([...now].filter(([path, value]) => old.get(path) !== value).map(([path]) => path));
  const removed = new Set([...old.keys()].filter((path) => !now.has(path)));
  return { written, removed };
}

/**
 * Notes an ordinary write: its manager owns what it changed, and nobody else does any more.
 * Objects that only the cluster's own parts write are not tracked until someone names a field manager: most objects are never applied.
 */
export function trackUpdate(kind: Kind, old: ApiObject | undefined, object: ApiObject, writer: { name: string; isNamed: boolean; subresource: string }, now: string): void {
  const managers = readManagers(object.metadata.managedFields);
  if (!writer.isNamed && managers.length === 0) return;
  const { written, removed } = changedFields(kind.node, old, object);
  if (written.size === 0 && removed.size === 0) return;
  const self = { name: writer.name, operation: 'Update', apiVersion: apiVersionOfKind(kind), subresource: writer.subresource } as const;
  const others = managers.filter((manager) => !isSameManager(manager, self)).map((manager) => ({ ...manager, fields: without(manager.fields, written, removed) }));
  const own = managers.find((manager) => isSameManager(manager, self))?.fields ?? new Set<FieldPath>();
  const entry: Manager = { ...self, time: now, fields: new Set([...without(own, removed), ...written]) };
  setManagers(object, [...others, entry]);
}

/** Notes who made a write, in the way its options ask for. */
export function noteOwner(kind: Kind, old: ApiObject | undefined, object: ApiObject, part: 'main' | 'status' | 'all', options: WriteOptions, now: string): void {
  if (options.owner !== undefined) return options.owner(object);
  trackUpdate(kind, old, object, { name: options.fieldManager, isNamed: options.isManagerNamed === true, subresource: part === 'status' ? 'status' : '' }, now);
}

/** Puts the managers into the object's metadata. */
export function setManagers(object: ApiObject, managers: readonly Manager[]): void {
  const entries = writeManagers(managers);
  if (entries === undefined) delete object.metadata.managedFields;
  else object.metadata.managedFields = entries;
}

/** The fields of `from` that are in none of the others. */
export function without(from: ReadonlySet<FieldPath>, ...others: readonly ReadonlySet<FieldPath>[]): Set<FieldPath> {
  return new Set([...from].filter((path) => !others.some((other) => other.has(path))));
}
