import { isFields } from '../../../api/mod.ts';
import { badRequest } from '../errors.ts';
import type { Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import type { Machine, ObjectPlace, WriteOptions } from './machine.ts';
import { modifyObject } from './update.ts';

/** Sets `spec.finalizers` (PUT namespaces/x/finalize): the namespace goes when it is being deleted and none is left. */
export function finalizeNamespace(machine: Machine, namespaces: Kind, place: ObjectPlace, body: unknown, options: WriteOptions): Promise<StoredObject> {
  if (!isFields(body)) throw badRequest('the body must be a Namespace');
  const finalizers = isFields(body['spec']) && Array.isArray(body['spec']['finalizers']) ? body['spec']['finalizers'].map(String) : [];
  const metadata = isFields(body['metadata']) ? body['metadata'] : {};
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const demand = { part: 'all', uid: text(metadata['uid']), resourceVersion: text(metadata['resourceVersion']) } as const;
  return modifyObject(machine, namespaces, place, (namespace) => ({ ...namespace, spec: finalizers.length === 0 ? {} : { finalizers } }), demand, options);
}
