import { isDeepStrictEqual } from 'node:util';
import { type KubeObject, refOf, keyOf, type ResourceType, type Stored } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';
import { isError } from '../../kernel/mod.ts';

/**
 * Makes the object's status what `status` says. A no-op when it already is, or when the object is gone. Not guarded by a
 * resourceVersion: each status has one writer, and what it decides is right again with the next pass. `isGuarded` is for statuses
 * that others write too: `conflict` when the object has changed.
 */
export async function writeStatus<T extends KubeObject & { status?: object }>(client: KubeClient, type: ResourceType<T>, object: Stored<T>, status: object, signal: AbortSignal, { isGuarded = false } = {}): Promise<void> {
  const patch = mergePatchOf(object.status ?? {}, status);
  if (patch === undefined) return;
  const { uid, resourceVersion } = object.metadata;
  const metadata = isGuarded ? { uid, resourceVersion } : { uid };
  try {
    await client.patch(type, refOf(keyOf(object)), { type: 'merge', subresource: 'status', body: { metadata, status: patch } }, signal);
  } catch (error) {
    if (!isError(error, 'not-found')) throw error;
  }
}

/** The JSON merge patch (RFC 7396) that turns `before` into `after`, or undefined when they are equal. */
export function mergePatchOf(before: object, after: object): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  const [old, next] = [before as Record<string, unknown>, after as Record<string, unknown>];
  for (const name of Object.keys(old)) if (next[name] === undefined) patch[name] = null;
  for (const [name, value] of Object.entries(next)) {
    if (value === undefined || isDeepStrictEqual(withoutUndefined(value), old[name])) continue;
    patch[name] = isPlainObject(value) && isPlainObject(old[name]) ? mergePatchOf(old[name], value) : value;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([name, inner]) => (inner === undefined ? [] : [[name, withoutUndefined(inner)]])));
}
