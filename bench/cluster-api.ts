import { resources } from '../src/api/mod.ts';
import { type KubeClient, openKubeClient, readKubeconfig } from '../src/client/mod.ts';
import { type Instance, residentBytes } from '../test/story/instance.ts';
import { percentile } from '../test/story/load.ts';

const atOnce = 8;
const objects = 5000;
const watchers = 200;
const namespace = 'default';
const path = `/api/v1/namespaces/${namespace}/configmaps`;
const nameOf = (index: number): string => `bench-${index}`;

/** The API server under load by eight clients at once: requests a second and percentiles, a list of 5,000, 200 watchers, memory. */
export async function benchClusterApi(instance: Instance, signal: AbortSignal): Promise<void> {
  const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
  const client = openKubeClient(connection);
  const server = async (): Promise<string> => `${((await residentBytes((await instance.processes(signal))['server'] ?? 0)) / (1 << 20)).toFixed(0)} MiB`;
  console.log(`\ncluster API, ConfigMaps of 100 bytes, ${atOnce} requests at once; the client shares the machine`);
  console.log(`  server before: ${await server()}`);
  const object = (index: number): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: nameOf(index), namespace, labels: { bench: 'api' } }, data: { key: 'value'.repeat(20) } });
  const apply = (index: number): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: nameOf(index % objects), namespace }, data: { applied: String(index) } });
  await measure('create', objects, (index) => client.request('POST', path, object(index), signal));
  await measure('get', 10_000, (index) => client.request('GET', `${path}/${nameOf(index % objects)}`, undefined, signal));
  await measure('patch (merge)', 2000, (index) => client.patch(resources.configMaps, { namespace, name: nameOf(index % objects) }, { type: 'merge', body: { data: { n: String(index) } } }, signal));
  await measure('apply (server-side)', 1000, (index) => client.patch(resources.configMaps, { namespace, name: nameOf(index) }, { type: 'apply', body: apply(index), fieldManager: 'bench', force: true }, signal));
  await measure(`list of ${objects}`, 30, () => client.request('GET', path, undefined, signal), 1);
  await measure('list, 500 a page', 300, () => client.request('GET', `${path}?limit=500`, undefined, signal));
  await fanOut(client, signal);
  console.log(`  server after: ${await server()}`);
  await measure('delete', objects, (index) => client.request('DELETE', `${path}/${nameOf(index)}`, undefined, signal));
}

async function measure(what: string, count: number, once: (index: number) => Promise<unknown>, clients = atOnce): Promise<void> {
  const timesMs: number[] = [];
  const startedAt = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const sentAt = performance.now();
      await once(index);
      timesMs.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: clients }, worker));
  report(what, count / ((performance.now() - startedAt) / 1000), timesMs);
}

function report(what: string, perSecond: number, timesMs: readonly number[]): void {
  const shown = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${percentile(timesMs, share).toFixed(1)}`).join('  ');
  console.log(`  ${what.padEnd(22)} ${perSecond.toFixed(0).padStart(7)} requests/s   ${shown} ms   n=${timesMs.length}`);
}

/** How long after a write has been sent each of the watchers has its event. */
async function fanOut(client: KubeClient, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const rounds = 50;
  const delaysMs: number[] = [];
  let sentAt = 0;
  let seen = 0;
  let round: () => void = () => {};
  const { metadata } = await client.list(resources.configMaps, { namespace, limit: 1 }, signal);
  const watching = Array.from({ length: watchers }, async () => {
    try {
      for await (const event of client.watch(resources.configMaps, { namespace, fieldSelector: 'metadata.name=bench-watched', resourceVersion: metadata.resourceVersion ?? '' }, until)) {
        if (event.type === 'BOOKMARK') continue;
        delaysMs.push(performance.now() - sentAt);
        if ((seen += 1) % watchers === 0) round();
      }
    } catch (error) {
      if (!until.aborted) throw error;
    }
  });
  const startedAt = performance.now();
  for (let index = 0; index < rounds; index += 1) {
    const all = new Promise<void>((resolve) => (round = resolve));
    sentAt = performance.now();
    const write = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'bench-watched', namespace }, data: { n: String(index) } };
    await client.patch(resources.configMaps, { namespace, name: 'bench-watched' }, { type: 'apply', body: write, fieldManager: 'bench', force: true }, signal);
    await all;
  }
  report(`watch, ${watchers} watchers`, (rounds * watchers) / ((performance.now() - startedAt) / 1000), delaysMs);
  stop.abort();
  await Promise.allSettled(watching);
  await client.request('DELETE', `${path}/bench-watched`, undefined, signal);
}
