import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Release, ReleasePhase, Repository, RunPhase, Stored, WorkflowRun } from '../../api/mod.ts';
import type { Health } from '../health/assess.ts';
import { appliedCondition, liveCondition } from './phases.ts';
import { type DeliveryAction, planDelivery } from './plan.ts';
import { planManualRollback } from './rollback.ts';

const meta = { uid: 'u', resourceVersion: '1', creationTimestamp: '2030-01-01T00:00:00Z', namespace: 'default' };

interface Short { phase?: ReleasePhase; commit?: string; rollbackOf?: string; applied?: boolean; message?: string; wasLive?: boolean; manifests?: Record<string, unknown>[] }

function release(number: number, short: Short = {}): Stored<Release> {
  const conditions = [...(short.applied === true ? [appliedCondition] : []), ...(short.wasLive === true || short.phase === 'Live' ? [liveCondition] : [])];
  return {
    metadata: { ...meta, name: `shop-${number}` },
    spec: { repository: 'shop', commit: short.commit ?? `c${number}`, ref: 'refs/heads/main', number, images: [], manifests: short.manifests ?? [{ kind: 'Service' }], ...(short.rollbackOf === undefined ? {} : { rollbackOf: short.rollbackOf }) },
    status: { ...(short.phase === undefined ? {} : { phase: short.phase }), ...(short.message === undefined ? {} : { message: short.message }), conditions: conditions.map((type) => ({ type, status: 'True', reason: '', message: '', lastTransitionTime: '' })) },
  };
}

function repository(commit: string | undefined, bad: { commit: string; release: string }[] = []): Stored<Repository> {
  return { metadata: { ...meta, name: 'shop' }, spec: { defaultBranch: 'main' }, status: { ...(commit === undefined ? {} : { branches: [{ name: 'other', commit: 'zzz' }, { name: 'main', commit }] }), badCommits: bad.map((entry) => ({ ...entry, reason: 'r', time: 't' })) } };
}

function run(phase: RunPhase, index: number): Stored<WorkflowRun> {
  return { metadata: { ...meta, name: `run-${index}` }, spec: { repository: 'shop', commit: '', ref: '', event: 'push', actor: '', workflowPath: `${index}.yml` }, status: { phase } };
}

/** An action as `type release phase…`. */
function brief(action: DeliveryAction): string {
  switch (action.type) {
    case 'create':
      return `create ${action.commit}`;
    case 'retire':
      return `retire ${action.release.metadata.name} ${action.phase}`;
    case 'fail':
      return `fail ${action.release.metadata.name} ${action.hasOlderVersion ? 'and go back' : 'for good'}`;
    case 'roll-back':
      return `roll-back ${action.failed.metadata.name} to ${action.target.metadata.name}`;
    case 'go-live':
      return `go-live ${action.release.metadata.name}`;
    case 'report-progress':
      return `report ${action.release.metadata.name} ${action.message}`;
    case 'mark-bad':
    case 'forget':
    case 'deploy':
      return `${action.type} ${action.release.metadata.name}`;
  }
}

const failed: Health = { state: 'failed', reason: 'ProgressDeadlineExceeded', deployment: 'shop', message: 'late' };
const progressing: Health = { state: 'progressing', message: '1 of 2' };
const healthy: Health = { state: 'healthy' };

interface Case { name: string; commit?: string; bad?: { commit: string; release: string }[]; runs?: RunPhase[]; releases?: Stored<Release>[]; health?: Health; nothing?: boolean; actions: string[] }

const cases: readonly Case[] = [
  { name: 'an empty repository', actions: [] },
  { name: 'a commit without runs', commit: 'c1', actions: [] },
  { name: 'a commit whose run is not done', commit: 'c1', runs: ['Running'], actions: [] },
  { name: 'a commit with a green and a red run', commit: 'c1', runs: ['Succeeded', 'Failed'], actions: [] },
  { name: 'a green commit', commit: 'c1', runs: ['Succeeded'], actions: ['create c1'] },
  { name: 'a green commit without manifests', commit: 'c1', runs: ['Succeeded'], nothing: true, actions: [] },
  { name: 'a green commit that was marked bad', commit: 'c1', runs: ['Succeeded'], bad: [{ commit: 'c1', release: 'shop-1' }], actions: [] },
  { name: 'a commit that has its release', commit: 'c1', runs: ['Succeeded'], releases: [release(1, { phase: 'Live' })], actions: [] },
  { name: 'a new release', commit: 'c1', releases: [release(1)], actions: ['deploy shop-1'] },
  { name: 'a release whose apply was cut short', releases: [release(1, { phase: 'Deploying' })], actions: ['deploy shop-1'] },
  { name: 'a rollout that goes on', releases: [release(1, { phase: 'Deploying', applied: true })], health: progressing, actions: ['report shop-1 1 of 2'] },
  { name: 'a rollout without news', releases: [release(1, { phase: 'Deploying', applied: true, message: '1 of 2' })], health: progressing, actions: [] },
  { name: 'a rollout that is done', releases: [release(1, { phase: 'Deploying', applied: true })], health: healthy, actions: ['go-live shop-1'] },
  { name: 'a newer commit during a rollout', commit: 'c2', runs: ['Succeeded'], releases: [release(1, { phase: 'Deploying', applied: true, message: '1 of 2' })], health: progressing, actions: ['create c2'] },
  { name: 'two releases on their way', releases: [release(1, { phase: 'Deploying', applied: true }), release(2)], actions: ['retire shop-1 Superseded', 'deploy shop-2'] },
  { name: 'a second live release', releases: [release(1, { phase: 'Live' }), release(2, { phase: 'Live' })], actions: ['retire shop-1 Superseded'] },
  { name: 'a first release that fails', releases: [release(1, { phase: 'Deploying', applied: true })], health: failed, actions: ['fail shop-1 for good'] },
  { name: 'a later release that fails', releases: [release(1, { phase: 'Live' }), release(2, { phase: 'Deploying', applied: true })], health: failed, actions: ['fail shop-2 and go back'] },
  { name: 'a failed release that was just recorded', releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' })], actions: ['mark-bad shop-2', 'roll-back shop-2 to shop-1'] },
  { name: 'a failed release with its rollback on the way', bad: [{ commit: 'c2', release: 'shop-2' }], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' }), release(3, { rollbackOf: 'shop-2', commit: 'c1' })], actions: ['deploy shop-3'] },
  { name: 'a rollback that is done', bad: [{ commit: 'c2', release: 'shop-2' }], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' }), release(3, { phase: 'Live', rollbackOf: 'shop-2' })], actions: ['retire shop-1 Superseded'] },
  { name: 'a rollback that fails', bad: [{ commit: 'c2', release: 'shop-2' }], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' }), release(3, { phase: 'Deploying', applied: true, rollbackOf: 'shop-2' })], health: failed, actions: ['fail shop-3 for good'] },
  { name: 'a rollback that has failed', bad: [{ commit: 'c2', release: 'shop-2' }], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' }), release(3, { phase: 'Failed', rollbackOf: 'shop-2' })], actions: [] },
  { name: 'a fix that comes during a rollback', commit: 'c4', runs: ['Succeeded'], bad: [{ commit: 'c2', release: 'shop-2' }], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'RolledBack' }), release(3, { rollbackOf: 'shop-2', commit: 'c1' })], actions: ['deploy shop-3', 'create c4'] },
  { name: 'a release with mistakes in its manifests', commit: 'c2', runs: ['Succeeded'], releases: [release(1, { phase: 'Live' }), release(2, { phase: 'Failed' })], actions: ['mark-bad shop-2'] },
  { name: 'a live release that was taken back by hand', releases: [release(1, { phase: 'Superseded' }), release(2, { phase: 'Live' }), release(3, { phase: 'Live', rollbackOf: 'shop-2' })], actions: ['retire shop-2 RolledBack'] },
  { name: 'a release that was taken back by hand, afterwards', commit: 'c2', runs: ['Succeeded'], releases: [release(1, { phase: 'Superseded' }), release(2, { phase: 'RolledBack' }), release(3, { phase: 'Live', rollbackOf: 'shop-2' })], actions: ['mark-bad shop-2'] },
  { name: 'more releases than are kept', releases: [...Array.from({ length: 21 }, (_, index) => release(index + 1, { phase: 'Superseded' })), release(22, { phase: 'Live' })], actions: ['forget shop-1', 'forget shop-2'] },
  { name: 'a live release older than what is kept', releases: [release(1, { phase: 'Live' }), ...Array.from({ length: 21 }, (_, index) => release(index + 2, { phase: 'Superseded' }))], actions: ['forget shop-2'] },
];

for (const { name, commit, bad, runs, releases, health, nothing, actions } of cases) {
  test(`planDelivery() of ${name}`, () => {
    const view = { repository: repository(commit, bad), runs: (runs ?? []).map(run), releases: releases ?? [], health, hasNothingToDeliver: nothing === true };
    assert.deepEqual(planDelivery(view).actions.map(brief), actions);
    // Nothing depends on the order in which the API lists.
    assert.deepEqual(planDelivery({ ...view, releases: view.releases.toReversed() }).actions.map(brief), actions);
  });
}

test('planDelivery() goes by the last run of each workflow', () => {
  const at = (second: number, phase: RunPhase, workflowPath?: string): Stored<WorkflowRun> => ({
    metadata: { ...meta, name: `run-${second}`, creationTimestamp: `2030-01-01T00:00:0${second}Z` },
    spec: { repository: 'shop', commit: 'c1', ref: 'refs/heads/main', event: 'push', actor: 'dev', ...(workflowPath === undefined ? {} : { workflowPath }) },
    status: { phase },
  });
  const plan = (...runs: Stored<WorkflowRun>[]): string[] => planDelivery({ repository: repository('c1'), runs, releases: [], health: undefined, hasNothingToDeliver: false }).actions.map(brief);
  assert.deepEqual(plan(at(1, 'Failed'), at(2, 'Succeeded')), ['create c1']);
  assert.deepEqual(plan(at(2, 'Failed'), at(1, 'Succeeded')), []);
  assert.deepEqual(plan(at(1, 'Failed', 'a.yml'), at(2, 'Succeeded', 'b.yml')), []);
  assert.deepEqual(plan(at(3, 'Succeeded', 'a.yml'), at(1, 'Cancelled', 'a.yml'), at(2, 'Succeeded', 'b.yml')), ['create c1']);
});

test('planDelivery() looks again at a rollout that goes on', () => {
  const view = { repository: repository(undefined), runs: [], releases: [release(1, { phase: 'Deploying', applied: true })], hasNothingToDeliver: false };
  assert.equal(planDelivery({ ...view, health: progressing }).requeueAfterMs, 1000);
  assert.equal(planDelivery({ ...view, health: healthy }).requeueAfterMs, undefined);
});

const history = [
  release(1, { phase: 'Superseded', wasLive: true }),
  release(2, { phase: 'Superseded', wasLive: true }),
  release(3, { phase: 'Superseded' }),
  release(4, { phase: 'RolledBack' }),
  release(5, { phase: 'Live', commit: 'c2', rollbackOf: 'shop-4' }),
];

test('planManualRollback() goes back to what served before, not to what failed or serves now', () => {
  const planned = planManualRollback(history, undefined);
  assert.deepEqual(planned.spec, { repository: 'shop', commit: 'c1', ref: 'refs/heads/main', number: 6, images: [], manifests: [{ kind: 'Service' }], rollbackOf: 'shop-5' });
  assert.equal(planned.metadata?.name, 'shop-6');
});

test('planManualRollback() goes to the release that is asked for', () => {
  assert.equal(planManualRollback(history, 2).spec?.commit, 'c2');
  assert.throws(() => planManualRollback(history, 9), { code: 'not-found', message: 'there is no release 9' });
  assert.throws(() => planManualRollback(history, 5), { code: 'precondition-failed', message: 'release 5 is live already' });
  assert.throws(() => planManualRollback([release(1, { phase: 'Failed', manifests: [], message: 'deploy/a.yaml:1: bad' }), release(2, { phase: 'Live' })], 1), { code: 'precondition-failed', message: /bad/ });
  assert.throws(() => planManualRollback([release(1, { phase: 'Live' })], undefined), { code: 'not-found' });
  assert.throws(() => planManualRollback([], undefined), { code: 'precondition-failed' });
});
