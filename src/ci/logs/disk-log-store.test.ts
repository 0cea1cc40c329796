import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { DiskLogStore, maxLogBytes } from './disk-log-store.ts';

const run = { namespace: 'default', name: 'shop-1' };

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-logs-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function all(lines: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const part of lines) text += part;
  return text;
}

test('DiskLogStore.read() follows until the log is closed, and finds it whole after a restart', () =>
  withFolder(async (folder) => {
    const store = new DiskLogStore(folder);
    await store.append(run, 'unit', 'one\n');
    const following = store.read(run, 'unit', true, AbortSignal.timeout(10_000));
    assert.equal((await following.next()).value, 'one\n');
    const rest = all(following);
    void store.append(run, 'unit', 'twö\n');
    void store.append(run, 'unit', 'three\n');
    await store.close(run, 'unit');
    assert.equal(await rest, 'twö\nthree\n');
    assert.equal(await all(new DiskLogStore(folder).read(run, 'unit', true, AbortSignal.timeout(10_000))), 'one\ntwö\nthree\n');
  }));

test('DiskLogStore.read() without following gives what is there; with it, waits for a log that has not begun', () =>
  withFolder(async (folder) => {
    const store = new DiskLogStore(folder);
    assert.equal(await all(store.read(run, 'unit', false, AbortSignal.timeout(10_000))), '');
    const following = all(store.read(run, 'unit', true, AbortSignal.timeout(10_000)));
    await store.append(run, 'unit', 'one\n');
    assert.equal(await all(store.read(run, 'unit', false, AbortSignal.timeout(10_000))), 'one\n');
    await store.close(run, 'unit');
    assert.equal(await following, 'one\n');
  }));

test('DiskLogStore.read() ends when its signal aborts', () =>
  withFolder(async (folder) => {
    const controller = new AbortController();
    const following = all(new DiskLogStore(folder).read(run, 'unit', true, controller.signal));
    controller.abort();
    assert.equal(await following, '');
  }));

test('DiskLogStore keeps names inside its folder and logs below their limit', () =>
  withFolder(async (folder) => {
    const store = new DiskLogStore(folder);
    for (const job of ['../x', '', 'a/b', '.x']) await assert.rejects(async () => store.append(run, job, 'x'), (error) => isError(error, 'invalid'), job);
    const large = 'x'.repeat(maxLogBytes - 10);
    await store.append(run, 'unit', large);
    await store.append(run, 'unit', 'this is too much\n');
    await store.append(run, 'unit', 'and this too\n');
    const text = await all(store.read(run, 'unit', false, AbortSignal.timeout(20_000)));
    assert.equal(text.slice(large.length), `[the log is longer than ${maxLogBytes} bytes; the rest is left out]\n`);
    await store.remove(run);
    assert.equal(await all(store.read(run, 'unit', false, AbortSignal.timeout(10_000))), '');
  }));
