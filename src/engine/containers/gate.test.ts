import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from './gate.ts';

test('Gate lets so many run at once, in order, and goes on after a failure', async () => {
  const gate = new Gate(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const results = await Promise.allSettled(
    Array.from({ length: 9 }, (_, index) =>
      gate.run(async () => {
        running += 1;
        most = Math.max(most, running);
        order.push(index);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        if (index === 3) throw new Error('failed');
        return index;
      }),
    ),
  );
  assert.deepEqual([most, running, order], [2, 0, [0, 1, 2, 3, 4, 5, 6, 7, 8]]);
  assert.deepEqual(results.filter(({ status }) => status === 'rejected').length, 1);
});
