import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { pollUntil, runServices, silentLogger } from '../../kernel/mod.ts';
import { openTestApiServer } from '../apiserver/testing/test-api-server.ts';
import { Scheduler } from './scheduler.ts';

interface Running extends AsyncDisposable { readonly client: KubeClient; readonly signal: AbortSignal }

async function open(): Promise<Running> {
  await using cleanup = new AsyncDisposableStack();
  const api = cleanup.use(await openTestApiServer());
  const client = cleanup.use(openKubeClient(api.connection));
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const run = runServices([[informers, new Scheduler(client, informers, {}, silentLogger())]], silentLogger(), stop.signal);
  cleanup.defer(async () => {
    stop.abort();
    await run;
  });
  const moved = cleanup.move();
  return { client, signal: stop.signal, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

async function addNode({ client, signal }: Running, name: string, cpu: string): Promise<void> {
  await client.create(resources.nodes, { metadata: { name } }, signal);
  const status = { allocatable: { cpu, memory: '8Gi', pods: '110' }, conditions: [{ type: 'Ready', status: 'True' }] };
  await client.patch(resources.nodes, { name }, { type: 'merge', subresource: 'status', body: { status } }, signal);
}

function addPod({ client, signal }: Running, name: string, cpu: string, over: Partial<k8s.PodSpec> = {}): Promise<Stored<k8s.Pod>> {
  return client.create<k8s.Pod>(resources.pods, { metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }], ...over } }, signal);
}

function podThat(running: Running, name: string, what: string, isDone: (pod: Stored<k8s.Pod>) => boolean): Promise<Stored<k8s.Pod>> {
  const probe = async (): Promise<Stored<k8s.Pod> | undefined> => {
    const pod = await running.client.get(resources.pods, { namespace: 'default', name }, running.signal);
    return isDone(pod) ? pod : undefined;
  };
  return pollUntil(`pod ${name} ${what}`, probe, { timeoutMs: 30_000 }, running.signal);
}

const pendingReason = (pod: k8s.Pod): string | undefined => pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False')?.message;

test('Scheduler binds pods and says on the others why they wait', async () => {
  await using running = await open();
  await addNode(running, 'a', '1');
  await addPod(running, 'fits', '600m');
  await podThat(running, 'fits', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  await addPod(running, 'waits', '600m');
  const waiting = await podThat(running, 'waits', 'to be reported', (pod) => pendingReason(pod) !== undefined);
  assert.equal(pendingReason(waiting), '0/1 nodes are available: 1 Insufficient cpu.');
  const event = await pollUntil('the event', async () => {
    const { items } = await running.client.list(resources.events, { namespace: 'default' }, running.signal);
    return items.find(({ reason }) => reason === 'FailedScheduling');
  }, { timeoutMs: 30_000 }, running.signal);
  assert.deepEqual([event.involvedObject.name, event.type, event.message], ['waits', 'Warning', '0/1 nodes are available: 1 Insufficient cpu.']);
});

test('Scheduler tries waiting pods again when room appears', async () => {
  await using running = await open();
  await addPod(running, 'first', '600m');
  await podThat(running, 'first', 'to wait', (pod) => pendingReason(pod) === 'no nodes available to schedule pods');
  await addNode(running, 'a', '1');
  await podThat(running, 'first', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  await addPod(running, 'second', '600m');
  await podThat(running, 'second', 'to wait', (pod) => pendingReason(pod) !== undefined);
  await running.client.delete(resources.pods, { namespace: 'default', name: 'first' }, { gracePeriodSeconds: 0 }, running.signal);
  const second = await podThat(running, 'second', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  assert.equal(pendingReason(second), undefined);
});

test('Scheduler leaves pods alone that are gated or of another scheduler', async () => {
  await using running = await open();
  await addNode(running, 'a', '4');
  await addPod(running, 'other', '100m', { schedulerName: 'mine' });
  await addPod(running, 'gated', '100m', { schedulingGates: [{ name: 'test.dev/gate' }] });
  await addPod(running, 'last', '100m');
  await podThat(running, 'last', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  const nameOf = async (name: string): Promise<string | undefined> => (await running.client.get(resources.pods, { namespace: 'default', name }, running.signal)).spec?.nodeName;
  assert.deepEqual([await nameOf('other'), await nameOf('gated')], [undefined, undefined]);
});

test('Scheduler never gives out more than a node has', async () => {
  await using running = await open();
  await addNode(running, 'a', '1');
  await addNode(running, 'b', '1');
  await Promise.all(Array.from({ length: 30 }, (_, index) => addPod(running, `p${index}`, '100m')));
  const bound = await pollUntil('20 of 30 pods to be bound and 10 to be reported', async () => {
    const { items } = await running.client.list(resources.pods, { namespace: 'default' }, running.signal);
    const onNode = items.filter(({ spec }) => spec?.nodeName !== undefined);
    return onNode.length === 20 && items.filter((pod) => pendingReason(pod) !== undefined).length === 10 ? onNode : undefined;
  }, { timeoutMs: 30_000 }, running.signal);
  assert.deepEqual(['a', 'b'].map((name) => bound.filter(({ spec }) => spec?.nodeName === name).length), [10, 10]);
});

test('Scheduler makes room for an important pod by asking less important ones to leave', async () => {
  await using running = await open();
  await addNode(running, 'a', '1');
  for (const [name, value] of [['low', 1], ['middle', 2], ['high', 1000]] as const) await running.client.create(resources.priorityClasses, { metadata: { name }, value }, running.signal);
  await addPod(running, 'humble', '800m', { priorityClassName: 'low', terminationGracePeriodSeconds: 30 });
  await podThat(running, 'humble', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  await addPod(running, 'important', '800m', { priorityClassName: 'high' });
  const leaving = await podThat(running, 'humble', 'to be leaving', ({ metadata }) => metadata.deletionTimestamp !== undefined);
  assert.equal(leaving.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.reason, 'PreemptionByScheduler');
  const nominee = await podThat(running, 'important', 'to be nominated', ({ status }) => status?.nominatedNodeName === 'a');
  assert.equal(nominee.spec?.nodeName, undefined);
  await addPod(running, 'cheeky', '500m', { priorityClassName: 'middle' });
  await podThat(running, 'cheeky', 'to wait', (pod) => pendingReason(pod) !== undefined);
  await running.client.delete(resources.pods, { namespace: 'default', name: 'humble' }, { gracePeriodSeconds: 0 }, running.signal);
  await podThat(running, 'important', 'to be bound', ({ spec }) => spec?.nodeName === 'a');
  await podThat(running, 'cheeky', 'to wait still', (pod) => pendingReason(pod) !== undefined && pod.spec?.nodeName === undefined);
});
