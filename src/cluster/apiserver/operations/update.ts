import { isDeepStrictEqual } from 'node:util';
import { isError } from '../../../kernel/mod.ts';
import { badRequest, objectInvalid, objectNotFound, updateConflict } from '../errors.ts';
import { type ApiObject, type Kind, objectKey } from '../kinds/kind.ts';
import { StoredObject, toStoredText } from '../objects/stored-object.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { checkObject } from './check-object.ts';
import { inVersion, toStored } from './convert.ts';
import { storedApiVersion } from './create.ts';
import { decodeObject } from './decode-object.ts';
import { isRemovable, removeObject } from './delete.ts';
import { type Machine, type ObjectPlace, openPrepareContext, type WriteOptions } from './machine.ts';
import { noteOwner } from './managed-fields.ts';

/** Which part of an object a write may change. `all` is for the server's own subresources. */
export type WritePart = 'main' | 'status' | 'all';

/** How often a write without a resourceVersion is made again when another one came between. */
const conflictAttempts = 50;

/** Replaces an object, or its status, with a parsed body (PUT). */
export function replaceObject(machine: Machine, kind: Kind, place: ObjectPlace, body: unknown, part: WritePart, options: WriteOptions): Promise<StoredObject> {
  const object = decodeObject(kind, body, options);
  checkPlace(kind, object, place);
  const { resourceVersion, uid } = object.metadata;
  if (resourceVersion === '' && !kind.allowsUnconditionalUpdate && part !== 'status') {
    const errors = new FieldErrors();
    errors.invalid('metadata.resourceVersion', 0, 'must be specified for an update');
    throw objectInvalid(kind.type, place.name, errors.places);
  }
  return modifyObject(machine, kind, place, () => structuredClone(object), { part, resourceVersion, uid }, options);
}

/** Body and path must mean the same object. */
function checkPlace(kind: Kind, { metadata }: ApiObject, { namespace, name }: ObjectPlace): void {
  if (metadata.name === '') metadata.name = name;
  if (metadata.name !== name) throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (!kind.type.isNamespaced) return;
  if ((metadata.namespace ?? '') === '') metadata.namespace = namespace;
  if (metadata.namespace !== namespace) throw badRequest(`the namespace of the object (${metadata.namespace}) does not match the namespace on the URL (${namespace})`);
}

/** What a write demands of the object it finds. Empty strings demand nothing. */
export interface WriteDemand { readonly part: WritePart; readonly resourceVersion?: string; readonly uid?: string }

/**
 * Reads, lets `modify` make the new object from a copy, validates and writes; again from the start when another write came between,
 * unless a resourceVersion was demanded. Writes nothing when nothing changed.
 */
export async function modifyObject(
  machine: Machine,
  kind: Kind,
  place: ObjectPlace,
  modify: (current: ApiObject) => ApiObject,
  demand: WriteDemand,
  options: WriteOptions,
): Promise<StoredObject> {
  const key = objectKey(kind, place.namespace, place.name);
  for (let attempt = 1; ; attempt += 1) {
    const stored = machine.objects.get(key);
    if (stored === undefined) throw objectNotFound(kind.type, place.name);
    checkDemand(kind, stored, demand);
    const next = modify(inVersion(kind, stored.copy()));
    const wanted = next.metadata.resourceVersion ?? '';
    // A patch may carry a resourceVersion of its own: it is a demand as well.
    if (wanted !== '' && wanted !== String(stored.revision)) throw updateConflict(kind.type, place.name);
    try {
      const { kind: storedKind, object } = toStored(machine, kind, next);
      return await writeChanged(machine, storedKind, stored, object, demand.part, options);
    } catch (error) {
      if (!isError(error, 'conflict', 'not-found') || error.details['currentRevision'] === undefined) throw error;
      if ((demand.resourceVersion ?? '') !== '' || attempt === conflictAttempts) throw updateConflict(kind.type, place.name);
    }
  }
}

function checkDemand(kind: Kind, stored: StoredObject, { resourceVersion = '', uid = '' }: WriteDemand): void {
  const { metadata } = stored.object;
  if (uid !== '' && uid !== metadata.uid) {
    throw updateConflict(kind.type, metadata.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`);
  }
  if (resourceVersion !== '' && resourceVersion !== '0' && resourceVersion !== String(stored.revision)) throw updateConflict(kind.type, metadata.name);
}

async function writeChanged(machine: Machine, kind: Kind, stored: StoredObject, next: ApiObject, part: WritePart, options: WriteOptions): Promise<StoredObject> {
  const old = stored.object;
  const { context, finish } = openPrepareContext(machine);
  try {
    const object = takePart(kind, next, old, part);
    if (part === 'main') kind.strategy.prepareUpdate?.(object, old, context);
    object.apiVersion = storedApiVersion(kind);
    for (const check of machine.admission) check({ kind, object, old, user: options.user, part, warnings: options.warnings, onFinished: (release) => context.onFinished(release) });
    noteOwner(kind, old, object, part, options, context.now);
    if (kind.hasGeneration && part !== 'status' && isSpecChanged(object, old)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    checkObject(kind, object, { old, isUpdateChecked: part !== 'all', problems: context.problems }, options);
    if (isUnchanged(object, old)) return stored;
    if (options.dryRun) return new StoredObject({ key: stored.key, value: toStoredText(object), createRevision: stored.createRevision, modRevision: stored.revision });
    if (isRemovable(object)) return await removeObject(machine, stored, object);
    return await machine.objects.put(stored.key, object, stored.revision);
  } finally {
    finish();
  }
}

/** The new object with everything this write may not touch taken from the old one. */
function takePart(kind: Kind, next: ApiObject, old: ApiObject, part: WritePart): ApiObject {
  const { metadata } = next;
  const kept = old.metadata;
  Object.assign(metadata, { name: kept.name, uid: kept.uid, creationTimestamp: kept.creationTimestamp, resourceVersion: kept.resourceVersion });
  keepManagers(metadata, kept);
  for (const field of ['namespace', 'generation', 'generateName', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if (part === 'all' && field.startsWith('deletion')) continue;
    if (kept[field] === undefined) delete metadata[field];
    else Object.assign(metadata, { [field]: kept[field] });
  }
  if (part === 'all' || !kind.hasStatus) return next;
  if (part === 'main') {
    const { status: _, ...rest } = next;
    return old.status === undefined ? (rest) : ({ ...rest, status: old.status });
  }
  // Status writers of Kubernetes' own kinds may also keep labels and annotations up to date; owners and finalizers stay.
  const { labels, annotations } = kind.isCustom ? kept : metadata;
  const statusMetadata = { ...kept, labels, annotations, managedFields: metadata.managedFields };
  if (metadata.managedFields === undefined) delete statusMetadata.managedFields;
  if (labels === undefined) delete statusMetadata.labels;
  if (annotations === undefined) delete statusMetadata.annotations;
  const { status: _, ...rest } = old;
  return { ...rest, metadata: statusMetadata, ...(next.status === undefined ? {} : { status: next.status }) };
}

/** Clients may rewrite managedFields; leaving them out keeps them, and one empty entry clears them. */
function keepManagers(metadata: ApiObject['metadata'], kept: ApiObject['metadata']): void {
  const given = metadata.managedFields;
  if (given === undefined) {
    if (kept.managedFields !== undefined) metadata.managedFields = kept.managedFields;
  } else if (given.every((entry) => Object.keys(entry).length === 0)) delete metadata.managedFields;
}

function isSpecChanged(object: ApiObject, old: ApiObject): boolean {
  const { metadata: _m, status: _s, apiVersion: _a, ...now } = object;
  const { metadata: _om, status: _os, apiVersion: _oa, ...before } = old;
  return !isDeepStrictEqual(now, before);
}

function isUnchanged(object: ApiObject, old: ApiObject): boolean {
  return isDeepStrictEqual(object, old);
}
