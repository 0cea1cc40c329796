import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mutex } from './mutex.ts';

test('Mutex runs one piece of work at a time, in order, also after one that failed', async () => {
  const mutex = new Mutex();
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = mutex.run(async () => {
    events.push('first begins');
    await gate.promise;
    events.push('first ends');
    throw new Error('first failed');
  });
  const second = mutex.run(async () => events.push('second'));
  const third = mutex.run(async () => events.push('third'));
  gate.resolve();
  await assert.rejects(first, /first failed/);
  await Promise.all([second, third]);
  assert.deepEqual(events, ['first begins', 'first ends', 'second', 'third']);
});
