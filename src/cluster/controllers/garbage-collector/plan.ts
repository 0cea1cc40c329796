import type { Plan } from '../../../client/mod.ts';
import { type GraphNode, ownersOf } from './object-graph.ts';

/** waiting: it is being deleted in the foreground and waits for its dependents. unknown: its kind is not served now. */
export type OwnerState = 'present' | 'waiting' | 'absent' | 'unknown';

export interface ObservedObject {
  readonly node: GraphNode;
  /** By owner uid. */
  readonly owners: ReadonlyMap<string, OwnerState>;
  readonly dependents: readonly GraphNode[];
}

export type GarbageAction =
  | { type: 'delete'; node: GraphNode; policy: 'Foreground' | 'Background' | 'Orphan' }
  | { type: 'disown'; node: GraphNode; ownerUids: string[] }
  | { type: 'remove-finalizer'; node: GraphNode; finalizer: string };

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

/** What the ownership of one object asks for (Kubernetes "Garbage Collection"). An object is deleted when no owner is left that wants it. */
export function planGarbage(observed: ObservedObject): Plan<GarbageAction, never> {
  const { node, dependents } = observed;
  const { metadata } = node.object;
  if (metadata.deletionTimestamp === undefined) return { actions: planDependent(observed) };
  if (metadata.finalizers?.includes(orphanFinalizer) === true) {
    return { actions: [...dependents.map((dependent): GarbageAction => ({ type: 'disown', node: dependent, ownerUids: [metadata.uid] })), { type: 'remove-finalizer', node, finalizer: orphanFinalizer }] };
  }
  if (metadata.finalizers?.includes(foregroundFinalizer) === true) return { actions: planForeground(node, dependents) };
  return { actions: [] };
}

function planForeground(node: GraphNode, dependents: readonly GraphNode[]): GarbageAction[] {
  const { uid } = node.object.metadata;
  const isBlocking = ({ object }: GraphNode): boolean => ownersOf(object).some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true);
  if (!dependents.some(isBlocking)) return [{ type: 'remove-finalizer', node, finalizer: foregroundFinalizer }];
  // Each of them looks at its own owners; one that has another owner stays and lets go of this one.
  return [];
}

function planDependent({ node, owners, dependents }: ObservedObject): GarbageAction[] {
  const states = ownersOf(node.object).map(({ uid }) => ({ uid, state: owners.get(uid) ?? 'unknown' }));
  if (states.length === 0 || states.some(({ state }) => state === 'unknown')) return [];
  const gone = states.filter(({ state }) => state !== 'present');
  if (gone.length === 0) return [];
  if (gone.length < states.length) return [{ type: 'disown', node, ownerUids: gone.map(({ uid }) => uid) }];
  const isAwaited = gone.some(({ state }) => state === 'waiting');
  const finalizers = node.object.metadata.finalizers ?? [];
  if (finalizers.includes(orphanFinalizer)) return [{ type: 'delete', node, policy: 'Orphan' }];
  const policy = (isAwaited && dependents.length > 0) || finalizers.includes(foregroundFinalizer) ? 'Foreground' : 'Background';
  return [{ type: 'delete', node, policy }];
}
