import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { planClaim } from '../ownership/claim.ts';
import { ago, podOf, testNowMs } from '../testing/objects.ts';
import { indexAnnotation, failuresAnnotation, type Job, type JobAction, type Pod, trackingFinalizer } from './observed.ts';
import { planJob } from './plan.ts';

const selector = { matchLabels: { job: 'work' } };

function jobOf(spec: Partial<k8s.JobSpec> = {}, status?: k8s.JobStatus): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace: 'default', uid: 'uid-work', resourceVersion: '1', creationTimestamp: ago(100) },
    spec: { parallelism: 1, completions: 1, backoffLimit: 6, completionMode: 'NonIndexed', selector, template: { metadata: { labels: { job: 'work' } }, spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'app:1' }] } }, ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

interface PodShape { name: string; phase?: string; index?: number; exitCode?: number; isDeleting?: boolean; isCounted?: boolean; failures?: number; endedSecondsAgo?: number; condition?: string; restarts?: number }

function pod({ name, phase = 'Running', index, exitCode, isDeleting, isCounted = false, failures, endedSecondsAgo = 60, condition, restarts }: PodShape): Pod {
  const base = podOf({ name, phase, labels: { job: 'work' }, owner: { uid: 'uid-work', kind: 'Job', name: 'work' }, ...(phase === 'Running' ? { readySeconds: 5 } : {}), ...(isDeleting === true ? { isDeleting } : {}), ...(restarts === undefined ? {} : { restarts }) });
  const annotations = { ...(index === undefined ? {} : { [indexAnnotation]: String(index) }), ...(failures === undefined ? {} : { [failuresAnnotation]: String(failures) }) };
  const code = exitCode ?? (phase === 'Failed' ? 1 : 0);
  const ended = phase === 'Succeeded' || phase === 'Failed';
  return {
    ...base,
    metadata: { ...base.metadata, annotations, ...(isCounted ? {} : { finalizers: [trackingFinalizer] }) },
    status: {
      ...base.status,
      ...(ended ? { containerStatuses: [{ name: 'app', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: { exitCode: code, finishedAt: ago(endedSecondsAgo) } } }] } : {}),
      conditions: [...(base.status?.conditions ?? []), ...(condition === undefined ? [] : [{ type: condition, status: 'True' }])],
    },
  };
}

function plan(job: Job, pods: PodShape[], over: { pendingCreations?: number } = {}) {
  const claim = planClaim(job, job.spec.selector ?? {}, pods.map(pod));
  const { actions, status, requeueAfterMs } = planJob({ job, claim, pendingCreations: over.pendingCreations ?? 0, pendingDeletions: new Set(), backoff: { initialMs: 10_000, maxMs: 600_000 }, nowMs: testNowMs });
  return { actions: actions.map(describe), status: status ?? {}, requeueAfterMs };
}

function describe(action: JobAction): string {
  switch (action.type) {
    case 'create':
      return `create ${action.pods.map(({ index, failures }) => `${index ?? 'pod'}${failures === undefined ? '' : `+${failures}`}`).join(',')}`;
    case 'delete':
      return `delete ${action.pods.map(({ metadata }) => metadata.name).join(',')}${action.isCounted ? ' counted' : ''}`;
    case 'untrack':
      return `untrack ${action.pods.map(({ metadata }) => metadata.name).join(',')}`;
    case 'tell':
      return `tell ${action.reason}`;
    default:
      return `${action.type} ${action.pod.metadata.name}`;
  }
}

const conditions = ({ conditions: all }: k8s.JobStatus): string => (all ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`).join(', ');
const counts = ({ active = 0, succeeded = 0, failed = 0, uncountedTerminatedPods: uncounted }: k8s.JobStatus): string => `${active}/${succeeded}/${failed} ${[...(uncounted?.succeeded ?? []), ...(uncounted?.failed ?? [])].join()}`;

test('planJob() makes as many pods as parallelism and completions allow', () => {
  const cases: [string, Partial<k8s.JobSpec>, PodShape[], string[]][] = [
    ['the first', {}, [], ['create pod']],
    ['not more than are left', { parallelism: 5, completions: 2 }, [], ['create pod,pod']],
    ['not more than parallelism', { parallelism: 2, completions: 9 }, [{ name: 'a' }], ['create pod']],
    ['what is too much goes, and counts as nothing', { parallelism: 1, completions: 9 }, [{ name: 'a' }, { name: 'b' }], ['delete a']],
    ['a work queue starts them all', { parallelism: 3, completions: undefined }, [], ['create pod,pod,pod']],
    ['a work queue that has a success makes no more', { parallelism: 3, completions: undefined }, [{ name: 'a', phase: 'Succeeded', isCounted: true }, { name: 'b' }], []],
    ['each index once, the lowest first', { parallelism: 3, completions: 5, completionMode: 'Indexed' }, [{ name: 'a', index: 1 }], ['create 0,2']],
    ['an index that has two pods loses one', { parallelism: 3, completions: 5, completionMode: 'Indexed' }, [{ name: 'a', index: 1 }, { name: 'b', index: 1 }], ['delete b']],
    ['parallelism 0 is a pause', { parallelism: 0 }, [{ name: 'a' }], ['delete a']],
    ['a pod on its way out delays as a failed one does', {}, [{ name: 'a', isDeleting: true }], []],
    ['and is not replaced at all where only failed ones are', { podReplacementPolicy: 'Failed' }, [{ name: 'a', isDeleting: true }], []],
  ];
  for (const [what, spec, pods, expected] of cases) {
    const status = what.includes('has a success') ? { succeeded: 1 } : {};
    assert.deepEqual(plan(jobOf(spec, status), pods).actions, expected, what);
  }
  assert.equal(plan(jobOf(), [{ name: 'a', isDeleting: true }]).requeueAfterMs, 9_000);
  assert.deepEqual(plan(jobOf(), [], { pendingCreations: 1 }).actions, [], 'what was created counts before the cache has it');
});

test('planJob() counts every pod exactly once: listed, released, then a number', () => {
  const first = plan(jobOf({ completions: 3 }), [{ name: 'a', phase: 'Succeeded' }]);
  assert.deepEqual([first.actions, counts(first.status)], [['create pod'], '0/0/0 uid-a']);
  const second = plan(jobOf({ completions: 3 }, { uncountedTerminatedPods: { succeeded: ['uid-a'] } }), [{ name: 'a', phase: 'Succeeded' }]);
  assert.deepEqual([second.actions, counts(second.status)], [['untrack a', 'create pod'], '0/0/0 uid-a']);
  const third = plan(jobOf({ completions: 3 }, { uncountedTerminatedPods: { succeeded: ['uid-a'] } }), [{ name: 'a', phase: 'Succeeded', isCounted: true }]);
  assert.deepEqual(counts(third.status), '0/1/0 ');
  const gone = plan(jobOf({ completions: 3 }, { succeeded: 1, uncountedTerminatedPods: { failed: ['uid-b'] } }), []);
  assert.deepEqual(counts(gone.status), '0/1/1 ');
});

test('planJob() is over in two steps: the criterion, then the end when nothing runs', () => {
  const met = plan(jobOf({}, { succeeded: 1 }), []);
  assert.equal(conditions(met.status), 'SuccessCriteriaMet=True CompletionsReached');
  const done = plan(jobOf({}, { succeeded: 1, conditions: [{ type: 'SuccessCriteriaMet', status: 'True', reason: 'CompletionsReached' }] }), []);
  assert.deepEqual([done.actions, conditions(done.status), done.status.completionTime], [['tell Completed'], 'SuccessCriteriaMet=True CompletionsReached, Complete=True CompletionsReached', ago(0)]);
  const failing = plan(jobOf({ backoffLimit: 1, parallelism: 2, completions: 4 }, { failed: 2 }), [{ name: 'a' }]);
  assert.deepEqual([failing.actions, conditions(failing.status)], [['delete a counted'], 'FailureTarget=True BackoffLimitExceeded']);
  const waiting = plan(jobOf({ podReplacementPolicy: 'Failed' }, { failed: 2, conditions: [{ type: 'FailureTarget', status: 'True', reason: 'BackoffLimitExceeded' }] }), [{ name: 'a', isDeleting: true }]);
  assert.deepEqual([waiting.actions, conditions(waiting.status)], [[], 'FailureTarget=True BackoffLimitExceeded']);
  const failed = plan(jobOf({}, { failed: 2, conditions: [{ type: 'FailureTarget', status: 'True', reason: 'BackoffLimitExceeded' }] }), []);
  assert.deepEqual([failed.actions, conditions(failed.status)], [['tell BackoffLimitExceeded'], 'FailureTarget=True BackoffLimitExceeded, Failed=True BackoffLimitExceeded']);
});

test('planJob() ends what takes too long, and waits until then', () => {
  const running = plan(jobOf({ activeDeadlineSeconds: 60 }, { startTime: ago(20) }), [{ name: 'a' }]);
  assert.equal(running.requeueAfterMs, 40_000);
  const late = plan(jobOf({ activeDeadlineSeconds: 60 }, { startTime: ago(60) }), [{ name: 'a' }]);
  assert.deepEqual([late.actions, conditions(late.status)], [['delete a counted'], 'FailureTarget=True DeadlineExceeded']);
});

test('planJob() delays after failures, twice as long for each', () => {
  const once = plan(jobOf({}, { failed: 1 }), [{ name: 'a', phase: 'Failed', isCounted: true, endedSecondsAgo: 4 }]);
  assert.deepEqual([once.actions, once.requeueAfterMs], [[], 6_000]);
  const twice = plan(jobOf({}, { failed: 2 }), [{ name: 'a', phase: 'Failed', isCounted: true, endedSecondsAgo: 40 }, { name: 'b', phase: 'Failed', isCounted: true, endedSecondsAgo: 4 }]);
  assert.deepEqual([twice.actions, twice.requeueAfterMs], [[], 16_000]);
  const over = plan(jobOf({}, { failed: 1 }), [{ name: 'a', phase: 'Failed', isCounted: true, endedSecondsAgo: 11 }]);
  assert.deepEqual(over.actions, ['create pod']);
});

test('planJob() with restartPolicy OnFailure counts restarts', () => {
  const template = { metadata: { labels: { job: 'work' } }, spec: { restartPolicy: 'OnFailure', containers: [{ name: 'app', image: 'app:1' }] } };
  assert.equal(conditions(plan(jobOf({ template, backoffLimit: 3 }), [{ name: 'a', restarts: 2 }]).status), '');
  assert.equal(conditions(plan(jobOf({ template, backoffLimit: 3 }), [{ name: 'a', restarts: 3 }]).status), 'FailureTarget=True BackoffLimitExceeded');
});

test('planJob() follows the failure policy', () => {
  const policy = (action: string): Partial<k8s.JobSpec> => ({ podFailurePolicy: { rules: [{ action, onExitCodes: { operator: 'In', values: [42] } }] }, podReplacementPolicy: 'Failed' });
  const pods: PodShape[] = [{ name: 'a', phase: 'Failed', exitCode: 42 }];
  const failJob = plan(jobOf(policy('FailJob')), pods);
  assert.equal(failJob.status.conditions?.[0]?.message, 'Container app for pod default/a failed with exit code 42 matching FailJob rule at index 0');
  const ignored = plan(jobOf(policy('Ignore')), pods);
  assert.deepEqual([ignored.actions, counts(ignored.status)], [['untrack a', 'create pod'], '0/0/0 ']);
  const counted = plan(jobOf(policy('Count')), pods);
  assert.equal(counts(counted.status), '0/0/0 uid-a');
  const disrupted = plan(jobOf({ podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }] } }), [{ name: 'a', phase: 'Failed', condition: 'DisruptionTarget' }]);
  assert.deepEqual(disrupted.actions, ['untrack a', 'create pod']);
});

test('planJob() keeps count of each index where the limit is per index', () => {
  const spec: Partial<k8s.JobSpec> = { completionMode: 'Indexed', completions: 3, parallelism: 3, backoffLimitPerIndex: 1, backoffLimit: 2_147_483_647 };
  const first = plan(jobOf(spec), [{ name: 'a', index: 0, phase: 'Failed' }, { name: 'b', index: 1 }, { name: 'c', index: 2, phase: 'Succeeded' }]);
  assert.deepEqual([first.actions, first.status.completedIndexes, first.status.failedIndexes], [['create 0+1'], '2', '']);
  const second = plan(jobOf(spec, { completedIndexes: '2', uncountedTerminatedPods: { failed: ['uid-a'] } }), [{ name: 'a', index: 0, phase: 'Failed' }, { name: 'b', index: 1 }]);
  assert.deepEqual(second.actions, ['create 0+1'], 'the failed pod stays tracked until its successor remembers');
  const third = plan(jobOf(spec, { completedIndexes: '2', uncountedTerminatedPods: { failed: ['uid-a'] } }), [{ name: 'a', index: 0, phase: 'Failed' }, { name: 'a2', index: 0, failures: 1, phase: 'Failed' }, { name: 'b', index: 1 }]);
  assert.deepEqual([third.actions, third.status.failedIndexes], [['untrack a'], '0']);
  const end = plan(jobOf(spec, { completedIndexes: '1,2', failedIndexes: '0', failed: 2 }), []);
  assert.equal(conditions(end.status), 'FailureTarget=True FailedIndexes');
  const many = plan(jobOf({ ...spec, maxFailedIndexes: 0 }, { failedIndexes: '0' }), [{ name: 'b', index: 1 }]);
  assert.deepEqual([many.actions, conditions(many.status)], [['delete b counted'], 'FailureTarget=True MaxFailedIndexesExceeded']);
});

test('planJob() is content when its success policy is', () => {
  const spec: Partial<k8s.JobSpec> = { completionMode: 'Indexed', completions: 5, parallelism: 5, successPolicy: { rules: [{ succeededIndexes: '0,2-3', succeededCount: 2 }] } };
  const not = plan(jobOf(spec, { completedIndexes: '0,1' }), [{ name: 'c', index: 2 }, { name: 'd', index: 3 }, { name: 'e', index: 4 }]);
  assert.equal(conditions(not.status), '');
  const met = plan(jobOf(spec, { completedIndexes: '0,3' }), [{ name: 'c', index: 2 }]);
  assert.deepEqual([met.actions, conditions(met.status)], [['delete c'], 'SuccessCriteriaMet=True SuccessPolicy']);
});

test('planJob() suspends and resumes', () => {
  const suspended = plan(jobOf({ suspend: true }, { startTime: ago(50) }), [{ name: 'a' }]);
  assert.deepEqual([suspended.actions, conditions(suspended.status), suspended.status.startTime], [['delete a', 'tell Suspended'], 'Suspended=True JobSuspended', undefined]);
  const resumed = plan(jobOf({}, suspended.status), []);
  assert.deepEqual([resumed.actions, conditions(resumed.status), resumed.status.startTime], [['tell Resumed', 'create pod'], 'Suspended=False JobResumed', ago(0)]);
});

test('planJob() lets the pods of a finished or deleted Job go', () => {
  const finished = jobOf({}, { conditions: [{ type: 'Complete', status: 'True' }] });
  assert.deepEqual(plan(finished, [{ name: 'a', phase: 'Succeeded' }]).actions, ['untrack a']);
  const going = jobOf();
  assert.deepEqual(plan({ ...going, metadata: { ...going.metadata, deletionTimestamp: ago(1) } }, [{ name: 'a' }]).actions, ['untrack a']);
});
