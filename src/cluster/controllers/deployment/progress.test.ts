import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { findCondition } from '../conditions.ts';
import { ago, deploymentOf, replicaSetOf, testNowMs } from '../testing/objects.ts';
import { planProgress, type RolloutStep } from './progress.ts';

interface Case {
  before?: { reason: string; status?: string; secondsAgo: number };
  old?: k8s.DeploymentStatus;
  next: k8s.DeploymentStatus;
  step?: RolloutStep;
  spec?: Partial<k8s.DeploymentSpec>;
}

function progress({ before, old, next, step = 'found', spec }: Case): string {
  const condition = before === undefined ? [] : [{ type: 'Progressing', status: before.status ?? 'True', reason: before.reason, lastUpdateTime: ago(before.secondsAgo), lastTransitionTime: ago(before.secondsAgo) }];
  const deployment = deploymentOf({ replicas: 3, progressDeadlineSeconds: 60, ...spec }, { status: { ...old, conditions: condition } });
  const planned = planProgress(deployment, replicaSetOf({ name: 'rs', size: 3 }), 'rs', step, { observedGeneration: 1, ...next, conditions: condition }, testNowMs);
  const after = findCondition(planned.conditions, 'Progressing');
  const updated = after?.lastUpdateTime === ago(0) ? ' updated' : '';
  return `${after?.status ?? 'none'} ${after?.reason ?? ''}${updated}${planned.requeueAfterMs === undefined ? '' : ` again in ${Math.round(planned.requeueAfterMs / 1000)}s`}`;
}

const done = { replicas: 3, updatedReplicas: 3, availableReplicas: 3, readyReplicas: 3 };
const half = { replicas: 4, updatedReplicas: 2, availableReplicas: 3, readyReplicas: 3 };

test('planProgress() says how a rollout goes', () => {
  const cases: [string, Case, string][] = [
    ['a new ReplicaSet', { next: {}, step: 'created' }, 'True NewReplicaSetCreated updated again in 60s'],
    ['an old one found again', { next: half, old: half }, 'True FoundNewReplicaSet updated again in 60s'],
    ['counts moved', { before: { reason: 'NewReplicaSetCreated', secondsAgo: 50 }, old: { ...half, updatedReplicas: 1 }, next: half }, 'True ReplicaSetUpdated updated again in 60s'],
    ['nothing moved yet', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 50 }, old: half, next: half }, 'True ReplicaSetUpdated again in 10s'],
    ['nothing moved for too long', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 61 }, old: half, next: half }, 'False ProgressDeadlineExceeded updated'],
    ['stays exceeded', { before: { reason: 'ProgressDeadlineExceeded', status: 'False', secondsAgo: 5 }, old: half, next: half }, 'False ProgressDeadlineExceeded'],
    ['moves again after all', { before: { reason: 'ProgressDeadlineExceeded', status: 'False', secondsAgo: 5 }, old: half, next: { ...half, readyReplicas: 4 } }, 'True ReplicaSetUpdated updated again in 60s'],
    ['done', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 5 }, old: half, next: done }, 'True NewReplicaSetAvailable updated'],
    ['done after all', { before: { reason: 'ProgressDeadlineExceeded', status: 'False', secondsAgo: 5 }, old: half, next: done }, 'True NewReplicaSetAvailable updated'],
    ['still done: nothing is written', { before: { reason: 'NewReplicaSetAvailable', secondsAgo: 500 }, old: done, next: done }, 'True NewReplicaSetAvailable'],
    ['a finished rollout that loses a pod has no deadline', { before: { reason: 'NewReplicaSetAvailable', secondsAgo: 500 }, old: done, next: { ...done, availableReplicas: 2 } }, 'True NewReplicaSetAvailable'],
    ['not seen yet is not done', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 5 }, old: done, next: { ...done, observedGeneration: 0 } }, 'True ReplicaSetUpdated again in 55s'],
    ['paused', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 500 }, old: half, next: half, spec: { paused: true } }, 'Unknown DeploymentPaused updated'],
    ['still paused', { before: { reason: 'DeploymentPaused', status: 'Unknown', secondsAgo: 500 }, old: half, next: half, spec: { paused: true } }, 'Unknown DeploymentPaused'],
    ['resumed', { before: { reason: 'DeploymentPaused', status: 'Unknown', secondsAgo: 500 }, old: half, next: half }, 'Unknown DeploymentResumed updated'],
    ['pausing heals nothing', { before: { reason: 'ProgressDeadlineExceeded', status: 'False', secondsAgo: 5 }, old: half, next: half, spec: { paused: true } }, 'False ProgressDeadlineExceeded'],
    ['no deadline, no condition', { before: { reason: 'ReplicaSetUpdated', secondsAgo: 5 }, next: half, spec: { progressDeadlineSeconds: 2_147_483_647 } }, 'none '],
  ];
  for (const [what, given, expected] of cases) assert.equal(progress(given), expected, what);
});
