import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { sharedCache, untrustedCache } from '../cache/cache-access.ts';
import { type CacheMountRequest, CacheMounts } from './cache-mounts.ts';

const { signal } = new AbortController();

function openMounts(t: TestContext): { mounts: CacheMounts; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-mounts-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return { mounts: new CacheMounts(join(folder, 'mounts')), folder };
}

const request = (change: Partial<CacheMountRequest> = {}): CacheMountRequest => ({ id: 'npm', access: sharedCache, sharing: 'shared', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o750, fill: undefined, ...change });

test('CacheMounts keeps a folder for each id', async (t) => {
  const { mounts } = openMounts(t);
  {
    using held = await mounts.hold(request(), signal);
    writeFileSync(join(held.folder, 'kept'), 'x');
  }
  using again = await mounts.hold(request(), signal);
  using other = await mounts.hold(request({ id: 'apt' }), signal);
  assert.deepEqual([readdirSync(again.folder), readdirSync(other.folder)], [['kept'], []]);
});

test('CacheMounts gives private users folders of their own, and locked ones turns', async (t) => {
  const { mounts } = openMounts(t);
  using first = await mounts.hold(request({ sharing: 'private' }), signal);
  using second = await mounts.hold(request({ sharing: 'private' }), signal);
  assert.notEqual(first.folder, second.folder);
  const locked = await mounts.hold(request({ id: 'l', sharing: 'locked' }), signal);
  let isIn = false;
  const waiting = mounts.hold(request({ id: 'l', sharing: 'locked' }), signal).then((held) => ((isIn = true), held));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isIn, false);
  locked[Symbol.dispose]();
  (await waiting)[Symbol.dispose]();
});

test('CacheMounts shows an untrusted build a copy of what trusted ones have, and trusted ones nothing of it', async (t) => {
  const { mounts } = openMounts(t);
  using trusted = await mounts.hold(request(), signal);
  writeFileSync(join(trusted.folder, 'a'), 'trusted');
  using branch = await mounts.hold(request({ access: untrustedCache('b') }), signal);
  assert.equal(readFileSync(join(branch.folder, 'a'), 'utf8'), 'trusted');
  writeFileSync(join(branch.folder, 'a'), 'poisoned');
  writeFileSync(join(branch.folder, 'b'), 'poisoned');
  assert.deepEqual([readFileSync(join(trusted.folder, 'a'), 'utf8'), readdirSync(trusted.folder)], ['trusted', ['a']]);
});

test('CacheMounts.evict() removes what was used longest ago, and nothing that is in use', async (t) => {
  const { mounts } = openMounts(t);
  for (const id of ['one', 'two', 'three']) {
    using held = await mounts.hold(request({ id }), signal);
    writeFileSync(join(held.folder, 'data'), Buffer.alloc(64 << 10));
  }
  using used = await mounts.hold(request({ id: 'one' }), signal);
  assert.ok((await mounts.evict(0)) > 0);
  assert.deepEqual((await mounts.list()).map(({ id, isInUse }) => [id, isInUse]), [['one', true]]);
  assert.ok(existsSync(join(used.folder, 'data')));
});

test('CacheMounts.replace() takes an import whole, and refuses while a build uses the folder', async (t) => {
  const { mounts, folder } = openMounts(t);
  const fill = async (path: string): Promise<void> => writeFileSync(join(path, 'imported'), 'x');
  await mounts.replace('npm', '', fill);
  {
    using held = mounts.holdExisting('npm', '');
    assert.deepEqual(readdirSync(held.folder), ['imported']);
    await assert.rejects(mounts.replace('npm', '', fill), (error) => isError(error, 'conflict'));
  }
  await assert.rejects(mounts.replace('npm', '', () => Promise.reject(new Error('broken archive'))), /broken archive/);
  assert.deepEqual((await mounts.list()).map(({ id }) => id), ['npm']);
  assert.throws(() => mounts.holdExisting('nothing', ''), (error) => isError(error, 'not-found'));
  const [name = ''] = readdirSync(join(folder, 'mounts'));
  writeFileSync(join(folder, 'mounts', name, 'new-half'), '');
  await mounts.sweep();
  assert.deepEqual(readdirSync(join(folder, 'mounts', name)).toSorted(), ['data', 'label.json']);
});
