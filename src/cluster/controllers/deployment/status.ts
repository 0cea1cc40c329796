import type { k8s } from '../../../api/mod.ts';
import { findCondition, toTimestamp, withCondition, withoutCondition } from '../conditions.ts';
import { fencepostsOf } from './fenceposts.ts';
import { type Deployment, type ReplicaSet, totalAvailable, totalSize } from './observed.ts';

/** The counts of all ReplicaSets and the conditions Available and ReplicaFailure. Progressing is `planProgress`'s. */
export function planStatus(deployment: Deployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[], nowMs: number): k8s.DeploymentStatus {
  const all = current === undefined ? old : [current, ...old];
  const available = totalAvailable(all);
  return {
    observedGeneration: deployment.metadata.generation,
    replicas: sum(all, (status) => status.replicas),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(all, (status) => status.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, totalSize(all) - available),
    collisionCount: deployment.status?.collisionCount,
    conditions: planConditions(deployment, current, available, nowMs),
  };
}

function planConditions(deployment: Deployment, current: ReplicaSet | undefined, available: number, nowMs: number): k8s.DeploymentCondition[] {
  const isAvailable = available >= (deployment.spec.replicas ?? 1) - fencepostsOf(deployment.spec).maxUnavailable;
  const conditions = setIfChanged(
    deployment.status?.conditions,
    isAvailable
      ? { type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', message: 'Deployment has minimum availability.' }
      : { type: 'Available', status: 'False', reason: 'MinimumReplicasUnavailable', message: 'Deployment does not have minimum availability.' },
    nowMs,
  );
  const failure = findCondition(current?.status?.conditions, 'ReplicaFailure');
  if (failure === undefined) return withoutCondition(conditions, 'ReplicaFailure');
  return setIfChanged(conditions, { type: 'ReplicaFailure', status: failure.status, reason: failure.reason, message: failure.message }, nowMs);
}

function setIfChanged(conditions: k8s.DeploymentCondition[] | undefined, condition: k8s.DeploymentCondition, nowMs: number): k8s.DeploymentCondition[] {
  const before = findCondition(conditions, condition.type);
  const isSame = before?.status === condition.status && before.reason === condition.reason && before.message === condition.message;
  return isSame ? (conditions ?? []) : withCondition(conditions, { ...condition, lastUpdateTime: toTimestamp(nowMs) }, nowMs);
}

function sum(replicaSets: readonly ReplicaSet[], count: (status: k8s.ReplicaSetStatus) => number | undefined): number {
  return replicaSets.reduce((total, { status }) => total + ((status === undefined ? undefined : count(status)) ?? 0), 0);
}
