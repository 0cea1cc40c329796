import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, type KubeObject, type ObjectRef, resources, type ResourceType, type Stored } from '../../../api/mod.ts';
import { isError, pollUntil } from '../../../kernel/mod.ts';
import { openTestCluster, type TestCluster } from '../testing/test-cluster.ts';

const place = { namespace: 'default' };

async function configMap(cluster: TestCluster, name: string, ...owners: Stored<KubeObject>[]): Promise<Stored<k8s.ConfigMap>> {
  const ownerReferences = owners.map(({ apiVersion = '', kind = '', metadata }) => ({ apiVersion, kind, name: metadata.name, uid: metadata.uid, blockOwnerDeletion: true }));
  return cluster.client.create<k8s.ConfigMap>(resources.configMaps, { metadata: { ...place, name, ownerReferences } }, cluster.signal);
}

async function find<T extends KubeObject>(cluster: TestCluster, type: ResourceType<T>, ref: ObjectRef): Promise<Stored<T> | undefined> {
  try {
    return await cluster.client.get(type, ref, cluster.signal);
  } catch (error) {
    if (isError(error, 'not-found')) return undefined;
    throw error;
  }
}

async function gone(cluster: TestCluster, type: ResourceType, ref: ObjectRef): Promise<void> {
  await pollUntil(`${type.kind} ${ref.name} to go`, async () => ((await find(cluster, type, ref)) === undefined ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
}

test('GarbageCollector deletes dependents of what was deleted, down to the last', async () => {
  await using cluster = await openTestCluster();
  const a = await configMap(cluster, 'a');
  const b = await configMap(cluster, 'b', a);
  const c = await configMap(cluster, 'c', b);
  const other = await configMap(cluster, 'other');
  await configMap(cluster, 'shared', c, other);
  await cluster.client.delete(resources.configMaps, { ...place, name: 'a' }, { propagationPolicy: 'Background' }, cluster.signal);
  await gone(cluster, resources.configMaps, { ...place, name: 'c' });
  const shared = await pollUntil('shared to be disowned', async () => {
    const current = await find(cluster, resources.configMaps, { ...place, name: 'shared' });
    return current?.metadata.ownerReferences?.length === 1 ? current : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal);
  assert.equal(shared.metadata.ownerReferences?.[0]?.name, 'other');
});

test('GarbageCollector deletes dependents first in the foreground and spares them when orphaning', async () => {
  await using cluster = await openTestCluster();
  const a = await configMap(cluster, 'a');
  const b = await configMap(cluster, 'b', a);
  await cluster.client.patch(resources.configMaps, { ...place, name: 'b' }, { type: 'merge', body: { metadata: { finalizers: ['test.dev/hold'] } } }, cluster.signal);
  await cluster.client.delete(resources.configMaps, { ...place, name: 'a' }, { propagationPolicy: 'Foreground' }, cluster.signal);
  await pollUntil('b to be deleting', async () => ((await find(cluster, resources.configMaps, { ...place, name: 'b' }))?.metadata.deletionTimestamp === undefined ? undefined : true), { timeoutMs: 30_000 }, cluster.signal);
  assert.notEqual(await find(cluster, resources.configMaps, { ...place, name: 'a' }), undefined, 'the owner waits');
  await cluster.client.patch(resources.configMaps, { ...place, name: 'b' }, { type: 'merge', body: { metadata: { uid: b.metadata.uid, finalizers: null } } }, cluster.signal);
  await gone(cluster, resources.configMaps, { ...place, name: 'a' });

  const c = await configMap(cluster, 'c');
  await configMap(cluster, 'd', c);
  await cluster.client.delete(resources.configMaps, { ...place, name: 'c' }, { propagationPolicy: 'Orphan' }, cluster.signal);
  await gone(cluster, resources.configMaps, { ...place, name: 'c' });
  const orphan = await find(cluster, resources.configMaps, { ...place, name: 'd' });
  assert.deepEqual(orphan?.metadata.ownerReferences ?? [], []);
});

test('GarbageCollector works for custom kinds, also those defined later', async () => {
  await using cluster = await openTestCluster();
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await cluster.client.create<k8s.CustomResourceDefinition>(
    resources.customResourceDefinitions,
    { metadata: { name: 'things.test.dev' }, spec: { group: 'test.dev', scope: 'Namespaced', names: { plural: 'things', singular: 'thing', kind: 'Thing' }, versions: [{ name: 'v1', served: true, storage: true, schema }] } },
    cluster.signal,
  );
  const things: ResourceType = { group: 'test.dev', version: 'v1', plural: 'things', kind: 'Thing', isNamespaced: true };
  const owner = await pollUntil('the kind to be served', () => cluster.client.create(things, { metadata: { ...place, name: 'owner' } }, cluster.signal).catch(() => undefined), { timeoutMs: 30_000 }, cluster.signal);
  await configMap(cluster, 'owned', owner);
  await cluster.client.delete(things, { ...place, name: 'owner' }, { propagationPolicy: 'Background' }, cluster.signal);
  await gone(cluster, resources.configMaps, { ...place, name: 'owned' });
});

test('GarbageCollector deletes what was created for an owner that is gone already', async () => {
  await using cluster = await openTestCluster();
  const a = await configMap(cluster, 'a');
  await cluster.client.delete(resources.configMaps, { ...place, name: 'a' }, {}, cluster.signal);
  await configMap(cluster, 'late', a);
  await gone(cluster, resources.configMaps, { ...place, name: 'late' });
});

test('a namespace goes with everything in it, and every namespace has its service account', async () => {
  await using cluster = await openTestCluster({ controllers: { clusterCa: 'PEM' } });
  const ref = { namespace: 'shop', name: 'default' };
  await cluster.client.create(resources.namespaces, { metadata: { name: 'shop' } }, cluster.signal);
  await pollUntil('the service account', () => find(cluster, resources.serviceAccounts, ref), { timeoutMs: 30_000 }, cluster.signal);
  const ca = await pollUntil('the root certificates', () => find(cluster, resources.configMaps, { namespace: 'shop', name: 'kube-root-ca.crt' }), { timeoutMs: 30_000 }, cluster.signal);
  assert.deepEqual(ca.data, { 'ca.crt': 'PEM' });
  await cluster.client.create<k8s.Secret>(resources.secrets, { metadata: { namespace: 'shop', name: 's' } }, cluster.signal);
  await cluster.client.delete(resources.namespaces, { name: 'shop' }, {}, cluster.signal);
  await gone(cluster, resources.namespaces, { name: 'shop' });
  assert.equal(await find(cluster, resources.secrets, { namespace: 'shop', name: 's' }), undefined);
});
