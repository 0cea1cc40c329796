import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { Slots } from './slots.ts';

test('Slots runs so many at a time, the rest in order, and frees the place of what failed or left', async () => {
  const slots = new Slots(2);
  const order: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const start = (name: string, signal = new AbortController().signal): Promise<void> =>
    slots.run(() => {
      order.push(name);
      const gate = Promise.withResolvers<void>();
      gates.set(name, gate);
      return gate.promise;
    }, signal);
  const leaving = new AbortController();
  const [a, b, left, c, d] = [start('a'), start('b'), start('left', leaving.signal), start('c'), start('d')];
  leaving.abort();
  await assert.rejects(left, (error) => isError(error, 'cancelled'));
  assert.deepEqual(order, ['a', 'b']);
  gates.get('b')?.reject(new Error('failed'));
  await assert.rejects(b, /failed/);
  await new Promise(setImmediate);
  assert.deepEqual(order, ['a', 'b', 'c']);
  gates.get('a')?.resolve();
  await a;
  await new Promise(setImmediate);
  assert.deepEqual(order, ['a', 'b', 'c', 'd']);
  for (const name of ['c', 'd']) gates.get(name)?.resolve();
  await Promise.all([c, d]);
});
