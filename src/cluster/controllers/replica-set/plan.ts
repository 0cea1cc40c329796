import type { k8s, Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import type { Claim } from '../ownership/claim.ts';
import { inDeletionOrder } from '../pods/deletion-order.ts';
import { availableInMs, isActive, isReady } from '../pods/readiness.ts';

type Pod = Stored<k8s.Pod>;

export interface ObservedReplicaSet {
  readonly replicaSet: Stored<k8s.ReplicaSet> & { spec: k8s.ReplicaSetSpec };
  readonly claim: Claim<k8s.Pod>;
  /** Pods that were created and that the cache does not have yet. */
  readonly pendingCreations: number;
  /** uids of pods whose deletion was asked for and that the cache does not show yet. */
  readonly pendingDeletions: ReadonlySet<string>;
  readonly nowMs: number;
}

export type ReplicaSetAction =
  | { type: 'adopt'; pod: Pod }
  | { type: 'release'; pod: Pod }
  | { type: 'create'; count: number }
  | { type: 'delete'; pods: Pod[] };

/** What one pass creates or deletes at most. */
const burstReplicas = 500;

/** How many pods to make or take, and what the status is. Pods to be adopted count already. */
export function planReplicaSet(observed: ObservedReplicaSet): Plan<ReplicaSetAction, k8s.ReplicaSetStatus> {
  const { replicaSet, claim, nowMs } = observed;
  const active = [...claim.owned, ...claim.adopt].filter((pod) => isActive(pod) && !observed.pendingDeletions.has(pod.metadata.uid));
  const minReadySeconds = replicaSet.spec.minReadySeconds ?? 0;
  const waits = active.flatMap((pod) => availableInMs(pod, minReadySeconds, nowMs) ?? []).filter((waitMs) => waitMs > 0);
  return {
    actions: [
      ...claim.adopt.map((pod): ReplicaSetAction => ({ type: 'adopt', pod })),
      ...claim.release.map((pod): ReplicaSetAction => ({ type: 'release', pod })),
      ...planCount(observed, active),
    ],
    status: planStatus(observed, active),
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }),
  };
}

function planCount({ replicaSet, pendingCreations }: ObservedReplicaSet, active: readonly Pod[]): ReplicaSetAction[] {
  if (replicaSet.metadata.deletionTimestamp !== undefined) return [];
  const missing = (replicaSet.spec.replicas ?? 1) - active.length - pendingCreations;
  if (missing > 0) return [{ type: 'create', count: Math.min(missing, burstReplicas) }];
  // Pods on their way into the cache cannot be judged yet; they are looked at when they arrive.
  if (missing < 0 && active.length > 0) return [{ type: 'delete', pods: inDeletionOrder(active).slice(0, Math.min(-missing, burstReplicas)) }];
  return [];
}

function planStatus({ replicaSet, nowMs }: ObservedReplicaSet, active: readonly Pod[]): k8s.ReplicaSetStatus {
  const templateLabels = Object.entries(replicaSet.spec.template?.metadata?.labels ?? {});
  const isFullyLabeled = (pod: Pod): boolean => templateLabels.every(([name, value]) => pod.metadata.labels?.[name] === value);
  const minReadySeconds = replicaSet.spec.minReadySeconds ?? 0;
  return {
    replicas: active.length,
    fullyLabeledReplicas: active.filter(isFullyLabeled).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => availableInMs(pod, minReadySeconds, nowMs) === 0).length,
    observedGeneration: replicaSet.metadata.generation,
    conditions: replicaSet.status?.conditions,
  };
}
