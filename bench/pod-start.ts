import { openKubeClient, readKubeconfig } from '../src/client/mod.ts';
import { type k8s, resources } from '../src/api/mod.ts';
import { GantryError } from '../src/kernel/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { busyboxContext } from './contexts.ts';
import { report, type Samples } from './report.ts';

/** From the create request to the watch event that says Running: one pod at a time, then thirty at once. */
export async function benchPodStart(instance: Instance, signal: AbortSignal): Promise<void> {
  await using context = await busyboxContext();
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  const single: number[] = [];
  for (let index = 0; index < 10; index += 1) single.push(...(await startPods(instance, `one-${index}`, 1, signal)));
  const samples: Samples[] = [{ who: 'one pod', timesMs: single }, { who: 'each of 30 at once', timesMs: await startPods(instance, 'many', 30, signal) }];
  report('pod: create to Running', samples);
}

async function startPods(instance: Instance, prefix: string, count: number, signal: AbortSignal): Promise<number[]> {
  const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
  const client = openKubeClient(connection);
  const names = Array.from({ length: count }, (_, index) => `bench-${prefix}-${index}`);
  const { metadata } = await client.list(resources.pods, { namespace: 'default' }, signal);
  const stop = new AbortController();
  const running = new Map<string, number>();
  const watched = watchRunning(client.watch(resources.pods, { namespace: 'default', resourceVersion: metadata.resourceVersion ?? '' }, AbortSignal.any([signal, stop.signal])), names, running);
  const created = new Map<string, number>();
  await Promise.all(
    names.map(async (name) => {
      created.set(name, performance.now());
      await client.create(resources.pods, podOf(name), signal);
    }),
  );
  await watched;
  stop.abort();
  await Promise.all(names.map((name) => client.delete(resources.pods, { namespace: 'default', name }, { gracePeriodSeconds: 0 }, signal)));
  return names.map((name) => (running.get(name) ?? Number.NaN) - (created.get(name) ?? Number.NaN));
}

async function watchRunning(events: AsyncIterable<{ type: string; object?: k8s.Pod }>, names: readonly string[], running: Map<string, number>): Promise<void> {
  for await (const { object } of events) {
    const name = object?.metadata?.name ?? '';
    if (object?.status?.phase === 'Running' && names.includes(name) && !running.has(name)) running.set(name, performance.now());
    if (running.size === names.length) return;
  }
  throw new GantryError('unavailable', 'the watch ended before all pods ran');
}

function podOf(name: string): k8s.Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'bench/busybox', imagePullPolicy: 'Never', command: ['/bin/sleep', '3600'] }],
    },
  };
}
