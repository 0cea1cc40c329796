import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, type KubeObject, type ResourceType, resources, type Stored } from '../../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../../client/mod.ts';
import { GantryError, pollUntil, runServices, silentLogger } from '../../../kernel/mod.ts';
import { openTestApiServer } from '../../apiserver/testing/test-api-server.ts';
import { controllerServices } from '../services.ts';

const labels = { app: 'web' };
const place = { namespace: 'default' };

function replicaSet(replicas: number): k8s.ReplicaSet {
  return { metadata: { ...place, name: 'web' }, spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } } } };
}

/** Runs all controllers with their own caches until they are stopped, as one start of the server would. */
function startControllers(client: KubeClient): AsyncDisposable {
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const run = runServices([[informers, ...controllerServices(client, informers, {}, silentLogger())]], silentLogger(), stop.signal);
  return { [Symbol.asyncDispose]: () => (stop.abort(), run) };
}

/** The same client, but `create` goes through `intercept`. */
function wrapCreate(client: KubeClient, intercept: (create: () => Promise<unknown>, object: KubeObject) => Promise<unknown>): KubeClient {
  return new Proxy(client, {
    get(target, name): unknown {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'create') return typeof value === 'function' ? value.bind(target) : value;
      return (type: ResourceType, object: KubeObject, signal: AbortSignal) => intercept(() => target.create(type, object, signal), object);
    },
  });
}

async function podsOf(client: KubeClient, signal: AbortSignal): Promise<Stored<k8s.Pod>[]> {
  return (await client.list(resources.pods, place, signal)).items;
}

test('a ReplicaSet ends with exactly its pods although its controller is stopped and started in the middle', async () => {
  await using api = await openTestApiServer();
  await using client = openKubeClient(api.connection);
  const { signal } = new AbortController();
  await client.create(resources.replicaSets, replicaSet(40), signal);
  {
    await using running = new AsyncDisposableStack();
  running.use(startControllers(client));
    await pollUntil('the first pods', async () => ((await podsOf(client, signal)).length > 0 ? true : undefined), { timeoutMs: 30_000, intervalMs: 1 }, signal);
  }
  await using running = new AsyncDisposableStack();
  running.use(startControllers(client));
  await pollUntil('the status', async () => ((await client.get(resources.replicaSets, { ...place, name: 'web' }, signal)).status?.replicas === 40 ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.equal((await podsOf(client, signal)).length, 40);
});

test('a ReplicaSet says why pods cannot be created and goes on when they can', async () => {
  await using api = await openTestApiServer();
  await using client = openKubeClient(api.connection);
  const { signal } = new AbortController();
  let isRefusing = true;
  const refusing = wrapCreate(client, (create, object) => (isRefusing && object.metadata?.ownerReferences?.[0]?.kind === 'ReplicaSet' ? Promise.reject(new GantryError('forbidden', 'exceeded quota: pods')) : create()));
  await using running = new AsyncDisposableStack();
  running.use(startControllers(refusing));
  await client.create(resources.replicaSets, replicaSet(3), signal);
  const failed = await pollUntil('the condition', async () => (await client.get(resources.replicaSets, { ...place, name: 'web' }, signal)).status?.conditions?.find(({ type }) => type === 'ReplicaFailure'), { timeoutMs: 30_000 }, signal);
  assert.deepEqual([failed.status, failed.reason, failed.message], ['True', 'FailedCreate', 'exceeded quota: pods']);
  isRefusing = false;
  await pollUntil('the pods, and no condition', async () => {
    const { status } = await client.get(resources.replicaSets, { ...place, name: 'web' }, signal);
    return status?.replicas === 3 && (status.conditions ?? []).length === 0 ? true : undefined;
  }, { timeoutMs: 30_000 }, signal);
});

test('a ReplicaSet adopts pods it selects and lets go of relabelled ones', async () => {
  await using api = await openTestApiServer();
  await using client = openKubeClient(api.connection);
  const { signal } = new AbortController();
  await client.create<k8s.Pod>(resources.pods, { metadata: { ...place, name: 'orphan', labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } }, signal);
  await client.create(resources.replicaSets, replicaSet(1), signal);
  await using running = new AsyncDisposableStack();
  running.use(startControllers(client));
  const adopted = await pollUntil('adoption', async () => (await podsOf(client, signal)).find(({ metadata }) => metadata.ownerReferences?.[0]?.name === 'web'), { timeoutMs: 30_000 }, signal);
  assert.equal(adopted.metadata.name, 'orphan');
  await client.patch(resources.pods, { ...place, name: 'orphan' }, { type: 'merge', body: { metadata: { labels: { app: 'debug' } } } }, signal);
  const pods = await pollUntil('release and replacement', async () => {
    const all = await podsOf(client, signal);
    const isFree = all.some(({ metadata }) => metadata.name === 'orphan' && (metadata.ownerReferences ?? []).length === 0);
    return isFree && all.length === 2 ? all : undefined;
  }, { timeoutMs: 30_000 }, signal);
  assert.equal(pods.filter(({ metadata }) => metadata.ownerReferences?.[0]?.name === 'web').length, 1);
});
