import type { k8s } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { findNewReplicaSet, newReplicaSet, refreshedReplicaSet, resized } from './new-replica-set.ts';
import { byAge, type Deployment, type DeploymentAction, type ObservedDeployment, type ReplicaSet, sizeOf } from './observed.ts';
import { isComplete, planProgress, type RolloutStep } from './progress.ts';
import { isScalingEvent, planScaling } from './proportional.ts';
import { revisionAnnotation, revisionOf } from './revision.ts';
import { planRollingUpdate, type Resize } from './rolling-update.ts';
import { planStatus } from './status.ts';

/** One step of a Deployment. Each step is safe on its own; the changes it makes bring the next one. */
export function planDeployment(observed: ObservedDeployment): Plan<DeploymentAction, k8s.DeploymentStatus> {
  const { deployment, claim, nowMs } = observed;
  const all = [...claim.owned, ...claim.adopt].filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const current = findNewReplicaSet(deployment, all);
  const old = all.filter((replicaSet) => replicaSet !== current);
  const { actions, step } = planRollout(observed, current, old);
  const status = planStatus(deployment, current, old, nowMs);
  const currentName = current?.metadata.name ?? actions.find((action) => action.type === 'create')?.replicaSet.metadata.name ?? '';
  const { conditions, requeueAfterMs } = planProgress(deployment, current, currentName, step, status, nowMs);
  return {
    actions: [
      ...claim.adopt.map((replicaSet): DeploymentAction => ({ type: 'adopt', replicaSet })),
      ...claim.release.map((replicaSet): DeploymentAction => ({ type: 'release', replicaSet })),
      ...actions,
      ...planHistory(deployment, status, old),
    ],
    status: { ...status, conditions },
    requeueAfterMs,
  };
}

interface Rollout { readonly actions: DeploymentAction[]; readonly step: RolloutStep }

function planRollout(observed: ObservedDeployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]): Rollout {
  const { deployment } = observed;
  if (deployment.metadata.deletionTimestamp !== undefined) return { actions: [], step: 'none' };
  const all = current === undefined ? old : [current, ...old];
  if (deployment.spec.paused === true || isScalingEvent(deployment, all)) {
    const refreshed = current === undefined ? [] : refresh(deployment, current, old);
    return { actions: refreshed.length > 0 ? refreshed : toUpdates(deployment, planScaling(deployment, current, old)), step: 'none' };
  }
  if (deployment.spec.strategy?.type === 'Recreate') return planRecreate(observed, current, old);
  if (current === undefined) return create(deployment, old);
  const refreshed = refresh(deployment, current, old);
  return { actions: refreshed.length > 0 ? refreshed : toUpdates(deployment, planRollingUpdate(deployment, current, old)), step: 'found' };
}

/** Recreate: everything old is gone before anything new is made. */
function planRecreate({ deployment, runningReplicaSets }: ObservedDeployment, current: ReplicaSet | undefined, old: readonly ReplicaSet[]): Rollout {
  const active = old.filter((replicaSet) => sizeOf(replicaSet) > 0);
  if (active.length > 0) return { actions: toUpdates(deployment, active.map((replicaSet) => ({ replicaSet, size: 0 }))), step: 'none' };
  if (old.some(({ metadata }) => runningReplicaSets.has(metadata.uid))) return { actions: [], step: 'none' };
  if (current === undefined) return create(deployment, old);
  const refreshed = refresh(deployment, current, old);
  return { actions: refreshed.length > 0 ? refreshed : toUpdates(deployment, [{ replicaSet: current, size: deployment.spec.replicas ?? 1 }]), step: 'found' };
}

function create(deployment: Deployment, old: readonly ReplicaSet[]): Rollout {
  const replicaSet = newReplicaSet(deployment, old);
  return { actions: [{ type: 'create', replicaSet }, ...annotate(deployment, revisionOf(replicaSet))], step: 'created' };
}

/** Brings the annotations of the current ReplicaSet and of the Deployment up to date. */
function refresh(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): DeploymentAction[] {
  const replicaSet = refreshedReplicaSet(deployment, current, old);
  const updates: DeploymentAction[] = replicaSet === undefined ? [] : [{ type: 'update', replicaSet }];
  return [...updates, ...annotate(deployment, revisionOf(replicaSet ?? current))];
}

function annotate(deployment: Deployment, revision: number): DeploymentAction[] {
  const text = String(revision);
  return deployment.metadata.annotations?.[revisionAnnotation] === text ? [] : [{ type: 'annotate', annotations: { [revisionAnnotation]: text } }];
}

function toUpdates(deployment: Deployment, resizes: readonly Resize[]): DeploymentAction[] {
  return resizes.flatMap(({ replicaSet, size }): DeploymentAction[] => {
    const next = resized(deployment, replicaSet, size);
    if (next === undefined) return [];
    return [size === sizeOf(replicaSet) ? { type: 'update', replicaSet: next } : { type: 'update', replicaSet: next, scaled: { from: sizeOf(replicaSet), to: size } }];
  });
}

/** Old ReplicaSets beyond revisionHistoryLimit, once a rollout is complete; those with pods stay. */
function planHistory(deployment: Deployment, status: k8s.DeploymentStatus, old: readonly ReplicaSet[]): DeploymentAction[] {
  if (!isComplete(deployment, status)) return [];
  const idle = old.filter((replicaSet) => sizeOf(replicaSet) === 0 && (replicaSet.status?.replicas ?? 0) === 0 && (replicaSet.status?.observedGeneration ?? 0) >= (replicaSet.metadata.generation ?? 0));
  const surplus = old.length - (deployment.spec.revisionHistoryLimit ?? 10);
  if (surplus <= 0) return [];
  const oldestFirst = idle.toSorted((a, b) => revisionOf(a) - revisionOf(b) || byAge(a, b));
  return oldestFirst.slice(0, surplus).map((replicaSet) => ({ type: 'delete', replicaSet }));
}
