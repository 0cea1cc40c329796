import { type k8s, resources, type Stored } from '../src/api/mod.ts';
import { type KubeClient, openKubeClient, readKubeconfig } from '../src/client/mod.ts';
import { chooseNode } from '../src/cluster/scheduler/choose-node.ts';
import { ClusterState } from '../src/cluster/scheduler/cluster-state.ts';
import { GantryError } from '../src/kernel/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { busyboxContext } from './contexts.ts';
import { report, type Samples } from './report.ts';

const namespace = 'default';
const sizes = [1, 30, 200];

/** Pods from the request to Running, Ready and gone, in groups of 1, 30 and 200; and what the scheduler decides in a large cluster. */
export async function benchClusterPods(instance: Instance, signal: AbortSignal): Promise<void> {
  benchScheduler();
  await using context = await busyboxContext();
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
  await using client = openKubeClient(connection);
  await runGroup(client, 'warm', 1, signal);
  for (const size of sizes) {
    const { running, ready, gone, allReadyMs } = await runGroup(client, `group-${size}`, size, signal);
    const samples: Samples[] = [{ who: 'create to Running', timesMs: running }, { who: 'create to Ready', timesMs: ready }, { who: 'delete to gone', timesMs: gone }];
    report(`cluster-pods: ${size} at once (all Ready after ${(allReadyMs / 1000).toFixed(2)} s)`, samples);
  }
}

interface Times { readonly running: number[]; readonly ready: number[]; readonly gone: number[]; readonly allReadyMs: number }

async function runGroup(client: KubeClient, prefix: string, size: number, signal: AbortSignal): Promise<Times> {
  const names = new Set(Array.from({ length: size }, (_, index) => `bench-${prefix}-${index}`));
  const seen = { running: new Map<string, number>(), ready: new Map<string, number>(), gone: new Map<string, number>() };
  const all = { ready: Promise.withResolvers<void>(), gone: Promise.withResolvers<void>() };
  const stop = new AbortController();
  const { metadata } = await client.list(resources.pods, { namespace }, signal);
  const following = follow(client, metadata.resourceVersion ?? '', names, seen, all, AbortSignal.any([signal, stop.signal]));
  const created = new Map<string, number>();
  const startedAt = performance.now();
  await Promise.all([...names].map(async (name) => {
    created.set(name, performance.now());
    await client.create(resources.pods, podOf(name), signal);
  }));
  await Promise.race([all.ready.promise, following]);
  const allReadyMs = performance.now() - startedAt;
  const deleted = new Map<string, number>();
  await Promise.all([...names].map(async (name) => {
    deleted.set(name, performance.now());
    await client.delete(resources.pods, { namespace, name }, {}, signal);
  }));
  await Promise.race([all.gone.promise, following]);
  stop.abort();
  await following.catch(() => undefined);
  const since = (from: ReadonlyMap<string, number>, to: ReadonlyMap<string, number>): number[] => [...names].map((name) => (to.get(name) ?? Number.NaN) - (from.get(name) ?? Number.NaN));
  return { running: since(created, seen.running), ready: since(created, seen.ready), gone: since(deleted, seen.gone), allReadyMs };
}

interface Seen { readonly running: Map<string, number>; readonly ready: Map<string, number>; readonly gone: Map<string, number> }

async function follow(client: KubeClient, resourceVersion: string, names: ReadonlySet<string>, seen: Seen, all: { ready: PromiseWithResolvers<void>; gone: PromiseWithResolvers<void> }, signal: AbortSignal): Promise<void> {
  for await (const event of client.watch(resources.pods, { namespace, resourceVersion }, signal)) {
    if (event.type === 'BOOKMARK') continue;
    const { metadata, status } = event.object;
    if (!names.has(metadata.name)) continue;
    const note = (map: Map<string, number>): void => void (map.has(metadata.name) || map.set(metadata.name, performance.now()));
    if (status?.phase === 'Running') note(seen.running);
    if (status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true) note(seen.ready);
    if (event.type === 'DELETED') note(seen.gone);
    if (seen.ready.size === names.size) all.ready.resolve();
    if (seen.gone.size === names.size) all.gone.resolve();
  }
  if (!signal.aborted) throw new GantryError('unavailable', 'the watch ended early');
}

function podOf(name: string): k8s.Pod {
  return { metadata: { name, namespace }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'bench/busybox', imagePullPolicy: 'Never', command: ['/bin/sleep', '3600'] }] } };
}

/** Decisions alone, without the API: 1,000 nodes, 10,000 pods one after the other, each placed before the next is looked at. */
function benchScheduler(): void {
  const [nodes, pods] = [1_000, 10_000];
  const state = new ClusterState();
  const at = '2030-01-01T00:00:00Z';
  for (let index = 0; index < nodes; index += 1) {
    const name = `node-${index}`;
    state.setNode({ metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: at, labels: { 'topology.kubernetes.io/zone': `zone-${index % 3}` } }, status: { allocatable: { cpu: '8', memory: '32Gi', pods: '110' }, conditions: [{ type: 'Ready', status: 'True' }] } });
  }
  const surroundings = { namespaceLabels: () => ({}) };
  const known = state.nodes;
  const startedAt = performance.now();
  for (let index = 0; index < pods; index += 1) {
    const name = `pod-${index}`;
    const pod: Stored<k8s.Pod> = { metadata: { name, namespace, uid: name, resourceVersion: '1', creationTimestamp: at, labels: { app: `app-${index % 50}` } }, spec: { containers: [{ name: 'main', resources: { requests: { cpu: '100m', memory: '128Mi' } } }] } };
    const choice = chooseNode(pod, known, surroundings, { from: index % nodes });
    if ('nodeName' in choice) state.place(pod, choice.nodeName);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`\ncluster-pods: scheduler, ${pods} pods on ${nodes} nodes: ${Math.round(pods / seconds)} decisions/s (${seconds.toFixed(2)} s)`);
}
