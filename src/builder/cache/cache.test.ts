import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Digest } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import { KeyedLock } from './keyed-lock.ts';
import { sharedCache, untrustedCache } from './cache-access.ts';
import { keepUntilMs } from './keep-until.ts';
import { describeDifference } from './miss-reason.ts';
import { Semaphore } from './semaphore.ts';
import { SharedWork } from './shared-work.ts';
import { StepCache, type StepRecord } from './step-cache.ts';
import { stepKey } from './step-inputs.ts';

const { signal } = new AbortController();
const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}` as Digest;
const key = (letter: string): string => letter.repeat(64);
const createdAt = '2026-01-01T00:00:00.000Z';

const alone = (): { onOutput: (text: string) => void; owned: Set<Promise<unknown>> } => ({ onOutput: () => undefined, owned: new Set() });

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-cache-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('stepKey() differs with layers, names, values and order', () => {
  const base = stepKey([digest('a')], [['a', '1'], ['b', '2']]);
  const others = [stepKey([digest('b')], [['a', '1'], ['b', '2']]), stepKey([digest('a')], [['b', '2'], ['a', '1']]), stepKey([digest('a')], [['a', '1'], ['b', '3']]), stepKey([digest('a')], [['a', '1,b'], ['', '2']])];
  assert.equal(new Set([base, ...others]).size, 5);
  assert.equal(stepKey([digest('a')], [['a', '1'], ['b', '2']]), base);
});

test('StepCache keeps records over a reopen and drops what is damaged or unfinished', async (t) => {
  const folder = temporaryFolder(t);
  const cache = await StepCache.open(folder);
  await cache.set(key('1'), sharedCache, { layer: digest('a'), sizeBytes: 5, createdAt, durationMs: 0 });
  await cache.set(key('2'), sharedCache, { layer: undefined, sizeBytes: 0, createdAt, durationMs: 0 });
  writeFileSync(join(folder, key('3')), '{"layer":');
  writeFileSync(join(folder, `${key('4')}.tmp-123`), 'half');
  const reopened = await StepCache.open(folder);
  assert.deepEqual(await reopened.get(key('1'), sharedCache), { layer: digest('a'), sizeBytes: 5, createdAt, durationMs: 0 });
  assert.deepEqual(await reopened.get(key('2'), sharedCache), { layer: undefined, sizeBytes: 0, createdAt, durationMs: 0 });
  assert.equal(await reopened.get(key('3'), sharedCache), undefined);
  assert.deepEqual([...reopened.layers()], [digest('a')]);
  assert.ok(!readdirSync(folder).some((name) => name.includes('tmp')));
});

test('StepCache.evict() removes what was used longest ago', async (t) => {
  const folder = temporaryFolder(t);
  const written = await StepCache.open(folder);
  for (const [index, letter] of ['1', '2', '3'].entries()) {
    await written.set(key(letter), sharedCache, { layer: digest(letter), sizeBytes: 10, createdAt, durationMs: 0 });
    utimesSync(join(folder, key(letter)), index, index);
  }
  const cache = await StepCache.open(folder);
  await cache.get(key('1'), sharedCache);
  assert.equal(await cache.evict(20), 1);
  assert.deepEqual([...cache.layers()].toSorted(), [digest('1'), digest('3')]);
  assert.equal(await cache.evict(1000), 0);
});

test('StepCache.evict() keeps what took long and is small over what was used later and is cheap to make again', async (t) => {
  const cache = await StepCache.open(temporaryFolder(t));
  await cache.set(key('1'), sharedCache, { layer: digest('1'), sizeBytes: 10 << 20, createdAt, durationMs: 60_000 });
  await cache.set(key('2'), sharedCache, { layer: digest('2'), sizeBytes: 1 << 30, createdAt, durationMs: 1000 });
  await cache.set(key('3'), sharedCache, { layer: undefined, sizeBytes: 0, createdAt, durationMs: 5 });
  assert.equal(await cache.evict(1 << 30), 1);
  assert.deepEqual([[...cache.layers()], cache.count, cache.sizeBytes], [[digest('1')], 2, 10 << 20]);
});

test('keepUntilMs() gives an hour for a second of work for each 100 MiB, at most two weeks', () => {
  const hour = 3_600_000;
  const cases: [durationMs: number, sizeBytes: number, hours: number][] = [[1000, 100 << 20, 1], [10_000, 1000 << 20, 1], [0, 1, 0], [60_000, 200 << 20, 30], [60_000, 1, 14 * 24]];
  for (const [durationMs, sizeBytes, hours] of cases) assert.equal(keepUntilMs({ durationMs, sizeBytes }, 5), 5 + hours * hour);
});

test('StepCache lets a scope read others and write only itself', async (t) => {
  const cache = await StepCache.open(temporaryFolder(t));
  const record = (letter: string): StepRecord => ({ layer: digest(letter), sizeBytes: 1, createdAt, durationMs: 0 });
  const branch = untrustedCache('branch');
  await cache.set(key('1'), branch, record('e'));
  assert.equal(await cache.get(key('1'), sharedCache), undefined);
  assert.equal(await cache.get(key('1'), untrustedCache('other')), undefined);
  assert.deepEqual(await cache.get(key('1'), branch), record('e'));
  await cache.set(key('2'), sharedCache, record('a'));
  assert.deepEqual(await cache.get(key('2'), branch), record('a'));
  await cache.set(key('2'), branch, record('f'));
  assert.deepEqual([await cache.get(key('2'), sharedCache), await cache.get(key('2'), branch)], [record('a'), record('f')]);
});

test('describeDifference() names what changed', () => {
  assert.equal(describeDifference([['a', '1'], ['b', '1']], [['a', '2'], ['c', '1']]), 'a changed, c is new, b is gone');
  assert.equal(describeDifference([['a', '1'], ['b', '1']], [['b', '1'], ['a', '1']]), 'the order of its inputs changed');
  const many = Array.from({ length: 9 }, (_, index) => [`f${index}`, 'x'] as const);
  assert.equal(describeDifference([], many), 'f0 is new, f1 is new, f2 is new, f3 is new, f4 is new and 4 more');
});

test('SharedWork runs equal work once and tells everyone the result', async () => {
  const shared = new SharedWork<number>();
  let runs = 0;
  const gate = Promise.withResolvers<void>();
  const work = async (): Promise<number> => {
    runs += 1;
    await gate.promise;
    return 7;
  };
  const all = [shared.run('a', work, alone(), signal), shared.run('a', work, alone(), signal), shared.run('b', work, alone(), signal)];
  gate.resolve();
  assert.deepEqual([await Promise.all(all), runs], [[7, 7, 7], 2]);
  await shared.run('a', work, alone(), signal);
  assert.equal(runs, 3);
});

test('SharedWork goes on while one waits and stops when the last leaves', async () => {
  const shared = new SharedWork<string>();
  const [one, two] = [new AbortController(), new AbortController()];
  const state: string[] = [];
  const work = (_write: (text: string) => void, stop: AbortSignal): Promise<string> =>
    new Promise((_resolve, reject) => {
      state.push('started');
      stop.addEventListener('abort', () => {
        state.push('stopped');
        reject(stop.reason);
      });
    });
  const [first, second] = [shared.run('a', work, alone(), one.signal), shared.run('a', work, alone(), two.signal)];
  one.abort(new GantryError('cancelled', 'one'));
  await assert.rejects(first, (error) => isError(error, 'cancelled') && error.message === 'one');
  assert.deepEqual(state, ['started']);
  two.abort(new GantryError('cancelled', 'two'));
  await assert.rejects(second, (error) => isError(error, 'cancelled') && error.message === 'two');
  assert.deepEqual(state, ['started', 'stopped']);
});

test('SharedWork shows everyone all that is printed, and tells who began it while it goes on', async () => {
  const shared = new SharedWork<string>();
  const gate = Promise.withResolvers<void>();
  const seen: [string, string] = ['', ''];
  const [first, second] = [{ ...alone(), onOutput: (text: string) => void (seen[0] += text) }, { ...alone(), onOutput: (text: string) => void (seen[1] += text) }];
  const work = async (write: (text: string) => void): Promise<string> => {
    write('a');
    await gate.promise;
    write('b');
    return 'done';
  };
  const one = new AbortController();
  const left = shared.run('x', work, first, one.signal);
  const stayed = shared.run('x', work, second, signal);
  one.abort(new GantryError('cancelled', 'one'));
  await assert.rejects(left, (error) => isError(error, 'cancelled'));
  assert.deepEqual([first.owned.size, second.owned.size], [1, 0]);
  gate.resolve();
  assert.equal(await stayed, 'done');
  assert.deepEqual([seen, first.owned.size], [['a', 'ab'], 0]);
});

test('Semaphore lets no more in than it has places, in order, and forgets who gave up', async () => {
  const semaphore = new Semaphore(1);
  const first = await semaphore.acquire(signal);
  const leaving = new AbortController();
  const order: string[] = [];
  const gaveUp = semaphore.acquire(leaving.signal);
  const second = semaphore.acquire(signal).then((slot) => (order.push('second'), slot));
  const third = semaphore.acquire(signal).then((slot) => (order.push('third'), slot));
  leaving.abort(new GantryError('cancelled', 'left'));
  await assert.rejects(gaveUp, (error) => isError(error, 'cancelled'));
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.deepEqual(order, ['second', 'third']);
  (await semaphore.acquire(signal))[Symbol.dispose]();
});

test('KeyedLock holds each key for one at a time, in order, and skips who gave up', async () => {
  const lock = new KeyedLock();
  const first = await lock.hold('a', signal);
  (await lock.hold('b', signal))[Symbol.dispose]();
  const leaving = new AbortController();
  const gaveUp = lock.hold('a', leaving.signal);
  let isHeld = false;
  const third = lock.hold('a', signal).then((held) => ((isHeld = true), held));
  leaving.abort(new GantryError('cancelled', 'left'));
  await assert.rejects(gaveUp, (error) => isError(error, 'cancelled'));
  assert.equal(isHeld, false);
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.equal(isHeld, true);
});
