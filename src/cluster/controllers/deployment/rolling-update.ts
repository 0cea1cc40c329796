import { fencepostsOf } from './fenceposts.ts';
import { newReplicaSetSize } from './new-replica-set.ts';
import { byAge, type Deployment, type ReplicaSet, sizeOf, totalAvailable, totalSize } from './observed.ts';

export interface Resize { readonly replicaSet: ReplicaSet; readonly size: number }

/** One step of a rolling update: first the new ReplicaSet grows as far as it may, else the old ones shrink as far as availability allows. */
export function planRollingUpdate(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): Resize[] {
  const wanted = deployment.spec.replicas ?? 1;
  const size = sizeOf(current) > wanted ? wanted : newReplicaSetSize(deployment, sizeOf(current), old);
  if (size !== sizeOf(current)) return [{ replicaSet: current, size }];
  return planShrinking(deployment, current, old.filter((replicaSet) => sizeOf(replicaSet) > 0).toSorted(byAge));
}

/**
 * Old replicas that never became available go first, then available ones down to the minimum. What the new ReplicaSet still lacks counts
 * as unavailable, so that the sum of both never drops below the minimum however old the counts are.
 */
function planShrinking(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): Resize[] {
  const minAvailable = (deployment.spec.replicas ?? 1) - fencepostsOf(deployment.spec).maxUnavailable;
  const newUnavailable = sizeOf(current) - (current.status?.availableReplicas ?? 0);
  const budget = totalSize([current, ...old]) - minAvailable - newUnavailable;
  if (budget <= 0) return [];
  const sizes = new Map(old.map((replicaSet) => [replicaSet, sizeOf(replicaSet)]));
  const take = (limit: number, from: (replicaSet: ReplicaSet) => number): number => {
    let taken = 0;
    for (const replicaSet of old) {
      const size = sizes.get(replicaSet) ?? 0;
      const part = Math.max(0, Math.min(limit - taken, size, from(replicaSet)));
      sizes.set(replicaSet, size - part);
      taken += part;
    }
    return taken;
  };
  const unhealthy = take(budget, (replicaSet) => sizeOf(replicaSet) - (replicaSet.status?.availableReplicas ?? 0));
  take(Math.min(budget - unhealthy, totalAvailable([current, ...old]) - minAvailable), (replicaSet) => sizes.get(replicaSet) ?? 0);
  return old.flatMap((replicaSet) => {
    const size = sizes.get(replicaSet) ?? 0;
    return size === sizeOf(replicaSet) ? [] : [{ replicaSet, size }];
  });
}
