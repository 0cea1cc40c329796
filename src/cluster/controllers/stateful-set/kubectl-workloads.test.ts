import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { resources } from '../../../api/mod.ts';
import { writeKubeconfig } from '../../../client/mod.ts';
import { baseEnv, pollUntil, runCommand, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { addNode, fakeNodeAgent, openTestCluster } from '../testing/test-cluster.ts';

const hasKubectl = await runCommand('kubectl', ['version', '--client'], { okCodes: [0, 1] }, AbortSignal.timeout(10_000)).then(() => true, () => false);

function workload(kind: string, more: object): string {
  const labels = { app: kind.toLowerCase() };
  return JSON.stringify({ apiVersion: 'apps/v1', kind, metadata: { name: 'web' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } }, ...more } });
}

test('kubectl rolls StatefulSets and DaemonSets out and back, and scales', { skip: hasKubectl ? false : 'kubectl is not installed' }, async (context) => {
  const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'] };
  await using cluster = await openTestCluster({
    apiServer: { authenticators: [{ authenticate: () => admin }] },
    extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers)],
  });
  await addNode(cluster.client, 'node-1');
  await addNode(cluster.client, 'node-2');
  const folder = await mkdtemp(join(tmpdir(), 'workloads-'));
  context.after(() => rm(folder, { recursive: true }));
  const kubeconfig = join(folder, 'config');
  await writeKubeconfig(kubeconfig, 'test', { connection: cluster.api.connection, namespace: 'default' });
  const env = { ...baseEnv(), HOME: folder, KUBECONFIG: kubeconfig };
  const kubectl = async (args: string, stdin?: string): Promise<string> => {
    const { stdout, stderr } = await runCommand('kubectl', args.split(' '), { env, ...(stdin === undefined ? {} : { stdin }) }, AbortSignal.any([cluster.signal, AbortSignal.timeout(60_000)]));
    return stdout + stderr;
  };
  const images = async (): Promise<string[]> => {
    const { items } = await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal);
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ metadata, spec }) => `${/^web-[0-2]$/.test(metadata.name) ? metadata.name : (spec?.nodeName ?? '')} ${spec?.containers[0]?.image ?? ''}`).toSorted();
  };

  await kubectl('apply -f -', workload('StatefulSet', { replicas: 2, serviceName: 'web' }));
  assert.match(await kubectl('rollout status sts/web'), /roll(ing update complete 2 pods|out complete|ed out)|complete/);
  assert.deepEqual(await images(), ['web-0 app:1', 'web-1 app:1']);
  await kubectl('set image sts/web app=app:2');
  assert.match(await kubectl('rollout status sts/web'), /complete/);
  assert.deepEqual(await images(), ['web-0 app:2', 'web-1 app:2']);
  assert.match(await kubectl('rollout history sts/web'), /\n1 .*\n2 /);
  await kubectl('rollout undo sts/web');
  assert.match(await kubectl('rollout status sts/web'), /complete/);
  assert.deepEqual(await images(), ['web-0 app:1', 'web-1 app:1']);
  assert.match(await kubectl('rollout history sts/web'), /\n2 .*\n3 /);
  await kubectl('scale sts/web --replicas=3');
  await pollUntil('three pods', async () => ((await images()).length === 3 ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
  assert.match(await kubectl('get sts web'), /web +3\/3|web +2\/3/);
  await kubectl('delete sts web --cascade=foreground');
  assert.deepEqual(await images(), []);

  await kubectl('apply -f -', workload('DaemonSet', {}));
  assert.match(await kubectl('rollout status ds/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['node-1 app:1', 'node-2 app:1']);
  await kubectl('set image ds/web app=app:2');
  assert.match(await kubectl('rollout status ds/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['node-1 app:2', 'node-2 app:2']);
  await kubectl('rollout undo ds/web');
  assert.match(await kubectl('rollout status ds/web'), /successfully rolled out/);
  assert.deepEqual(await images(), ['node-1 app:1', 'node-2 app:1']);
  await addNode(cluster.client, 'node-3');
  await pollUntil('a pod on the new node', async () => ((await images()).includes('node-3 app:1') ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
});
