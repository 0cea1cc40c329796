import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { pollUntil, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { addNode, fakeWorkRunner, openTestCluster, type PlayedOutcome, type TestCluster } from '../testing/test-cluster.ts';

const place = { namespace: 'default' };

async function open(outcome: PlayedOutcome): Promise<TestCluster> {
  const cluster = await openTestCluster({ controllers: { jobBackoffMs: 1 }, extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeWorkRunner(client, informers, outcome)] });
  await addNode(cluster.client, 'node-1');
  return cluster;
}

function job(name: string, spec: Partial<k8s.JobSpec> = {}): k8s.Job {
  return { metadata: { name, ...place }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'app:1' }] } }, ...spec } };
}

function until(cluster: TestCluster, name: string, what: string, isDone: (job: Stored<k8s.Job>) => boolean): Promise<Stored<k8s.Job>> {
  let last: unknown;
  return pollUntil(what, async () => {
    const current = await cluster.client.get(resources.jobs, { ...place, name }, cluster.signal);
    last = current.status;
    return isDone(current) ? current : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal).catch((error: unknown) => {
    throw new Error(`${what}: ${JSON.stringify(last)}`, { cause: error });
  });
}

const has = (type: string) => ({ status }: k8s.Job): boolean => status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
const podsOf = async ({ client, signal }: TestCluster): Promise<Stored<k8s.Pod>[]> => (await client.list(resources.pods, place, signal)).items;

test('a Job runs to completion, counts each pod once and lets its pods go', async () => {
  await using cluster = await open(() => 0);
  await cluster.client.create(resources.jobs, job('work', { completions: 12, parallelism: 4 }), cluster.signal);
  const done = await until(cluster, 'work', 'the end', has('Complete'));
  assert.deepEqual([done.status?.succeeded, done.status?.failed, done.status?.uncountedTerminatedPods], [12, undefined, {}]);
  await pollUntil('pods without finalizers', async () => ((await podsOf(cluster)).every(({ metadata }) => (metadata.finalizers ?? []).length === 0) ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
  assert.equal((await podsOf(cluster)).length, 12);
  await cluster.client.delete(resources.jobs, { ...place, name: 'work' }, { propagationPolicy: 'Background' }, cluster.signal);
  await pollUntil('no pods', async () => ((await podsOf(cluster)).length === 0 ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
});

test('an Indexed Job works on every index, tells its pods which, and tries a failed one again', async () => {
  const failedOnce = new Set<string>();
  await using cluster = await open(({ metadata }) => {
    const index = metadata?.annotations?.['batch.kubernetes.io/job-completion-index'] ?? '';
    if (index !== '1' || failedOnce.has(index)) return 0;
    failedOnce.add(index);
    return 1;
  });
  await cluster.client.create(resources.jobs, job('work', { completions: 3, parallelism: 3, completionMode: 'Indexed' }), cluster.signal);
  const done = await until(cluster, 'work', 'the end', has('Complete'));
  assert.deepEqual([done.status?.completedIndexes, done.status?.succeeded, done.status?.failed], ['0-2', 3, 1]);
  const pod = (await podsOf(cluster)).find(({ metadata }) => metadata.name.startsWith('work-2-'));
  assert.equal(pod?.spec?.hostname, 'work-2');
  assert.deepEqual(pod.spec.containers[0]?.env, [{ name: 'JOB_COMPLETION_INDEX', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']" } } }]);
});

test('a Job that keeps failing stops at its limit', async () => {
  await using cluster = await open(() => 3);
  await cluster.client.create(resources.jobs, job('work', { backoffLimit: 2 }), cluster.signal);
  const done = await until(cluster, 'work', 'the failure', has('Failed'));
  assert.deepEqual([done.status?.failed, done.status?.conditions?.find(({ type }) => type === 'Failed')?.reason], [3, 'BackoffLimitExceeded']);
});

test('a suspended Job has no pods and goes on when asked', async () => {
  await using cluster = await open(() => undefined);
  await cluster.client.create(resources.jobs, job('work', { suspend: true }), cluster.signal);
  await until(cluster, 'work', 'suspension', has('Suspended'));
  assert.equal((await podsOf(cluster)).length, 0);
  const patch = (spec: object) => cluster.client.patch(resources.jobs, { ...place, name: 'work' }, { type: 'merge', body: { spec } }, cluster.signal);
  await patch({ suspend: false });
  await until(cluster, 'work', 'a pod', ({ status }) => status?.ready === 1);
  await patch({ suspend: true });
  const stopped = await until(cluster, 'work', 'no pods', ({ status }) => status?.active === undefined && status?.terminating === 0);
  assert.deepEqual([stopped.status?.failed, stopped.status?.startTime], [undefined, undefined]);
});

test('a finished Job goes when its time to live is over, with its pods', async () => {
  await using cluster = await open(() => 0);
  await cluster.client.create(resources.jobs, job('work', { ttlSecondsAfterFinished: 0 }), cluster.signal);
  await pollUntil('nothing to be left', async () => {
    const jobs = await cluster.client.list(resources.jobs, place, cluster.signal);
    return jobs.items.length === 0 && (await podsOf(cluster)).length === 0 ? true : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal);
});
