import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { writeKubeconfig } from '../../../client/mod.ts';
import { baseEnv, isError, pollUntil, runCommand, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { ago, podOf, type PodFields, testNowMs } from '../testing/objects.ts';
import { addNode, fakeNodeAgent, openTestCluster } from '../testing/test-cluster.ts';
import { planBudget } from './plan.ts';

const hasKubectl = await runCommand('kubectl', ['version', '--client'], { okCodes: [0, 1] }, AbortSignal.timeout(10_000)).then(() => true, () => false);

test('planBudget() counts what may be evicted', () => {
  const plan = (spec: k8s.PodDisruptionBudgetSpec, pods: PodFields[], wanted: number | undefined, disruptedPods?: Record<string, string>): unknown[] => {
    const metadata = { name: 'b', namespace: 'default', uid: 'u', resourceVersion: '1', generation: 1, creationTimestamp: ago(9) };
    const { status, requeueAfterMs } = planBudget({ budget: { metadata, spec, ...(disruptedPods === undefined ? {} : { status: { disruptedPods } }) }, pods: pods.map(podOf), wanted, nowMs: testNowMs });
    return [status?.expectedPods, status?.desiredHealthy, status?.currentHealthy, status?.disruptionsAllowed, status?.conditions?.[0]?.reason, ...(requeueAfterMs === undefined ? [] : [requeueAfterMs])];
  };
  const healthy = (count: number): PodFields[] => Array.from({ length: count }, (_, index) => ({ name: `p${index}`, readySeconds: 9 }));
  const cases: [string, unknown[], unknown[]][] = [
    ['minAvailable', plan({ minAvailable: 2 }, healthy(3), undefined), [3, 2, 3, 1, 'SufficientPods']],
    ['minAvailable in percent, rounded up', plan({ minAvailable: '50%' }, healthy(3), 3), [3, 2, 3, 1, 'SufficientPods']],
    ['maxUnavailable', plan({ maxUnavailable: 1 }, healthy(3), 3), [3, 2, 3, 1, 'SufficientPods']],
    ['maxUnavailable in percent, rounded up', plan({ maxUnavailable: '10%' }, healthy(3), 3), [3, 2, 3, 1, 'SufficientPods']],
    ['one is not ready', plan({ maxUnavailable: 1 }, [...healthy(2), { name: 'x' }], 3), [3, 2, 2, 0, 'InsufficientPods']],
    ['one is going', plan({ minAvailable: 2 }, [...healthy(2), { name: 'x', readySeconds: 9, isDeleting: true }], undefined), [3, 2, 2, 0, 'InsufficientPods']],
    ['one was allowed to go', plan({ maxUnavailable: 1 }, healthy(3), 3, { p0: ago(20), gone: ago(20) }), [3, 2, 2, 0, 'InsufficientPods', 100_000]],
    ['but never went', plan({ maxUnavailable: 1 }, healthy(3), 3, { p0: ago(200) }), [3, 2, 3, 1, 'SufficientPods']],
    ['nothing there', plan({ maxUnavailable: 1 }, [], 0), [0, 0, 0, 0, 'InsufficientPods']],
    ['a pod of nobody', plan({ maxUnavailable: 1 }, healthy(1), undefined), [0, 0, 0, 0, 'SyncFailed']],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('an eviction waits for the budget; kubectl drain, cordon, uncordon and debug work', { skip: hasKubectl ? false : 'kubectl is not installed' }, async (context) => {
  const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'] };
  await using cluster = await openTestCluster({
    apiServer: { authenticators: [{ authenticate: () => admin }] },
    extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers)],
  });
  const { client, signal } = cluster;
  for (const name of ['node-1', 'node-2']) await addNode(client, name);
  const folder = await mkdtemp(join(tmpdir(), 'drain-'));
  context.after(() => rm(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  await writeKubeconfig(kubeconfig, 'test', { connection: cluster.api.connection, namespace: 'default' });
  const kubectl = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await runCommand('kubectl', args, { env: { ...baseEnv(), HOME: folder, KUBECONFIG: kubeconfig } }, AbortSignal.any([signal, AbortSignal.timeout(60_000)]));
    return stdout + stderr;
  };
  const labels = { app: 'web' };
  await client.create<k8s.Deployment>(resources.deployments, { metadata: { name: 'web', namespace: 'default' }, spec: { replicas: 3, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } } } }, signal);
  await kubectl('create', 'poddisruptionbudget', 'web', '--selector=app=web', '--min-available=2');
  const budget = (allowed: number) => pollUntil(`${allowed} disruptions allowed`, async () => {
    const { status } = await client.get(resources.podDisruptionBudgets, { namespace: 'default', name: 'web' }, signal);
    return status?.disruptionsAllowed === allowed && status.currentHealthy !== 0 ? status : undefined;
  }, { timeoutMs: 30_000 }, signal);
  await budget(1);
  const pods = async () => (await client.list(resources.pods, { namespace: 'default' }, signal)).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);

  await client.patch(resources.podDisruptionBudgets, { namespace: 'default', name: 'web' }, { type: 'merge', body: { spec: { minAvailable: 3 } } }, signal);
  await budget(0);
  const [victim] = await pods();
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: victim?.metadata.name, namespace: 'default' } };
  await assert.rejects(client.request('POST', `/api/v1/namespaces/default/pods/${victim?.metadata.name ?? ''}/eviction`, eviction, signal), (error) => isError(error, 'exhausted') && /would violate the pod's disruption budget/.test(error.message));
  await client.patch(resources.podDisruptionBudgets, { namespace: 'default', name: 'web' }, { type: 'merge', body: { spec: { minAvailable: 2 } } }, signal);
  await budget(1);

  const lowest: number[] = [];
  const readyOnes = (): number => cluster.informers.of(resources.pods).list('default').filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true).length;
  const stop = cluster.informers.of(resources.pods).onChange(() => lowest.push(readyOnes()));
  await kubectl('drain', 'node-1', '--ignore-daemonsets', '--timeout=50s');
  stop();
  assert.ok(Math.min(...lowest, 3) >= 2, `never fewer than the budget says: ${lowest.join()}`);
  assert.match(await kubectl('get', 'nodes'), /node-1 +Ready,SchedulingDisabled/);
  await pollUntil('three pods on the other node', async () => {
    const all = await pods();
    return all.length === 3 && all.every(({ spec }) => spec?.nodeName === 'node-2') ? true : undefined;
  }, { timeoutMs: 30_000 }, signal);
  await kubectl('uncordon', 'node-1');
  assert.match(await kubectl('get', 'nodes'), /node-1 +Ready /);

  const [target] = await pods();
  const name = target?.metadata.name ?? '';
  await kubectl('debug', `pod/${name}`, '--image=tools:1', '--target=app', '--container=debugger', '--profile=general', '--', 'sleep', '1');
  const debugged = await client.get(resources.pods, { namespace: 'default', name }, signal);
  assert.deepEqual(debugged.spec?.ephemeralContainers?.map(({ name: one, image, targetContainerName, imagePullPolicy }) => [one, image, targetContainerName, imagePullPolicy]), [['debugger', 'tools:1', 'app', 'IfNotPresent']]);
  const body = { spec: { ephemeralContainers: [{ name: 'debugger', image: 'other:1' }] } };
  await assert.rejects(client.patch(resources.pods, { namespace: 'default', name }, { type: 'strategic', subresource: 'ephemeralcontainers' as 'status', body }, signal), (error) => isError(error, 'invalid') && /may not be changed/.test(error.message));
});
