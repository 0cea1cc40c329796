import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { pollUntil } from '../../../kernel/mod.ts';
import { readPodManifest } from '../../apiserver/mod.ts';
import { MemoryRuntime } from '../testing/memory-runtime.ts';
import { openTestNode, type TestNode } from '../testing/test-node.ts';
import { annotations, clusterReference, toStaticPod } from './mirror.ts';

const signal = AbortSignal.timeout(120_000);
const patience = { timeoutMs: 60_000, intervalMs: 20 };
const manifest = (script: string, more = ''): string => `apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: app, image: "app:1", command: [sh, -c, ${script}] }]
${more}`;

interface StaticNode extends AsyncDisposable { readonly node: TestNode; readonly runtime: MemoryRuntime; readonly folder: string }

async function openStaticNode(files: Record<string, string>): Promise<StaticNode> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'gantry-static-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const runtime = new MemoryRuntime();
  const node = cleanup.use(await openTestNode(runtime, { staticPods: { folder, read: (text) => Promise.resolve(readPodManifest(text)) } }));
  const moved = cleanup.move();
  return { node, runtime, folder, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

const isRunning = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Running';
const waitRunning = (node: TestNode, not?: string): Promise<Stored<k8s.Pod>> => pollUntil('the mirror to be Running', async () => {
  const pod = await node.pod('web-node-1');
  return pod !== undefined && pod.metadata.uid !== not && isRunning(pod) ? pod : undefined;
}, patience, signal);

test('a static pod runs from its file; its mirror cannot end it; a restart finds it; a change replaces it; it goes with its file', async () => {
  await using opened = await openStaticNode({ 'web.yaml': manifest('one') });
  const { node, runtime, folder } = opened;
  const first = await waitRunning(node);
  assert.deepEqual([first.metadata.labels, first.metadata.annotations?.[annotations.source], first.metadata.ownerReferences?.map(({ kind, name }) => [kind, name])], [{ app: 'web' }, 'file', [['Node', 'node-1']]]);
  const { id, podUid } = runtime.find('app');
  assert.equal(podUid, first.metadata.annotations?.[annotations.mirror]);
  await node.client.delete(resources.pods, { namespace: 'default', name: 'web-node-1' }, {}, signal);
  const second = await waitRunning(node, first.metadata.uid);
  assert.deepEqual([runtime.find('app').id, second.status?.containerStatuses?.[0]?.containerID], [id, `gantry://${id}`]);
  await node.restart();
  await waitRunning(node);
  assert.equal(runtime.find('app').id, id);
  await writeFile(join(folder, 'web.yaml'), manifest('two'));
  await pollUntil('another container', async () => {
    const containers = await runtime.listContainers();
    return containers.length === 1 && containers[0]?.id !== id && containers[0]?.state === 'running' ? true : undefined;
  }, patience, signal);
  await waitRunning(node, second.metadata.uid);
  await rm(join(folder, 'web.yaml'));
  await node.waitGone('web-node-1');
  await pollUntil('nothing to run', async () => ((await runtime.listContainers()).length === 0 && (await runtime.listSandboxes()).length === 0 ? true : undefined), patience, signal);
});

test('a manifest that needs the cluster, or is none, is refused with an event; what only says that it is a mirror is removed', async () => {
  const configured = manifest('x', '  volumes: [{ name: c, configMap: { name: c } }]\n');
  await using opened = await openStaticNode({ 'configured.yaml': configured, 'broken.yaml': manifest('x', '  unknownField: 1\n'), '.hidden': 'no' });
  const { node, runtime } = opened;
  const messages = await pollUntil('two events', async () => {
    const { items } = await node.client.list(resources.events, { namespace: 'default' }, signal);
    const found = items.filter(({ reason }) => reason === 'StaticPodRefused').map(({ message }) => message ?? '');
    return found.length === 2 ? found.toSorted() : undefined;
  }, patience, signal);
  assert.match(messages[0] ?? '', /^broken\.yaml: .*unknown field "spec\.unknownField"/);
  assert.match(messages[1] ?? '', /^configured\.yaml: a static pod runs without the cluster and cannot use spec\.volumes\[0\]/);
  await node.createPod('false', { containers: [{ name: 'app', image: 'app:1' }] }, { annotations: { [annotations.mirror]: 'whatever' } });
  await node.waitGone('false');
  assert.deepEqual(await runtime.listContainers(), []);
});

test('StaticPods starts what the files say while no API answers', async () => {
  await using opened = await openStaticNode({});
  const folder = join(opened.folder, 'other');
  await mkdir(folder);
  await writeFile(join(folder, 'web.yaml'), manifest('one'));
  const { StaticPods } = await import('./static-pods.ts');
  const started: string[] = [];
  const never = new Promise<void>(() => undefined);
  const start = (pod: Stored<k8s.Pod>) => (started.push(pod.metadata.name), { update: () => undefined, markGone: () => undefined, done: never });
  const { client } = opened.node;
  const parts = { nodeName: 'n', client, pods: { get: () => undefined, list: () => [], indexed: () => [], ownedBy: () => [] }, start, onRefused: assert.fail, log: (await import('../../../kernel/mod.ts')).silentLogger() };
  await new StaticPods({ folder, read: (text) => Promise.resolve(readPodManifest(text)) }, parts).open(signal);
  assert.deepEqual(started, ['web-n']);
});

test('clusterReference() names what a static pod cannot use', () => {
  const table: [k8s.PodSpec, string | undefined][] = [
    [{ containers: [{ name: 'a' }], volumes: [{ name: 'v', hostPath: { path: '/' } }] }, undefined],
    [{ containers: [], serviceAccountName: 'x' }, 'spec.serviceAccountName'],
    [{ containers: [], imagePullSecrets: [{ name: 's' }] }, 'spec.imagePullSecrets'],
    [{ containers: [], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] }, 'spec.volumes[0]'],
    [{ containers: [], volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] }, 'spec.volumes[0].projected'],
    [{ containers: [{ name: 'a', env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }] }, 'the environment of container a'],
  ];
  for (const [spec, expected] of table) assert.equal(clusterReference({ spec }), expected);
});

test('toStaticPod() is the same for the same file and another for another content', () => {
  const pod: k8s.Pod = { metadata: { name: 'a' }, spec: { containers: [] } };
  const uid = (value: k8s.Pod, file = 'f', node = 'n'): string => toStaticPod(value, file, node).metadata.uid;
  assert.equal(uid(pod), uid(structuredClone(pod)));
  assert.equal(new Set([uid(pod), uid(pod, 'g'), uid(pod, 'f', 'm'), uid({ ...pod, spec: { containers: [], priority: 1 } })]).size, 4);
});
