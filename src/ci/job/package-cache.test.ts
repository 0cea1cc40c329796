import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cachePathOf, makeCacheFolder, trimCaches } from './package-cache.ts';

test('cachePathOf() keeps repositories apart, and protected branches from others', () => {
  const run = { namespace: 'team', repository: 'shop', isProtected: true };
  assert.equal(cachePathOf('/c', run), '/c/team/shop/protected');
  assert.equal(cachePathOf('/c', { ...run, isProtected: false }), '/c/team/shop/other');
  assert.equal(cachePathOf(undefined, run), undefined);
});

test('trimCaches() empties only caches that are too large', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-cache-'));
  try {
    await trimCaches(join(folder, 'none'), 10);
    for (const [repository, size] of [['small', 5], ['large', 50]] as const) {
      const path = join(folder, 'team', repository, 'protected');
      await makeCacheFolder(path);
      await mkdir(join(path, 'npm', 'deep'), { recursive: true });
      await writeFile(join(path, 'npm', 'deep', 'file'), 'x'.repeat(size));
    }
    await trimCaches(folder, 10);
    assert.deepEqual([await readdir(join(folder, 'team', 'small')), await readdir(join(folder, 'team', 'large'))], [['protected'], []]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
