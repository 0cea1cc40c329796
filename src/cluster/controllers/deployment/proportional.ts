import { fencepostsOf } from './fenceposts.ts';
import { byAge, type Deployment, type ReplicaSet, sizeOf, totalSize } from './observed.ts';
import { countAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation } from './revision.ts';
import type { Resize } from './rolling-update.ts';

/** Whether the Deployment was scaled since its ReplicaSets were last sized: then scaling comes before rolling. */
export function isScalingEvent(deployment: Deployment, replicaSets: readonly ReplicaSet[]): boolean {
  const wanted = deployment.spec.replicas ?? 1;
  return replicaSets.some((replicaSet) => {
    const desired = countAnnotation(replicaSet, desiredReplicasAnnotation);
    return sizeOf(replicaSet) > 0 && desired !== undefined && desired !== wanted;
  });
}

/** Sizes for a Deployment that is scaled, or paused, without rolling: in the middle of a rollout every ReplicaSet gets its share. */
export function planScaling(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]): Resize[] {
  const wanted = deployment.spec.replicas ?? 1;
  const all = current === undefined ? [...old] : [current, ...old];
  const only = activeOrLatest(current, old);
  if (only !== undefined) return [{ replicaSet: only, size: wanted }];
  if (current !== undefined && isSaturated(deployment, current)) return old.filter((replicaSet) => sizeOf(replicaSet) > 0).map((replicaSet) => ({ replicaSet, size: 0 }));
  if (deployment.spec.strategy?.type === 'Recreate') return [];
  return share(deployment, all.filter((replicaSet) => sizeOf(replicaSet) > 0));
}

/** The single ReplicaSet with replicas; the newest when none has any; undefined when several have. */
function activeOrLatest(current: ReplicaSet | undefined, old: readonly ReplicaSet[]): ReplicaSet | undefined {
  const all = current === undefined ? old : [current, ...old];
  const active = all.filter((replicaSet) => sizeOf(replicaSet) > 0);
  if (active.length === 0) return current ?? old.toSorted(byAge).at(-1);
  return active.length === 1 ? active[0] : undefined;
}

function isSaturated(deployment: Deployment, replicaSet: ReplicaSet): boolean {
  const wanted = deployment.spec.replicas ?? 1;
  return sizeOf(replicaSet) === wanted && countAnnotation(replicaSet, desiredReplicasAnnotation) === wanted && replicaSet.status?.availableReplicas === wanted;
}

/** Distributes what was added or taken in proportion to the sizes; what rounding leaves goes to the largest (when growing: the newest of them). */
function share(deployment: Deployment, active: readonly ReplicaSet[]): Resize[] {
  const wanted = deployment.spec.replicas ?? 1;
  const allowed = wanted > 0 ? wanted + fencepostsOf(deployment.spec).maxSurge : 0;
  const toAdd = allowed - totalSize(active);
  const order = active.toSorted((a, b) => sizeOf(b) - sizeOf(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)));
  let added = 0;
  const sizes = order.map((replicaSet) => {
    const fraction = fractionOf(deployment, replicaSet, allowed);
    const part = toAdd > 0 ? Math.min(fraction, toAdd - added) : toAdd < 0 ? Math.max(fraction, toAdd - added) : 0;
    added += part;
    return { replicaSet, size: sizeOf(replicaSet) + part };
  });
  return sizes.map((resize, index) => (index === 0 ? { ...resize, size: Math.max(0, resize.size + toAdd - added) } : resize));
}

function fractionOf(deployment: Deployment, replicaSet: ReplicaSet, allowed: number): number {
  if ((deployment.spec.replicas ?? 1) === 0) return -sizeOf(replicaSet);
  const before = countAnnotation(replicaSet, maxReplicasAnnotation) ?? deployment.status?.replicas ?? 0;
  return before === 0 ? 0 : Math.round((sizeOf(replicaSet) * allowed) / before) - sizeOf(replicaSet);
}
