import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { silentLogger } from '../../kernel/mod.ts';
import { readTar } from '../../wire/mod.ts';
import { openImageStore } from './local-image-store.ts';
import { unreachableRegistry } from './testing/test-images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners and devices';
const { signal } = new AbortController();

/** Runs the writer until it has told `count` names, then kills it. Names it was about to remove are taken off. */
async function writeUntilKilled(folder: string, count: number, stored: Set<string>): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing/crash-images.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = new Promise((resolve) => child.once('close', resolve));
  let told = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('-')) stored.delete(line.slice(1));
    else stored.add(line);
    told += 1;
    if (told === count) child.kill('SIGKILL');
  }
  await closed;
}

test('kill -9 loses no stored image, leaves no half layer and no debris', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-images-crash-'));
  try {
    const stored = new Set<string>();
    for (let round = 0; round < 4; round += 1) await writeUntilKilled(folder, randomInt(2, 10), stored);
    await using images = await openImageStore({ folder, registry: unreachableRegistry, log: silentLogger() });
    for (const name of stored) {
      const image = images.get(name);
      const archive = new PassThrough();
      const saving = images.save([name], archive, signal);
      for await (const { header, content } of readTar(archive)) {
        if (!header.path.startsWith('blobs/')) continue;
        const hash = createHash('sha256');
        for await (const chunk of content) hash.update(chunk);
        assert.equal(hash.digest('hex'), header.path.split('/').at(-1), name);
      }
      await saving;
      const [base = '', own = ''] = images.layerFolders(image.layers);
      assert.deepEqual([readdirSync(join(base, 'base')), readdirSync(own).length], [['file'], 20]);
    }
    const known = new Set(images.list().flatMap(({ layers }) => layers));
    assert.ok(readdirSync(join(folder, 'snapshots')).length >= known.size);
    assert.deepEqual([readdirSync(join(folder, 'temporary')), readdirSync(join(folder, 'blobs/uploads'))], [[], []]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
