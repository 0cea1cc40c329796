import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError, isError } from './errors.ts';
import { aborted, runServices, type Service } from './lifecycle.ts';
import { silentLogger } from './log.ts';

const log = silentLogger();

function recorder(events: string[], name: string, ready?: Promise<void>): Service {
  return {
    name,
    run: async (signal) => {
      events.push(`start ${name}`);
      await aborted(signal);
      events.push(`stop ${name}`);
    },
    ...(ready === undefined ? {} : { ready: () => ready }),
  };
}

test('runServices() starts a group when the one before is ready and stops in reverse order', async () => {
  const events: string[] = [];
  const stop = new AbortController();
  const storeReady = Promise.withResolvers<void>();
  const running = runServices([[recorder(events, 'store', storeReady.promise)], [recorder(events, 'server')]], log, stop.signal);
  assert.deepEqual(events, ['start store']);
  storeReady.resolve();
  while (!events.includes('start server')) await new Promise(setImmediate);
  stop.abort();
  await running;
  assert.deepEqual(events, ['start store', 'start server', 'stop server', 'stop store']);
});

test('runServices() stops everything and rejects with the failure when a part fails or ends by itself', async () => {
  const cases: [string, () => Promise<void>, string][] = [
    ['throws', () => Promise.reject(new GantryError('unavailable', 'port taken')), 'part failed'],
    ['returns', () => Promise.resolve(), 'part stopped by itself'],
  ];
  for (const [name, run, message] of cases) {
    const events: string[] = [];
    const groups = [[recorder(events, 'store')], [{ name: 'part', run }]];
    await assert.rejects(runServices(groups, log, new AbortController().signal), (error) => isError(error) && error.message === message, name);
    assert.deepEqual(events, ['start store', 'stop store'], name);
  }
});

test('runServices() stops what has started when the signal aborts before all is ready', async () => {
  const events: string[] = [];
  const stop = new AbortController();
  const running = runServices([[recorder(events, 'slow', new Promise(() => undefined))], [recorder(events, 'never')]], log, stop.signal);
  stop.abort();
  await running;
  assert.deepEqual(events, ['start slow', 'stop slow']);
});
