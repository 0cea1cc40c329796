import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../../kernel/mod.ts';
import { RequestQueues } from './request-queues.ts';

const never = new AbortController().signal;

/** Lets promises that can go on do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('RequestQueues lets a client with few requests pass one with many', async () => {
  const queues = new RequestQueues({ seats: 2, queueLength: 100 });
  const order: string[] = [];
  const releases: (() => void)[] = [];
  const send = (client: string, name: string): void => void queues.enter(client, 1, never).then((release) => (order.push(name), releases.push(release)));
  for (let index = 0; index < 20; index += 1) send('greedy', `g${index}`);
  send('modest', 'm0');
  await settle();
  assert.deepEqual(order, ['g0', 'g1']);
  releases.shift()?.();
  await settle();
  assert.deepEqual(order, ['g0', 'g1', 'm0'], 'the next free seat is the other client’s');
  while (releases.length > 0) {
    releases.shift()?.();
    await settle();
  }
  assert.equal(order.length, 21);
  assert.deepEqual(queues.counts, { executing: 0, waiting: 0, refused: 0 });
});

test('RequestQueues refuses what waits too long or too much, and forgets who is gone', async () => {
  const queues = new RequestQueues({ seats: 1, queueLength: 2, waitMs: 20 });
  const release = await queues.enter('a', 1, never);
  const isRefused = (error: unknown): boolean => isError(error, 'exhausted') && error.retryAfterMs === 1000;
  const gone = new AbortController();
  const left = queues.enter('a', 1, gone.signal);
  const late = queues.enter('a', 1, never);
  await assert.rejects(queues.enter('a', 1, never), isRefused);
  gone.abort();
  await assert.rejects(left, (error) => isError(error, 'cancelled'));
  await assert.rejects(late, isRefused);
  release();
  release();
  assert.deepEqual(queues.counts, { executing: 0, waiting: 0, refused: 2 });
});

test('RequestQueues counts wide requests as many and lets none starve', async () => {
  const queues = new RequestQueues({ seats: 4 });
  const narrow = queues.tryEnter('a', 1);
  assert.ok(narrow);
  let isIn = false;
  const wide = queues.enter('b', 99, never).then((release) => ((isIn = true), release));
  await settle();
  assert.equal(queues.tryEnter('a', 1), undefined, 'nobody passes one who waits');
  assert.equal(isIn, false);
  narrow();
  (await wide)();
  assert.ok(queues.tryEnter('a', 4));
});
