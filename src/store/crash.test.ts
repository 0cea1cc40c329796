import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { SqliteObjectStore } from './sqlite-object-store.ts';

interface Acknowledged { revision: number; key: string; count: number | null }

/** Starts the writer, kills it with SIGKILL after `writes` acknowledgements, and returns all that were read. */
async function writeUntilKilled(path: string, writes: number): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing/crash-writer.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const acknowledged: Acknowledged[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    // A line cut off by the kill was never read by anyone: not acknowledged.
    if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as Acknowledged);
    if (acknowledged.length === writes) child.kill('SIGKILL');
  }
  await closed;
  return acknowledged;
}

test('SqliteObjectStore keeps every acknowledged write over kill -9', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-store-crash-'));
  try {
    const path = join(folder, 'objects.db');
    let lastRevision = 0;
    for (const writes of [1, 137, 400]) {
      const acknowledged = await writeUntilKilled(path, writes);
      assert.ok(acknowledged.length >= writes);
      await using store = await SqliteObjectStore.open(path);
      const events = new Map((await store.eventsAfter('/', lastRevision)).map((event) => [event.revision, event]));
      for (const { revision, key, count } of acknowledged) {
        const event = events.get(revision);
        assert.equal(event?.key, key, `revision ${revision} was lost`);
        assert.equal(event.current?.value.split(':')[1], count === null ? undefined : String(count));
      }
      // History has no hole, and the table of current objects is what the history adds up to.
      assert.equal(events.size, store.revision - lastRevision);
      for (const event of [...events.values()].toSorted((a, b) => b.revision - a.revision)) {
        const current = await store.get(event.key);
        if (current === undefined || current.modRevision === event.revision) assert.equal(current?.value, event.current?.value);
        else assert.ok(current.modRevision > event.revision);
        if (current === undefined) break;
      }
      lastRevision = store.revision;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
