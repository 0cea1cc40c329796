import { applyJsonPatch, applyMergePatch, applyStrategicMergePatch, isFields } from '../../../api/mod.ts';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest, objectInvalid } from '../errors.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { decodeObject } from './decode-object.ts';
import type { Machine, ObjectPlace, WriteOptions } from './machine.ts';
import { modifyObject, type WritePart } from './update.ts';

/** The patch formats by media type. */
export const patchTypes = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
} as const;

export type PatchType = (typeof patchTypes)[keyof typeof patchTypes];

/** Patches an object or its status. */
export function patchObject(machine: Machine, kind: Kind, place: ObjectPlace, type: PatchType, patch: unknown, part: WritePart, options: WriteOptions): Promise<StoredObject> {
  if (type === 'strategic' && kind.isCustom) {
    throw new GantryError('unsupported', 'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml');
  }
  if (type !== 'json' && !isFields(patch)) throw badRequest('the patch must be a JSON object');
  return modifyObject(machine, kind, place, (current) => patched(kind, current, type, patch, options), { part }, options);
}

/** The object a patch makes of the current one. */
export function patched(kind: Kind, current: ApiObject, type: PatchType, patch: unknown, options: WriteOptions): ApiObject {
  const { resourceVersion, ...metadata } = current.metadata;
  // The patch may demand a resourceVersion by naming it; the one that is there demands nothing.
  const target = type === 'json' ? current : { ...current, metadata };
  const result = decodeObject(kind, structuredClone(applyPatch(kind, target, metadata.name, type, patch)), options);
  if (type === 'json' && result.metadata.resourceVersion === resourceVersion) result.metadata.resourceVersion = '';
  if (result.metadata.name !== metadata.name) throw badRequest('the name of the object does not match the name on the URL');
  return result;
}

function applyPatch(kind: Kind, target: unknown, name: string, type: PatchType, patch: unknown): unknown {
  try {
    if (type === 'json') return applyJsonPatch(target, patch);
    return type === 'merge' ? applyMergePatch(target, patch) : applyStrategicMergePatch(kind.node, target, patch);
  } catch (error) {
    if (isError(error, 'invalid') && error.details['reason'] === undefined) throw objectInvalid(kind.type, name, [{ message: error.message, field: 'patch', reason: 'FieldValueInvalid' }]);
    throw error;
  }
}
