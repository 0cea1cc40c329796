import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isError, silentLogger } from '../kernel/mod.ts';
import { HistoryTrimmer } from './history-trimmer.ts';
import { SqliteObjectStore } from './sqlite-object-store.ts';
import { objectStoreSuite } from './testing/object-store-suite.ts';

async function temporaryFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'objects.db');
}

objectStoreSuite('SqliteObjectStore in memory', () => SqliteObjectStore.open(':memory:'));

test('SqliteObjectStore.open() finds what an earlier one left', async (t) => {
  const path = await temporaryFile(t);
  {
    await using store = await SqliteObjectStore.open(path);
    await store.put('/a', 'one', 0);
    await store.put('/a', 'two', 1);
    await store.put('/b', 'x', 0);
    await store.compact(1);
  }
  await using store = await SqliteObjectStore.open(path);
  assert.deepEqual([store.revision, store.compactedRevision], [3, 1]);
  assert.equal((await store.get('/a'))?.value, 'two');
  assert.deepEqual((await store.eventsAfter('/', 1)).map(({ key, revision }) => [key, revision]), [['/a', 2], ['/b', 3]]);
});

test('SqliteObjectStore.copyTo() copies one moment while writes go on', async (t) => {
  const path = await temporaryFile(t);
  await using store = await SqliteObjectStore.open(path);
  for (let index = 0; index < 200; index += 1) await store.put(`/filler/${index}`, 'x'.repeat(2000));
  const stop = new AbortController();
  const writing = (async () => {
    // Two keys in turn: a copy of one moment has them equal, or the first one ahead by one.
    for (let round = 0; !stop.signal.aborted; round += 1) for (const key of ['/one', '/two']) await store.put(key, String(round));
  })();
  for (let copy = 0; copy < 20; copy += 1) {
    await store.copyTo(`${path}.${copy}`);
    await using copied = await SqliteObjectStore.open(`${path}.${copy}`);
    const [one, two] = await Promise.all(['/one', '/two'].map(async (key) => Number((await copied.get(key))?.value ?? -1)));
    assert.ok(copied.isIntact() && one !== undefined && two !== undefined && [0, 1].includes(one - two), `${one} ${two}`);
  }
  stop.abort();
  await writing;
});

test('SqliteObjectStore.open() refuses a file that is in use', async (t) => {
  const path = await temporaryFile(t);
  await using store = await SqliteObjectStore.open(path);
  await store.put('/a', 'x');
  await assert.rejects(SqliteObjectStore.open(path), (error) => isError(error, 'unavailable'));
});

test('HistoryTrimmer.trim() keeps the file bounded under churn', async (t) => {
  const path = await temporaryFile(t);
  await using store = await SqliteObjectStore.open(path);
  const trimmer = new HistoryTrimmer(store, { keepRevisions: 500 }, silentLogger());
  const value = 'x'.repeat(4000);
  const sizes: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(Array.from({ length: 500 }, (_, index) => store.put(`/churn/${index % 50}`, `${value}${index}`)));
    await trimmer.trim(round);
    sizes.push((await stat(path)).size);
  }
  assert.equal(store.revision, 10_000);
  assert.equal(store.compactedRevision, 9_500);
  assert.ok((sizes.at(-1) ?? Infinity) < 8_000_000, `${sizes.join(' ')} bytes`);
});

test('HistoryTrimmer.trim() forgets by age', async () => {
  await using store = await SqliteObjectStore.open(':memory:');
  const trimmer = new HistoryTrimmer(store, { keepMs: 1000 }, silentLogger());
  await store.put('/a', '1');
  assert.equal(await trimmer.trim(0), 0);
  await store.put('/a', '2');
  assert.equal(await trimmer.trim(900), 0);
  assert.equal(await trimmer.trim(1000), 1);
  assert.equal(await trimmer.trim(1900), 2);
});
