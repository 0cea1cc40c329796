import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { pollUntil } from '../../../kernel/mod.ts';
import { fakeNodeAgent, openTestCluster, type TestCluster } from '../testing/test-cluster.ts';

const place = { namespace: 'default' };
const timeout = { timeoutMs: 30_000 };

function endpoints(cluster: TestCluster, name: string, isWanted: (found: Stored<k8s.Endpoints>) => boolean): Promise<Stored<k8s.Endpoints>> {
  return pollUntil(`Endpoints ${name}`, async () => {
    const found = (await cluster.client.list(resources.endpoints, place, cluster.signal)).items.find(({ metadata }) => metadata.name === name);
    return found !== undefined && isWanted(found) ? found : undefined;
  }, timeout, cluster.signal);
}

test('Endpoints follow the pods of a Service and go with it', async () => {
  await using cluster = await openTestCluster({ extra: (client, informers) => [fakeNodeAgent(client, informers)] });
  const { client, signal } = cluster;
  await client.create<k8s.Service>(resources.services, { metadata: { ...place, name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] } }, signal);
  await endpoints(cluster, 'web', ({ subsets }) => subsets === undefined || subsets.length === 0);
  await client.create<k8s.Pod>(resources.pods, { metadata: { ...place, name: 'a', labels: { app: 'web' } }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] } }, signal);
  const found = await endpoints(cluster, 'web', ({ subsets }) => (subsets?.[0]?.addresses?.length ?? 0) > 0);
  assert.deepEqual([found.subsets?.[0]?.ports, found.subsets?.[0]?.addresses?.map(({ targetRef }) => targetRef?.name)], [[{ port: 8080, protocol: 'TCP' }], ['a']]);
  await client.delete(resources.services, { ...place, name: 'web' }, {}, signal);
  await pollUntil('Endpoints to go', async () => ((await client.list(resources.endpoints, place, signal)).items.length === 0 ? true : undefined), timeout, signal);
});

test('Endpoints written for a Service without a selector become slices, and go with the Service', async () => {
  await using cluster = await openTestCluster();
  const { client, signal } = cluster;
  const slices = async (): Promise<k8s.EndpointSlice[]> => (await client.list(resources.endpointSlices, place, signal)).items.filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === 'db');
  await client.create<k8s.Endpoints>(resources.endpoints, { metadata: { ...place, name: 'db' }, subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 5432 }] }] }, signal);
  await client.create<k8s.Service>(resources.services, { metadata: { ...place, name: 'db' }, spec: { ports: [{ port: 5432 }] } }, signal);
  const [slice] = await pollUntil('a slice', async () => ((await slices()).length === 1 ? slices() : undefined), timeout, signal);
  assert.deepEqual([slice?.endpoints, slice?.ports], [[{ addresses: ['192.0.2.1'], conditions: { ready: true } }], [{ name: '', port: 5432, protocol: 'TCP' }]]);
  await client.delete(resources.services, { ...place, name: 'db' }, {}, signal);
  await pollUntil('slices and Endpoints to go', async () => ((await slices()).length === 0 && (await client.list(resources.endpoints, place, signal)).items.length === 0 ? true : undefined), timeout, signal);
});
