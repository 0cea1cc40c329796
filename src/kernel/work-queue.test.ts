import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkQueue } from './work-queue.ts';

const never = new AbortController().signal;

test('WorkQueue hands out a key once however often it was added', async () => {
  const queue = new WorkQueue();
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.deepEqual([await queue.take(never), await queue.take(never), queue.length], ['a', 'b', 0]);
});

test('WorkQueue hands a key out again when it was added while being worked on, and not before done()', async () => {
  const queue = new WorkQueue();
  queue.add('a');
  assert.equal(await queue.take(never), 'a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(await queue.take(never), 'a');
});

test('WorkQueue.take() waits for a key and gives undefined when aborted', async () => {
  const queue = new WorkQueue();
  const stop = new AbortController();
  const waiting = [queue.take(never), queue.take(stop.signal)];
  stop.abort();
  queue.add('late');
  assert.deepEqual(await Promise.all(waiting), ['late', undefined]);
});

test('WorkQueue.retry() counts failures in a row until forget()', async () => {
  const queue = new WorkQueue({ initialMs: 1, factor: 1, maxMs: 1, jitter: 0 });
  const counts = [queue.retry('a'), queue.retry('a')];
  queue.forget('a');
  counts.push(queue.retry('a'));
  assert.deepEqual(counts, [1, 2, 1]);
  assert.equal(await queue.take(never), 'a');
  queue.close();
});

test('WorkQueue.addAfter() keeps the earliest of several delays of a key', async () => {
  const queue = new WorkQueue();
  queue.addAfter('a', 60_000);
  queue.addAfter('a', 1);
  queue.addAfter('a', 60_000);
  assert.equal(await queue.take(never), 'a');
  queue.close();
});
