import type { k8s } from '../../../api/mod.ts';
import { findCondition, toTimestamp, withCondition, withoutCondition } from '../conditions.ts';
import type { Deployment, ReplicaSet } from './observed.ts';

/** Kubernetes' way to say "no deadline". */
const noDeadlineSeconds = 2_147_483_647;

type Conditions = k8s.DeploymentCondition[];

/** What happened to the current ReplicaSet in this pass. */
export type RolloutStep = 'created' | 'found' | 'none';

export interface Progress {
  readonly conditions: Conditions;
  /** When the deadline has to be looked at again. */
  readonly requeueAfterMs?: number;
}

/**
 * The Progressing condition, which `kubectl rollout status` and delivery decide by: True while counts move and once all is done,
 * False with ProgressDeadlineExceeded when nothing moved for progressDeadlineSeconds, Unknown while paused.
 */
export function planProgress(deployment: Deployment, current: ReplicaSet | undefined, currentName: string, step: RolloutStep, next: k8s.DeploymentStatus, nowMs: number): Progress {
  const deadlineSeconds = deployment.spec.progressDeadlineSeconds ?? 600;
  if (deadlineSeconds >= noDeadlineSeconds) return { conditions: withoutCondition(next.conditions, 'Progressing') };
  const before = findCondition(next.conditions, 'Progressing');
  const set = (status: string, reason: string, message: string): Conditions =>
    withCondition(next.conditions, { type: 'Progressing', status, reason, message, lastUpdateTime: toTimestamp(nowMs) }, nowMs);
  const paused = planPause(deployment, before, set);
  if (paused !== undefined) return { conditions: paused };
  if (deployment.spec.paused === true) return { conditions: next.conditions ?? [] };
  if (step === 'created') return watchDeadline(set('True', 'NewReplicaSetCreated', `Created new replica set "${currentName}"`), deadlineSeconds, nowMs);
  const subject = current === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${currentName}"`;
  if (isComplete(deployment, next)) {
    const isKnown = before?.reason === 'NewReplicaSetAvailable' && before.status === 'True';
    return { conditions: isKnown ? (next.conditions ?? []) : set('True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`) };
  }
  if (before?.reason === 'NewReplicaSetAvailable' && next.replicas === next.updatedReplicas) return { conditions: next.conditions ?? [] };
  if (before === undefined && step === 'found') return watchDeadline(set('True', 'FoundNewReplicaSet', `Found new replica set "${currentName}"`), deadlineSeconds, nowMs);
  if (hasProgressed(deployment.status ?? {}, next)) return watchDeadline(set('True', 'ReplicaSetUpdated', `${subject} is progressing.`), deadlineSeconds, nowMs);
  if (before?.reason === 'ProgressDeadlineExceeded') return { conditions: next.conditions ?? [] };
  if (remainingMs(before, deadlineSeconds, nowMs) <= 0) return { conditions: set('False', 'ProgressDeadlineExceeded', `${subject} has timed out progressing.`) };
  return watchDeadline(next.conditions ?? [], deadlineSeconds, nowMs);
}

function planPause({ spec }: Deployment, before: k8s.DeploymentCondition | undefined, set: (status: string, reason: string, message: string) => Conditions): Conditions | undefined {
  // A rollout that ran out of time stays so: pausing is no progress.
  if (before?.reason === 'ProgressDeadlineExceeded') return undefined;
  if (spec.paused === true && before?.reason !== 'DeploymentPaused') return set('Unknown', 'DeploymentPaused', 'Deployment is paused');
  if (spec.paused !== true && before?.reason === 'DeploymentPaused') return set('Unknown', 'DeploymentResumed', 'Deployment is resumed');
  return undefined;
}

/** All replicas are of the current template and available, and no other is left. */
export function isComplete({ spec, metadata }: Deployment, status: k8s.DeploymentStatus): boolean {
  const wanted = spec.replicas ?? 1;
  return status.updatedReplicas === wanted && status.replicas === wanted && status.availableReplicas === wanted && (status.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}

function hasProgressed(before: k8s.DeploymentStatus, next: k8s.DeploymentStatus): boolean {
  const oldOnes = (status: k8s.DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  const grew = (field: 'updatedReplicas' | 'readyReplicas' | 'availableReplicas'): boolean => (next[field] ?? 0) > (before[field] ?? 0);
  return grew('updatedReplicas') || oldOnes(next) < oldOnes(before) || grew('readyReplicas') || grew('availableReplicas');
}

function watchDeadline(conditions: Conditions, deadlineSeconds: number, nowMs: number): Progress {
  const wait = remainingMs(findCondition(conditions, 'Progressing'), deadlineSeconds, nowMs);
  return Number.isFinite(wait) ? { conditions, requeueAfterMs: Math.max(0, wait) + 50 } : { conditions };
}

/** Infinity when there is nothing to measure from. */
function remainingMs(condition: k8s.DeploymentCondition | undefined, deadlineSeconds: number, nowMs: number): number {
  const since = Date.parse(condition?.lastUpdateTime ?? condition?.lastTransitionTime ?? '');
  if (condition === undefined || Number.isNaN(since) || condition.reason === 'NewReplicaSetAvailable') return Number.POSITIVE_INFINITY;
  return since + deadlineSeconds * 1000 - nowMs;
}
