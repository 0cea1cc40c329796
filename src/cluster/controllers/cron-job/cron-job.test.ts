import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, parseCronSchedule, resources, type Stored } from '../../../api/mod.ts';
import { pollUntil, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { ago, testNowMs } from '../testing/objects.ts';
import { addNode, fakeWorkRunner, openTestCluster } from '../testing/test-cluster.ts';
import { type CronJobAction, planCronJob } from './plan.ts';
import { dueAt } from './schedule.ts';

type Job = Stored<k8s.Job>;

function cronJobOf(spec: Partial<k8s.CronJobSpec> = {}, status?: k8s.CronJobStatus, ageSeconds = 90): Stored<k8s.CronJob> {
  return {
    metadata: { name: 'tick', namespace: 'default', uid: 'uid-tick', resourceVersion: '1', creationTimestamp: ago(ageSeconds) },
    spec: { schedule: '* * * * *', concurrencyPolicy: 'Allow', jobTemplate: { metadata: { labels: { made: 'by-tick' } }, spec: { template: { spec: { containers: [] } } } }, ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

function jobOf(name: string, condition?: 'Complete' | 'Failed', startedSecondsAgo = 60): Job {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: ago(startedSecondsAgo) },
    spec: { template: {} },
    status: { startTime: ago(startedSecondsAgo), ...(condition === 'Complete' ? { completionTime: ago(startedSecondsAgo - 1) } : {}), ...(condition === undefined ? {} : { conditions: [{ type: condition, status: 'True' }] }) },
  };
}

function plan(cronJob: Stored<k8s.CronJob>, jobs: Job[] = []) {
  const { actions, status, requeueAfterMs } = planCronJob({ cronJob, jobs, nowMs: testNowMs });
  return { actions: actions.map(describe), status, requeueAfterMs };
}

function describe(action: CronJobAction): string {
  if (action.type === 'tell') return action.reason;
  return action.type === 'create' ? `create ${action.job.metadata?.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'] ?? ''}` : `delete ${action.job.metadata.name}`;
}

test('planCronJob() starts the latest run that is due, and no other', () => {
  const now = '2030-01-01T00:00:00Z';
  const cases: [string, Stored<k8s.CronJob>, Job[], string[]][] = [
    ['due', cronJobOf(), [], [`create ${now}`]],
    ['served', cronJobOf({}, { lastScheduleTime: now }), [], []],
    ['served before a crash', cronJobOf(), [{ ...jobOf('tick-1'), metadata: { ...jobOf('tick-1').metadata, annotations: { 'batch.kubernetes.io/cronjob-scheduled-timestamp': now } } }], []],
    ['suspended', cronJobOf({ suspend: true }), [], []],
    ['many missed: told, and the latest started', cronJobOf({}, undefined, 86_400), [], ['TooManyMissedTimes', `create ${now}`]],
    ['too late', cronJobOf({ schedule: '30 * * * *', startingDeadlineSeconds: 60 }, undefined, 7_200), [], []],
    ['late but in time', cronJobOf({ schedule: '30 * * * *', startingDeadlineSeconds: 3_600 }, undefined, 7_200), [], ['create 2029-12-31T23:30:00Z']],
    ['Forbid', cronJobOf({ concurrencyPolicy: 'Forbid' }), [jobOf('tick-1')], ['JobAlreadyActive']],
    ['Forbid, but it has ended', cronJobOf({ concurrencyPolicy: 'Forbid' }), [jobOf('tick-1', 'Complete')], [`create ${now}`]],
    ['Replace', cronJobOf({ concurrencyPolicy: 'Replace' }), [jobOf('tick-1')], ['delete tick-1', `create ${now}`]],
    ['another zone', cronJobOf({ schedule: '0 5 * * *', timeZone: 'Asia/Karachi' }), [], ['create 2030-01-01T05:00:00+05:00']],
  ];
  for (const [what, cronJob, jobs, expected] of cases) assert.deepEqual(plan(cronJob, jobs).actions, expected, what);
});

test('planCronJob() keeps as many finished Jobs as it is told, and says what runs', () => {
  const jobs = [jobOf('a', 'Complete', 300), jobOf('b', 'Complete', 200), jobOf('c', 'Complete', 100), jobOf('d', 'Failed', 90), jobOf('e', 'Failed', 80), jobOf('f')];
  const { actions, status, requeueAfterMs } = plan(cronJobOf({ successfulJobsHistoryLimit: 2, failedJobsHistoryLimit: 0 }, { lastScheduleTime: ago(0), active: [{ uid: 'uid-c' }] }), jobs);
  assert.deepEqual(actions, ['SawCompletedJob', 'delete a', 'delete d', 'delete e']);
  assert.deepEqual([status?.active?.map(({ name }) => name), status?.lastSuccessfulTime, requeueAfterMs], [['f'], ago(99), 60_000]);
});

test('dueAt() finds the latest of very many missed runs', () => {
  const schedule = parseCronSchedule('*/5 * * * *');
  assert.ok(typeof schedule !== 'string');
  const { atMs, missed, nextMs } = dueAt(schedule, testNowMs - 400 * 86_400_000, testNowMs + 7 * 60_000);
  assert.deepEqual([atMs, nextMs, missed > 100], [testNowMs + 300_000, testNowMs + 600_000, true]);
});

test('a CronJob starts Jobs by the clock, and they go with it', async () => {
  await using cluster = await openTestCluster({ extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeWorkRunner(client, informers, () => 0)] });
  await addNode(cluster.client, 'node-1');
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'app:1' }] } };
  await cluster.client.create<k8s.CronJob>(resources.cronJobs, { metadata: { name: 'tick', namespace: 'default' }, spec: { schedule: '@every 1s', jobTemplate: { spec: { template } } } }, cluster.signal);
  await pollUntil('two runs', async () => {
    const { items } = await cluster.client.list(resources.jobs, { namespace: 'default' }, cluster.signal);
    const { status } = await cluster.client.get(resources.cronJobs, { namespace: 'default', name: 'tick' }, cluster.signal);
    return items.length >= 2 && status?.lastSuccessfulTime !== undefined ? true : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal);
  await cluster.client.delete(resources.cronJobs, { namespace: 'default', name: 'tick' }, { propagationPolicy: 'Background' }, cluster.signal);
  await pollUntil('the Jobs to go', async () => ((await cluster.client.list(resources.jobs, { namespace: 'default' }, cluster.signal)).items.length === 0 ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
});
