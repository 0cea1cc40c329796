import { resources } from '../src/api/mod.ts';
import { type KubeClient, openKubeClient, readKubeconfig } from '../src/client/mod.ts';
import type { Instance } from '../test/story/instance.ts';

/** Requests a second of the API server, by eight clients at once: create, get, list of 100 objects. */
export async function benchApi(instance: Instance, signal: AbortSignal): Promise<void> {
  const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
  const client = openKubeClient(connection);
  const name = (index: number): string => `bench-${index}`;
  const object = (index: number) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name(index), namespace: 'default' }, data: { key: 'value'.repeat(20) } });
  console.log('\nAPI server, ConfigMaps of 100 bytes, 8 requests at once');
  await measure('create', 2000, (index) => client.create(resources.configMaps, object(index), signal));
  await measure('get', 5000, (index) => client.get(resources.configMaps, { namespace: 'default', name: name(index % 2000) }, signal));
  await measure('list (100)', 300, () => client.list(resources.configMaps, { namespace: 'default', limit: 100 }, signal));
  await cleanUp(client, name, signal);
}

async function measure(what: string, count: number, once: (index: number) => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await once(index);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`  ${what.padEnd(22)} ${Math.round(count / seconds)} requests/s`);
}

async function cleanUp(client: KubeClient, name: (index: number) => string, signal: AbortSignal): Promise<void> {
  for (let index = 0; index < 2000; index += 100) {
    const names = Array.from({ length: 100 }, (_, offset) => name(index + offset));
    await Promise.all(names.map((one) => client.delete(resources.configMaps, { namespace: 'default', name: one }, {}, signal)));
  }
}
