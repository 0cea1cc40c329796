import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from './clock.ts';
import { GantryError, isError } from './errors.ts';
import { backoffMs, pollUntil, retry } from './retry.ts';

const never = new AbortController().signal;
const backoff = { initialMs: 10, factor: 2, maxMs: 50, jitter: 0 };

function fakeClock(): Clock & { slept: number[] } {
  const slept: number[] = [];
  return { slept, now: () => slept.reduce((sum, ms) => sum + ms, 0), sleep: (ms) => Promise.resolve(void slept.push(ms)) };
}

test('backoffMs() doubles up to the limit, less the jitter', () => {
  assert.deepEqual([0, 1, 2, 3, 9].map((attempt) => backoffMs(backoff, attempt)), [10, 20, 40, 50, 50]);
  assert.equal(backoffMs({ ...backoff, jitter: 0.5 }, 0, () => 1), 5);
});

test('retry() tries again only what is retryable and gives up after the attempts', async () => {
  const run = async (failures: GantryError[]): Promise<[string, number[]]> => {
    const clock = fakeClock();
    const queue = [...failures];
    const attempt = (): Promise<string> => {
      const next = queue.shift();
      return next === undefined ? Promise.resolve('done') : Promise.reject(next);
    };
    const result = await retry(attempt, { attempts: 3, backoff, clock }, never).catch((error: unknown) => (isError(error) ? error.code : 'other'));
    return [result, clock.slept];
  };
  const down = new GantryError('unavailable', 'down');
  assert.deepEqual(await run([down, down]), ['done', [10, 20]]);
  assert.deepEqual(await run([down, down, down]), ['unavailable', [10, 20]]);
  assert.deepEqual(await run([new GantryError('invalid', 'never')]), ['invalid', []]);
});

test('pollUntil() gives the first value or a timeout that names what was awaited', async () => {
  const clock = fakeClock();
  let asked = 0;
  assert.equal(await pollUntil('three', () => (++asked === 3 ? 'here' : undefined), { timeoutMs: 1000, intervalMs: 10, clock }, never), 'here');
  await assert.rejects(pollUntil('the impossible', () => undefined, { timeoutMs: 100, intervalMs: 10, clock: fakeClock() }, never), /timed out waiting for the impossible/);
});
