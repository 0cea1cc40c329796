import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { writeKubeconfig } from '../../../client/mod.ts';
import { baseEnv, pollUntil, runCommand, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { addNode, fakeNodeAgent, openTestCluster } from '../testing/test-cluster.ts';

const hasKubectl = await runCommand('kubectl', ['version', '--client'], { okCodes: [0, 1] }, AbortSignal.timeout(10_000)).then(() => true, () => false);

const manifest = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    progressDeadlineSeconds: 2,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'app', image: 'app:1', resources: { requests: { cpu: '10m' } } }] } },
  },
};

const autoscaler = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'web' },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    minReplicas: 1,
    maxReplicas: 5,
    metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }],
  },
};

test('kubectl rolls a Deployment out, pauses, resumes, undoes, scales and autoscales it', { skip: hasKubectl ? false : 'kubectl is not installed' }, async (context) => {
  const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'] };
  await using cluster = await openTestCluster({
    // kubectl sends no token over plain HTTP.
    apiServer: { authenticators: [{ authenticate: () => admin }] },
    extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers, ({ spec }) => spec?.containers[0]?.image !== 'broken')],
  });
  await addNode(cluster.client, 'node-1');
  const folder = await mkdtemp(join(tmpdir(), 'rollout-'));
  context.after(() => rm(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  await writeKubeconfig(kubeconfig, 'test', { connection: cluster.api.connection, namespace: 'default' });
  const env = { ...baseEnv(), HOME: folder, KUBECONFIG: kubeconfig };
  const kubectl = async (args: string, options: { stdin?: string; okCodes?: number[] } = {}): Promise<string> => {
    const { stdout, stderr } = await runCommand('kubectl', args.split(' '), { env, ...options }, AbortSignal.any([cluster.signal, AbortSignal.timeout(30_000)]));
    return stdout + stderr;
  };
  const images = async (): Promise<(string | undefined)[]> => {
    const { items } = await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal);
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => spec?.containers[0]?.image);
  };

  await kubectl('apply -f -', { stdin: JSON.stringify(manifest) });
  assert.match(await kubectl('rollout status deploy/web'), /successfully rolled out/);
  await kubectl('set image deploy/web app=app:2');
  assert.match(await kubectl('rollout status deploy/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['app:2', 'app:2']);
  assert.match(await kubectl('rollout history deploy/web'), /\n1 .*\n2 /);

  await kubectl('rollout undo deploy/web');
  assert.match(await kubectl('rollout status deploy/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['app:1', 'app:1']);
  assert.match(await kubectl('rollout history deploy/web'), /\n2 .*\n3 /);

  await kubectl('rollout pause deploy/web');
  await kubectl('set image deploy/web app=app:3');
  await kubectl('scale deploy/web --replicas=3');
  await pollUntil('three pods of the old version', async () => ((await images()).join() === 'app:1,app:1,app:1' ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
  await kubectl('rollout resume deploy/web');
  assert.match(await kubectl('rollout status deploy/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['app:3', 'app:3', 'app:3']);

  await kubectl('set image deploy/web app=broken');
  assert.match(await kubectl('rollout status deploy/web', { okCodes: [1] }), /exceeded its progress deadline/);
  await kubectl('rollout undo deploy/web');
  assert.match(await kubectl('rollout status deploy/web'), /successfully rolled out/);

  await kubectl('apply -f -', { stdin: JSON.stringify(autoscaler) });
  const condition = await pollUntil('the autoscaler to look', async () => {
    const { status } = await cluster.client.get<k8s.HorizontalPodAutoscaler>(resources.horizontalPodAutoscalers, { namespace: 'default', name: 'web' }, cluster.signal);
    return status?.conditions?.find(({ type }) => type === 'ScalingActive');
  }, { timeoutMs: 30_000 }, cluster.signal);
  // Nothing measures here, and nothing is scaled without measuring.
  assert.deepEqual([condition.status, condition.reason], ['False', 'FailedGetResourceMetric']);
  assert.equal((await images()).length, 3);
  assert.match(await kubectl('get hpa web'), /Deployment\/web/);
});
