import { isFields } from '../../../api/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import { badRequest, objectNotFound, updateConflict } from '../errors.ts';
import { type ApiObject, type Kind, objectKey } from '../kinds/kind.ts';
import { StoredObject, toStoredText } from '../objects/stored-object.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { type Machine, type ObjectPlace, timeText } from './machine.ts';
import { checkDryRun, invalidOptions } from './request-options.ts';

/** meta/v1 DeleteOptions as the machine uses them. */
export interface DeleteRequest {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly dryRun: boolean;
}

/** What a deletion did: the object is gone, or it stays, marked, until its finalizers or its node agent are done. */
export interface DeleteResult { readonly isGone: boolean; readonly object: StoredObject }

const conflictAttempts = 50;

/** Marks the object as deleting, and removes it when nothing holds it. */
export async function deleteObject(machine: Machine, kind: Kind, place: ObjectPlace, request: DeleteRequest): Promise<DeleteResult> {
  const key = objectKey(kind, place.namespace, place.name);
  for (let attempt = 1; ; attempt += 1) {
    const stored = machine.objects.get(key);
    if (stored === undefined) throw objectNotFound(kind.type, place.name);
    checkPreconditions(kind, stored, request);
    try {
      return await deleteOnce(machine, kind, stored, request);
    } catch (error) {
      if (!isError(error, 'conflict', 'not-found') || attempt === conflictAttempts) throw error;
      if (error.details['currentRevision'] === undefined && error.code === 'conflict') throw error;
    }
  }
}

function checkPreconditions(kind: Kind, stored: StoredObject, { uid, resourceVersion }: DeleteRequest): void {
  const { metadata } = stored.object;
  if (uid !== undefined && uid !== metadata.uid) {
    throw updateConflict(kind.type, metadata.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw updateConflict(kind.type, metadata.name, `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`);
  }
}

async function deleteOnce(machine: Machine, kind: Kind, stored: StoredObject, request: DeleteRequest): Promise<DeleteResult> {
  const object = stored.copy();
  const { metadata } = object;
  setPropagation(metadata, request.propagationPolicy);
  const graceSeconds = graceOf(kind, object, request.gracePeriodSeconds);
  if (metadata.deletionTimestamp === undefined) {
    metadata.deletionTimestamp = timeText(machine.clock.now() + graceSeconds * 1000);
    metadata.deletionGracePeriodSeconds = graceSeconds;
    if (kind.hasGeneration) metadata.generation = (metadata.generation ?? 0) + 1;
  } else if (graceSeconds < (metadata.deletionGracePeriodSeconds ?? 0)) {
    // A deletion may be hurried, never slowed down.
    const startedMs = Date.parse(metadata.deletionTimestamp) - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    metadata.deletionTimestamp = timeText(startedMs + graceSeconds * 1000);
    metadata.deletionGracePeriodSeconds = graceSeconds;
  }
  markTerminating(kind, object);
  if (isRemovable(object)) {
    if (request.dryRun) return { isGone: true, object: stored };
    return { isGone: true, object: await removeObject(machine, stored, object) };
  }
  if (request.dryRun) return { isGone: false, object: new StoredObject({ key: stored.key, value: toStoredText(object), createRevision: stored.createRevision, modRevision: stored.revision }) };
  if (toStoredText(object) === toStoredText(stored.object)) return { isGone: false, object: stored };
  return { isGone: false, object: await machine.objects.put(stored.key, object, stored.revision) };
}

/** A namespace shows that it is going. */
function markTerminating(kind: Kind, object: ApiObject): void {
  if (kind.type.group === '' && kind.type.kind === 'Namespace') object.status = { ...(isFields(object.status) ? object.status : {}), phase: 'Terminating' };
}

/** Foreground and orphan deletion are finalizers that the garbage collector takes away when it has done its part. */
function setPropagation(metadata: ApiObject['metadata'], policy: DeleteRequest['propagationPolicy']): void {
  if (policy === undefined) return;
  const others = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== 'foregroundDeletion' && finalizer !== 'orphan');
  const finalizers = policy === 'Background' ? others : [...others, policy === 'Foreground' ? 'foregroundDeletion' : 'orphan'];
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
}

/** Only a pod on a node that still runs gets time; its agent removes it then with grace 0. */
function graceOf(kind: Kind, object: ApiObject, asked: number | undefined): number {
  if (kind.type.group !== '' || kind.type.kind !== 'Pod') return 0;
  const spec = isFields(object.spec) ? object.spec : {};
  const phase = isFields(object.status) ? object.status['phase'] : undefined;
  const isOnNode = typeof spec['nodeName'] === 'string' && spec['nodeName'] !== '';
  if (!isOnNode || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = spec['terminationGracePeriodSeconds'];
  return Math.max(0, asked ?? (typeof own === 'number' ? own : 30));
}

/** Marked as deleting, and nothing holds it any more. */
export function isRemovable({ metadata, kind, apiVersion, spec }: ApiObject): boolean {
  if (metadata.deletionTimestamp === undefined || (metadata.finalizers?.length ?? 0) > 0 || (metadata.deletionGracePeriodSeconds ?? 0) > 0) return false;
  if (apiVersion !== 'v1' || kind !== 'Namespace') return true;
  const held = isFields(spec) ? spec['finalizers'] : undefined;
  return !Array.isArray(held) || held.length === 0;
}

/** Removes the object from the store; watchers and the caller see `last` as its final state. */
export async function removeObject(machine: Machine, stored: StoredObject, last: ApiObject): Promise<StoredObject> {
  const removed = await machine.objects.delete(stored.key, stored.revision);
  return new StoredObject({ key: stored.key, value: toStoredText(last), createRevision: stored.createRevision, modRevision: removed?.revision ?? stored.revision });
}

/** Reads DeleteOptions from a body and the query; the body wins. */
export function parseDeleteRequest(body: unknown, query: URLSearchParams): DeleteRequest {
  if (body !== undefined && !isFields(body)) throw badRequest('the body of a deletion must be DeleteOptions');
  const options = body ?? {};
  const preconditions = isFields(options['preconditions']) ? options['preconditions'] : {};
  const orphan = options['orphanDependents'] ?? (query.has('orphanDependents') ? query.get('orphanDependents') === 'true' : undefined);
  const grace = options['gracePeriodSeconds'] ?? (query.has('gracePeriodSeconds') ? Number(query.get('gracePeriodSeconds')) : undefined);
  const policy = options['propagationPolicy'] ?? query.get('propagationPolicy') ?? (orphan === undefined ? undefined : orphan === true ? 'Orphan' : 'Background');
  const dryRun = options['dryRun'] ?? query.getAll('dryRun');
  const errors = new FieldErrors();
  const isDryRun = checkDryRun(Array.isArray(dryRun) ? dryRun : [dryRun], errors);
  if (grace !== undefined && (typeof grace !== 'number' || !Number.isInteger(grace))) throw badRequest('gracePeriodSeconds must be an integer');
  if (policy !== undefined && policy !== 'Foreground' && policy !== 'Background' && policy !== 'Orphan') errors.unsupported('propagationPolicy', policy, ['Foreground', 'Background', 'Orphan', 'nil']);
  if (options['propagationPolicy'] !== undefined && options['orphanDependents'] !== undefined) errors.invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set');
  if (errors.places.length > 0) throw invalidOptions('DeleteOptions', errors);
  const { uid, resourceVersion } = preconditions;
  return {
    dryRun: isDryRun,
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(policy === 'Foreground' || policy === 'Background' || policy === 'Orphan' ? { propagationPolicy: policy } : {}),
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
  };
}
