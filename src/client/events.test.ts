import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, KubeObject, ObjectRef, ResourceType } from '../api/mod.ts';
import { GantryError, silentLogger } from '../kernel/mod.ts';
import type { KubeClient, Patch } from './client.ts';
import { EventRecorder } from './events.ts';

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '7' } };

/** Remembers events by name, as the API server does; `forget` is its time to live. */
function store(): { client: KubeClient; events: Map<string, k8s.Event>; forget: () => void; break: (error: Error) => void } {
  const events = new Map<string, k8s.Event>();
  let broken: Error | undefined;
  const client = {
    create: async (_type: ResourceType, event: k8s.Event & KubeObject) => {
      if (broken !== undefined) throw broken;
      events.set(event.metadata?.name ?? '', event);
    },
    patch: async (_type: ResourceType, ref: ObjectRef, patch: Patch) => {
      const event = events.get(ref.name);
      if (event === undefined) throw new GantryError('not-found', 'no event');
      events.set(ref.name, { ...event, ...(patch.body as object) });
    },
  } as unknown as KubeClient;
  return { client, events, forget: () => events.clear(), break: (error) => (broken = error) };
}

test('EventRecorder counts repeats into one event', async () => {
  const { client, events } = store();
  await using recorder = new EventRecorder(client, 'tester', silentLogger(), 'host-1');
  recorder.normal(pod, 'Started', 'it runs');
  await recorder.flush();
  for (let repeat = 0; repeat < 4; repeat += 1) recorder.normal(pod, 'Started', 'it runs');
  recorder.warning(pod, 'Failed', 'it does not');
  await recorder.flush();
  const all = [...events.values()].map(({ type, reason, message, count, source, involvedObject }) => ({ type, reason, message, count, source, involvedObject }));
  const source = { component: 'tester', host: 'host-1' };
  const involvedObject = { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'n', uid: 'u', resourceVersion: '7', fieldPath: undefined };
  assert.deepEqual(all, [
    { type: 'Normal', reason: 'Started', message: 'it runs', count: 5, source, involvedObject },
    { type: 'Warning', reason: 'Failed', message: 'it does not', count: 1, source, involvedObject },
  ]);
});

test('EventRecorder starts an event anew when the server has forgotten it', async () => {
  const { client, events, forget } = store();
  await using recorder = new EventRecorder(client, 'tester', silentLogger());
  recorder.normal(pod, 'Started', 'it runs');
  await recorder.flush();
  forget();
  recorder.normal(pod, 'Started', 'it runs');
  await recorder.flush();
  assert.deepEqual([...events.values()].map(({ count }) => count), [2]);
});

test('EventRecorder drops what cannot be written and goes on', async () => {
  const broken = store();
  broken.break(new GantryError('unavailable', 'down'));
  await using recorder = new EventRecorder(broken.client, 'tester', silentLogger());
  recorder.normal(pod, 'Started', 'it runs');
  await recorder.flush();
  assert.equal(broken.events.size, 0);
});
