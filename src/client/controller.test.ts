import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, type KubeList, resources, type Stored, type WatchEvent } from '../api/mod.ts';
import { aborted, GantryError, silentLogger } from '../kernel/mod.ts';
import type { KubeClient } from './client.ts';
import { Controller, type PassReport, type Plan, type Reconciler } from './controller.ts';
import { Informer } from './informer.ts';

/** A reconciler over strings that writes down what it did and stops the controller when `isDone`. */
function recording(over: Partial<Reconciler<string, string, string>>, log: string[]): Reconciler<string, string, string> {
  return {
    name: 'recording',
    observe: (key) => key,
    plan: (key): Plan<string, string> => ({ actions: [`${key}!`], status: 'fine' }),
    act: async (action) => void log.push(action),
    report: async (status, observed) => void log.push(`${observed} is ${status}`),
    ...over,
  };
}

test('Controller observes, plans, acts and reports', async () => {
  const log: string[] = [];
  const stop = new AbortController();
  const controller = new Controller(recording({}, log), { onPass: () => stop.abort() }, silentLogger());
  controller.enqueue('a');
  await controller.run(stop.signal);
  assert.deepEqual(log, ['a!', 'a is fine']);
});

test('Controller tries a failed key again and tells the failures', async () => {
  const log: string[] = [];
  const passes: PassReport[] = [];
  const stop = new AbortController();
  const failing = recording({ act: async () => { if (log.push('try') < 3) throw new GantryError('unavailable', 'not yet'); } }, log);
  const onPass = (pass: PassReport): void => {
    passes.push(pass);
    if (pass.error === undefined) stop.abort();
  };
  const controller = new Controller(failing, { onPass }, silentLogger());
  controller.enqueue('a');
  await controller.run(stop.signal);
  assert.deepEqual(passes.map(({ failuresInARow }) => failuresInARow), [1, 2, 0]);
});

test('Controller looks again after requeueAfterMs and skips keys without an observation', async () => {
  const log: string[] = [];
  const stop = new AbortController();
  let passes = 0;
  const reconciler = recording({ observe: (key) => (key === 'gone' ? undefined : key), plan: () => ({ actions: ['look'], requeueAfterMs: 1 }) }, log);
  const controller = new Controller(reconciler, { onPass: () => (passes += 1) === 3 && stop.abort() }, silentLogger());
  controller.enqueue('gone');
  controller.enqueue('a');
  await controller.run(stop.signal);
  assert.deepEqual(log, ['look', 'look']);
});

test('Controller begins only when its informers have their first list', async () => {
  const listed = Promise.withResolvers<KubeList<k8s.Pod>>();
  const client = {
    list: () => listed.promise,
    async *watch(_type: unknown, _options: unknown, signal: AbortSignal): AsyncGenerator<WatchEvent<k8s.Pod>> {
      await aborted(signal);
      yield { type: 'BOOKMARK', resourceVersion: '1' };
    },
  } as unknown as KubeClient;
  const informer = new Informer(client, resources.pods, {}, silentLogger());
  const stop = new AbortController();
  const log: string[] = [];
  const controller = new Controller(recording({ observe: (key) => `${key} of ${informer.list().length}` }, log), { onPass: () => stop.abort() }, silentLogger()).watch(informer, () => ['all']);
  controller.enqueue('all');
  const runs = [informer.run(stop.signal), controller.run(stop.signal)];
  await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual(log, []);
  const items = ['a', 'b'].map((name): Stored<k8s.Pod> => ({ metadata: { namespace: 'n', name, uid: name, resourceVersion: '1', creationTimestamp: '' } }));
  listed.resolve({ apiVersion: 'v1', kind: 'PodList', metadata: { resourceVersion: '1' }, items });
  await Promise.all(runs);
  assert.deepEqual(log, ['all of 2!', 'all of 2 is fine']);
});
