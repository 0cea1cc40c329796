import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiException, AppsV1Api, CoreV1Api, CustomObjectsApi, KubeConfig, KubernetesObjectApi, makeInformer, PatchStrategy, setHeaderOptions, VersionApi, Watch } from '@kubernetes/client-node';
import { gantryDefinitions } from '../../../src/api/mod.ts';
import { apiCaller } from '../../../src/cluster/apiserver/testing/api-caller.ts';
import { openTestApiServer } from '../../../src/cluster/apiserver/testing/test-api-server.ts';
import { pollUntil } from '../../../src/kernel/mod.ts';

function configFor(server: { url: string; connection: { token: string } }): KubeConfig {
  const config = new KubeConfig();
  config.loadFromOptions({ clusters: [{ name: 'test', server: server.url, skipTLSVerify: true }], users: [{ name: 'admin', token: server.connection.token }], contexts: [{ name: 'test', cluster: 'test', user: 'admin' }], currentContext: 'test' });
  return config;
}

const deployment = (name: string): object => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: 'default' }, spec: { replicas: 2, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } } } });

test('@kubernetes/client-node creates, reads, patches, scales, lists by pages and deletes', async () => {
  await using server = await openTestApiServer();
  const config = configFor(server);
  const [core, apps] = [config.makeApiClient(CoreV1Api), config.makeApiClient(AppsV1Api)];
  assert.match((await config.makeApiClient(VersionApi).getCode()).gitVersion, /^v1\.\d+\.\d+/);
  const made = await apps.createNamespacedDeployment({ namespace: 'default', body: deployment('web') });
  assert.deepEqual([made.spec?.replicas, made.metadata?.creationTimestamp instanceof Date], [2, true]);
  await apps.patchNamespacedDeployment({ name: 'web', namespace: 'default', body: { spec: { template: { spec: { containers: [{ name: 'c', image: 'nginx:2' }] } } } } }, setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch));
  await apps.patchNamespacedDeploymentScale({ name: 'web', namespace: 'default', body: { spec: { replicas: 5 } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
  const changed = await apps.readNamespacedDeployment({ name: 'web', namespace: 'default' });
  assert.deepEqual([changed.spec?.replicas, changed.spec?.template.spec?.containers[0]?.image], [5, 'nginx:2']);
  for (const name of ['a', 'b', 'c']) await core.createNamespacedConfigMap({ namespace: 'default', body: { metadata: { name, labels: { n: name } }, data: { x: name } } });
  const names: (string | undefined)[] = [];
  let next: string | undefined;
  do {
    const page = await core.listNamespacedConfigMap({ namespace: 'default', limit: 2, ...(next === undefined ? {} : { _continue: next }) });
    names.push(...page.items.map(({ metadata }) => metadata?.name));
    ({ _continue: next } = page.metadata ?? {});
  } while (next !== undefined);
  assert.deepEqual(names, ['a', 'b', 'c']);
  await core.deleteCollectionNamespacedConfigMap({ namespace: 'default', labelSelector: 'n in (a, b)' });
  assert.equal((await core.listNamespacedConfigMap({ namespace: 'default' })).items.length, 1);
  await assert.rejects(core.readNamespacedConfigMap({ name: 'a', namespace: 'default' }), (error) => error instanceof ApiException && error.code === 404);
});

test('@kubernetes/client-node applies on the server’s side and uses custom objects', async () => {
  await using server = await openTestApiServer();
  const config = configFor(server);
  const objects = KubernetesObjectApi.makeApiClient(config);
  // Not through this client: it drops the defaults of a schema that is given as plain JSON.
  for (const definition of gantryDefinitions) await apiCaller(server)('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition);
  const apply = (image: string, manager: string, force = false): Promise<unknown> => {
    const body = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default' }, spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image }] } } } };
    return objects.patch(body, undefined, undefined, manager, force, PatchStrategy.ServerSideApply);
  };
  await apply('one', 'first');
  await assert.rejects(apply('two', 'second'), (error) => error instanceof ApiException && error.code === 409);
  await apply('two', 'second', true);
  const custom = config.makeApiClient(CustomObjectsApi);
  const place = { group: 'gantry.dev', version: 'v1', namespace: 'default', plural: 'repositories' };
  await custom.createNamespacedCustomObject({ ...place, body: { apiVersion: 'gantry.dev/v1', kind: 'Repository', metadata: { name: 'shop' }, spec: {} } });
  const found = (await custom.getNamespacedCustomObject({ ...place, name: 'shop' })) as { spec: { defaultBranch: string } };
  assert.equal(found.spec.defaultBranch, 'main');
});

test('@kubernetes/client-node watches, and its informer keeps up', async () => {
  await using server = await openTestApiServer();
  const config = configFor(server);
  const core = config.makeApiClient(CoreV1Api);
  const create = (name: string): Promise<unknown> => core.createNamespacedConfigMap({ namespace: 'default', body: { metadata: { name } } });
  await create('before');
  const known = new Set<string>();
  const informer = makeInformer(config, '/api/v1/namespaces/default/configmaps', () => core.listNamespacedConfigMap({ namespace: 'default' }));
  informer.on('add', ({ metadata }) => known.add(metadata?.name ?? ''));
  informer.on('delete', ({ metadata }) => known.delete(metadata?.name ?? ''));
  await informer.start();
  const seen: string[] = [];
  const watch = await new Watch(config).watch('/api/v1/namespaces/default/configmaps', { allowWatchBookmarks: true }, (type, object: { metadata: { name: string } }) => void seen.push(`${type} ${object.metadata.name}`), () => undefined);
  await create('after');
  await core.deleteNamespacedConfigMap({ name: 'before', namespace: 'default' });
  await pollUntil('both to have seen it', async () => (known.has('after') && !known.has('before') && seen.includes('DELETED before') ? true : undefined), { timeoutMs: 30_000 }, AbortSignal.timeout(30_000));
  assert.ok(seen.includes('ADDED after'));
  watch.abort();
  await informer.stop();
});
