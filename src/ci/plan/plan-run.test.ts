import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobPhase, JobStatus, WorkflowRun } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { Evaluation } from '../expressions/evaluate.ts';
import { parseWorkflow } from '../workflow/parse-workflow.ts';
import { Toolkit } from '../workflow/toolkit.ts';
import { type ObservedRun, planRun } from './plan-run.ts';

const toolkit = await Toolkit.load();
const now = '2026-01-02T03:04:05.000Z';

/** Jobs as `id: needs [if]`, the status stored, and the jobs live in this process, both as `id: phase`. */
function observe(jobs: string, stored: Record<string, JobPhase | Partial<JobStatus>>, live: Record<string, JobPhase | Partial<JobStatus>> = {}, extra: Partial<WorkflowRun> = {}): ObservedRun {
  const workflow = parseWorkflow(toolkit, `on: push\njobs:\n${jobs.trim().split('\n').map((line) => `  ${line.trim().replace('{', '{runs-on: x, steps: [{run: y}], ')}`).join('\n')}\n`, 'ci.yml');
  const toStatus = (entries: typeof stored): JobStatus[] => Object.entries(entries).map(([id, value]) => ({ id, name: id, phase: 'Running', ...(typeof value === 'string' ? { phase: value } : value) }));
  return {
    workflow,
    now,
    run: { spec: { repository: 'shop', commit: 'c'.repeat(40), ref: 'refs/heads/main', event: 'push', actor: 'alice' }, status: { phase: 'Running', jobs: toStatus(stored) }, ...extra },
    live: new Map(toStatus(live).map((job) => [job.id, job])),
    isWanted: (job, needs, soFar) => new Evaluation(toolkit, { needs }, soFar).condition(job.condition),
  };
}

function decide(observed: ObservedRun): { actions: string[]; jobs: string; phase: string | undefined; message: string | undefined } {
  const { actions, status } = planRun(observed);
  return {
    actions: actions.map((action) => {
      if (action.type === 'sweep') return 'sweep';
      return action.type === 'start-job' ? `start ${action.job.id}${action.attempt > 1 ? ` #${action.attempt}` : ''}` : `cancel ${action.jobId}`;
    }),
    jobs: (status?.jobs ?? []).map(({ id, phase }) => `${id} ${phase}`).join(', '),
    phase: status?.phase,
    message: status?.message,
  };
}

test('planRun() starts jobs when what they need has ended, and skips those that are not wanted', () => {
  const chain = 'a: {}\nb: {needs: a}\nc: {needs: [a, b]}\nalways: {needs: c, if: always()}\nonfail: {needs: c, if: failure()}';
  const cases: [name: string, observed: ObservedRun, expected: ReturnType<typeof decide>][] = [
    ['a new run', observe(chain, {}), { actions: ['start a'], jobs: 'a Running, b Waiting, c Waiting, always Waiting, onfail Waiting', phase: 'Running', message: undefined }],
    ['a is live', observe(chain, {}, { a: 'Running' }), { actions: [], jobs: 'a Running, b Waiting, c Waiting, always Waiting, onfail Waiting', phase: 'Running', message: undefined }],
    ['a has ended and is not stored yet', observe(chain, { a: 'Running' }, { a: 'Succeeded' }), { actions: ['start b'], jobs: 'a Succeeded, b Running, c Waiting, always Waiting, onfail Waiting', phase: 'Running', message: undefined }],
    ['a failed', observe(chain, { a: 'Failed' }), { actions: ['start always', 'start onfail'], jobs: 'a Failed, b Skipped, c Skipped, always Running, onfail Running', phase: 'Running', message: undefined }],
    ['all is well', observe(chain, { a: 'Succeeded', b: 'Succeeded', c: 'Succeeded', always: 'Succeeded' }), { actions: ['sweep'], jobs: 'a Succeeded, b Succeeded, c Succeeded, always Succeeded, onfail Skipped', phase: 'Succeeded', message: 'no test ran' }],
    ['a skipped job skips what needs it', observe('a: {if: false}\nb: {needs: a}\nc: {needs: a, if: always()}', {}), { actions: ['start c'], jobs: 'a Skipped, b Skipped, c Running', phase: 'Running', message: undefined }],
    ['independent jobs start together', observe('a: {}\nb: {}', {}), { actions: ['start a', 'start b'], jobs: 'a Running, b Running', phase: 'Running', message: undefined }],
    ['an if that cannot be evaluated', observe('a: {if: "fromJSON(github.ref)"}', {}), { actions: ['sweep'], jobs: 'a Failed', phase: 'Failed', message: 'job a: ci.yml:3:42: empty input' }],
  ];
  for (const [name, observed, expected] of cases) assert.deepEqual(decide(observed), expected, name);
});

test('planRun() hands results and outputs to what needs them', () => {
  const observed = observe('a: {}\nb: {needs: a, if: "needs.a.outputs.v == 1"}', { a: { phase: 'Succeeded', outputs: { v: '1' } } });
  const [action] = planRun(observed).actions;
  assert.deepEqual(action?.type === 'start-job' && action.needs, { a: { result: 'success', outputs: { v: '1' } } });
});

test('planRun() starts a job again that nobody carries out, three times at most', () => {
  assert.deepEqual(decide(observe('a: {}', { a: 'Running' })).actions, ['start a #2']);
  assert.deepEqual(decide(observe('a: {}', { a: { attempt: 2 } })).actions, ['start a #3']);
  assert.deepEqual(decide(observe('a: {}', { a: { attempt: 3 } })), { actions: ['sweep'], jobs: 'a Failed', phase: 'Failed', message: 'job a: the job was cut off 3 times by a stop of the server or of its node' });
});

test('planRun() cancels what is live and ends the run when that has ended', () => {
  const spec = { repository: 'shop', commit: 'c'.repeat(40), ref: 'refs/heads/main', event: 'push' as const, actor: 'alice', cancelRequested: true };
  const chain = 'a: {}\nb: {needs: a, if: always()}';
  assert.deepEqual(decide(observe(chain, { a: 'Running' }, { a: 'Running' }, { spec })), { actions: ['cancel a'], jobs: 'a Running, b Cancelled', phase: 'Running', message: undefined });
  assert.deepEqual(decide(observe(chain, { a: 'Running' }, { a: 'Cancelled' }, { spec })), { actions: ['sweep'], jobs: 'a Cancelled, b Cancelled', phase: 'Cancelled', message: 'cancelled' });
  assert.deepEqual(decide(observe(chain, { a: 'Running' }, {}, { spec })), { actions: ['sweep'], jobs: 'a Cancelled, b Cancelled', phase: 'Cancelled', message: 'cancelled' });
});

test('planRun() leaves runs alone that are over or being deleted, but for jobs that still run', () => {
  assert.deepEqual(planRun(observe('a: {}', {}, {}, { status: { phase: 'Failed' } })), { actions: [] });
  assert.deepEqual(decide(observe('a: {}', {}, { a: 'Running' }, { status: { phase: 'Failed' } })).actions, ['cancel a']);
  assert.deepEqual(decide(observe('a: {}', {}, { a: 'Running' }, { metadata: { deletionTimestamp: now } })), { actions: ['cancel a'], jobs: '', phase: undefined, message: undefined });
});

test('planRun() lets the first failure of a matrix cancel the rest, unless fail-fast is off', () => {
  const matrix = (failFast: string): string => `m: {strategy: {${failFast}matrix: {x: [1, 2]}}}\nafter: {needs: m}`.replaceAll('{runs-on', '{runs-on');
  const workflow = (failFast: string, stored: Record<string, JobPhase>, live: Record<string, JobPhase>): ObservedRun => {
    const observed = observe('m: {}', stored, live);
    return { ...observed, workflow: parseWorkflow(toolkit, `on: push\njobs:\n  ${matrix(failFast).replace('m: {', 'm: {runs-on: x, steps: [{run: y}], ').replace('after: {', '  after: {runs-on: x, steps: [{run: y}], ')}\n`, 'ci.yml') };
  };
  assert.deepEqual(decide(workflow('', { 'm-1': 'Failed' }, { 'm-2': 'Running' })).actions, ['cancel m-2']);
  assert.deepEqual(decide(workflow('fail-fast: false, ', { 'm-1': 'Failed' }, { 'm-2': 'Running' })).actions, []);
  assert.deepEqual(decide(workflow('', { 'm-1': 'Failed', 'm-2': 'Cancelled' }, {})), { actions: ['sweep'], jobs: 'm-1 Failed, m-2 Cancelled, after Skipped', phase: 'Failed', message: 'job m-1: failed' });
});

test('planRun() adds up tests and images, and says in one sentence how it went', () => {
  const image = { name: 'shop', digest: `sha256:${'1'.repeat(64)}`, reference: 'r' };
  const green = observe('a: {}\nb: {}', { a: { phase: 'Succeeded', tests: [{ level: 'unit', passed: 11, failed: 0, skipped: 0 }], images: [image] }, b: { phase: 'Succeeded', tests: [{ level: 'e2e', passed: 2, failed: 0, skipped: 1 }] } });
  assert.deepEqual(planRun(green).status?.images, [image]);
  assert.equal(planRun(green).status?.message, 'unit: 11 passed, e2e: 2 passed');
  const red = observe('a: {}\nb: {}', { a: { phase: 'Failed', message: 'x', tests: [{ level: 'unit', passed: 11, failed: 1, skipped: 0 }], failedTests: [{ level: 'unit', name: 't' }] }, b: { phase: 'Succeeded', tests: [{ level: 'e2e', passed: 2, failed: 0, skipped: 1 }] } });
  assert.equal(planRun(red).status?.message, 'unit: 1 of 12 failed');
  assert.deepEqual(planRun(red).status?.failedTests, [{ level: 'unit', name: 't' }]);
});

test('planRun() ends a run whose workflow is wrong', () => {
  const { status, actions } = planRun({ ...observe('a: {}', {}), workflow: new GantryError('invalid', 'ci.yml:1:1: wrong') });
  assert.deepEqual([actions, status?.phase, status?.message, status?.finishedAt], [[], 'Error', 'ci.yml:1:1: wrong', now]);
});
