import { keyOf, type KubeObject, refOf, type ResourceType, type Stored } from '../../../api/mod.ts';
import type { KubeClient } from '../../../client/mod.ts';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { controllerReference } from './claim.ts';

/** Makes `owner` the controller of an orphan. `conflict` when the owner was deleted or replaced meanwhile: the cache may not know yet. */
export async function adopt<O extends KubeObject, T extends KubeObject>(client: KubeClient, ownerType: ResourceType<O>, owner: Stored<O>, type: ResourceType<T>, orphan: Stored<T>, signal: AbortSignal): Promise<void> {
  const fresh = await client.get(ownerType, refOf(keyOf(owner)), signal);
  if (fresh.metadata.uid !== owner.metadata.uid || fresh.metadata.deletionTimestamp !== undefined) {
    throw new GantryError('conflict', `${ownerType.kind} ${keyOf(owner)} is being deleted and adopts nothing`);
  }
  const body = { metadata: { uid: orphan.metadata.uid, ownerReferences: [controllerReference(ownerType, owner)] } };
  await ignoreGone(client.patch(type, refOf(keyOf(orphan)), { type: 'strategic', body }, signal));
}

/** Takes `owner` out of an object's owners. */
export async function release<T extends KubeObject>(client: KubeClient, owner: Stored<KubeObject>, type: ResourceType<T>, object: Stored<T>, signal: AbortSignal): Promise<void> {
  const body = { metadata: { uid: object.metadata.uid, ownerReferences: [{ $patch: 'delete', uid: owner.metadata.uid }] } };
  await ignoreGone(client.patch(type, refOf(keyOf(object)), { type: 'strategic', body }, signal));
}

async function ignoreGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isError(error, 'not-found')) throw error;
  }
}
