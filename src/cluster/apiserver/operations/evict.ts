import { isFields } from '../../../api/mod.ts';
import { badRequest } from '../errors.ts';
import type { Kind } from '../kinds/kind.ts';
import { deleteObject, parseDeleteRequest } from './delete.ts';
import type { Machine, ObjectPlace } from './machine.ts';

/** Deletes a pod in the way `kubectl drain` asks for (POST pods/x/eviction). */
export async function evictPod(machine: Machine, pods: Kind, place: ObjectPlace, body: unknown, query: URLSearchParams): Promise<void> {
  if (!isFields(body)) throw badRequest('the body must be an Eviction');
  const metadata = isFields(body['metadata']) ? body['metadata'] : {};
  if (typeof metadata['name'] === 'string' && metadata['name'] !== '' && metadata['name'] !== place.name) throw badRequest('name in URL does not match name in Eviction object');
  await deleteObject(machine, pods, place, parseDeleteRequest(body['deleteOptions'], query));
}
