import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../kernel/mod.ts';
import { HistoryTrimmer } from './history-trimmer.ts';
import { SqliteObjectStore } from './sqlite-object-store.ts';

test('the store stays as large as what it keeps, however many updates it has seen', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-store-bounded-'));
  try {
    const path = join(folder, 'objects.db');
    await using store = await SqliteObjectStore.open(path);
    const trimmer = new HistoryTrimmer(store, { keepRevisions: 1000 }, silentLogger());
    const sizes: number[] = [];
    for (let round = 0; round < 30; round += 1) {
      // One transaction each: writes of one turn share it.
      await Promise.all(Array.from({ length: 1000 }, (_, index) => store.put(`/churn/${index % 50}`, `${round}:${'x'.repeat(1000)}`)));
      await trimmer.trim(0);
      sizes.push((await stat(path)).size + (await stat(`${path}-wal`)).size);
    }
    assert.equal(store.revision, 30_000);
    assert.ok(store.revision - store.compactedRevision <= 1000);
    // A thousand values of a kilobyte are kept; thirty thousand were written.
    const largest = Math.max(...sizes.slice(10));
    assert.ok(largest < 24 * 1024 * 1024, `${largest} bytes`);
    assert.ok(largest <= 1.5 * Math.max(...sizes.slice(0, 10)), `grew from ${Math.max(...sizes.slice(0, 10))} to ${largest} bytes`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
