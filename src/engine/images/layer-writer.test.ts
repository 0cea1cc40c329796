import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { getXattr } from '../../host/mod.ts';
import type { TarHeader } from '../../wire/mod.ts';
import { LayerWriter } from './layer-writer.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners';
const plain: TarHeader = { type: 'file', path: '', linkPath: '', mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, mtimeSeconds: 1_700_000_000, deviceMajor: 0, deviceMinor: 0, xattrs: new Map() };

/** An empty folder for a layer, with one beside it that must stay empty. */
function testFolders() {
  const base = mkdtempSync(join(tmpdir(), 'gantry-writer-'));
  const [root, outside] = [join(base, 'root'), join(base, 'outside')];
  for (const folder of [root, outside]) mkdirSync(folder);
  return { root, outside, [Symbol.dispose]: () => rmSync(base, { recursive: true }) };
}

async function* text(content: string): AsyncGenerator<Buffer> {
  yield Buffer.from(content);
}

async function writeAll(root: string, members: readonly (Partial<TarHeader> & { path: string; content?: string })[]): Promise<void> {
  using writer = new LayerWriter(root);
  for (const { content = '', ...header } of members) await writer.write({ ...plain, ...header }, text(content));
  writer.finish();
}

test('LayerWriter keeps modes, owners, times, links and attributes, in whatever order members come', { skip }, async () => {
  using folders = testFolders();
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  await writeAll(folders.root, [
    { path: 'deep/er/file', content: 'x', mode: 0o4711, uid: 7, gid: 8, xattrs: new Map([['security.capability', capability]]) },
    { path: 'deep', type: 'directory', mode: 0o1777, uid: 1, gid: 2, mtimeSeconds: 1_600_000_000.5 },
    { path: 'deep/hard', type: 'hardlink', linkPath: 'deep/er/file' },
    { path: 'link', type: 'symlink', linkPath: '/nowhere', uid: 3, gid: 4 },
    { path: 'pipe', type: 'fifo', mode: 0o622 },
    { path: '.', type: 'directory', mode: 0o711 },
  ]);
  const facts = (path: string) => {
    const { mode, uid, gid, mtimeMs } = lstatSync(join(folders.root, path));
    return [(mode & 0o7777).toString(8), uid, gid, mtimeMs / 1000];
  };
  assert.deepEqual(['deep', 'deep/er', 'deep/er/file', 'pipe', '.'].map((path) => facts(path).slice(0, path === 'deep/er' ? 1 : 4)), [
    ['1777', 1, 2, 1_600_000_000.5], ['755'], ['4711', 7, 8, 1_700_000_000], ['622', 0, 0, 1_700_000_000], ['711', 0, 0, 1_700_000_000],
  ]);
  assert.deepEqual(facts('link').slice(1), [3, 4, 1_700_000_000]);
  assert.equal(readlinkSync(join(folders.root, 'link')), '/nowhere');
  assert.equal(lstatSync(join(folders.root, 'deep/hard')).ino, lstatSync(join(folders.root, 'deep/er/file')).ino);
  assert.deepEqual(getXattr(join(folders.root, 'deep/er/file'), 'security.capability'), capability);
});

test('LayerWriter lets what comes later win, and keeps folders', { skip }, async () => {
  using folders = testFolders();
  await writeAll(folders.root, [
    { path: 'a', content: 'first' }, { path: 'a', content: 'second' },
    { path: 'd', type: 'directory', mode: 0o700 }, { path: 'd/kept', content: 'x' }, { path: 'd', type: 'directory', mode: 0o750 },
    { path: 'f/gone', content: 'x' }, { path: 'f', content: 'now a file' },
    { path: 's', type: 'symlink', linkPath: 'd' }, { path: 's', type: 'directory', mode: 0o755 }, { path: 's/own', content: 'x' },
    ...Array.from({ length: 300 }, (_, at) => ({ path: `many/${at}/f`, content: String(at) })),
    { path: 'many/299/hard', type: 'hardlink' as const, linkPath: 'many/0/f' },
  ]);
  assert.equal(readFileSync(join(folders.root, 'a'), 'utf8'), 'second');
  assert.deepEqual([readdirSync(join(folders.root, 'd')), (lstatSync(join(folders.root, 'd')).mode & 0o777).toString(8)], [['kept'], '750']);
  assert.equal(readFileSync(join(folders.root, 'f'), 'utf8'), 'now a file');
  assert.deepEqual(readdirSync(join(folders.root, 's')), ['own']);
  assert.equal(readFileSync(join(folders.root, 'many/299/hard'), 'utf8'), '0');
});

test('LayerWriter leaves nothing outside even when its caller checks no name', { skip }, async () => {
  using folders = testFolders();
  symlinkSync(folders.outside, join(folders.root, 'out'));
  symlinkSync('/proc/self/root', join(folders.root, 'magic'));
  for (const path of ['out/evil', 'out/deeper/evil', '../outside/evil', 'x/../../outside/evil', `magic${folders.outside}/evil`, `${folders.outside}/evil`]) {
    for (const type of ['file', 'symlink', 'fifo', 'directory'] as const) await assert.rejects(writeAll(folders.root, [{ path, type, linkPath: 'x' }]), `${type} ${path}`);
    await assert.rejects(writeAll(folders.root, [{ path: 'own' }, { path, type: 'hardlink', linkPath: 'own' }]), `hard link at ${path}`);
    rmSync(join(folders.root, 'own'), { force: true });
  }
  // A name that is a link is replaced, not followed.
  await writeAll(folders.root, [{ path: 'out', content: 'a file now' }]);
  await assert.rejects(writeAll(folders.root, [{ path: 'taken', type: 'hardlink', linkPath: '../outside' }]));
  assert.deepEqual([readdirSync(folders.outside), readFileSync(join(folders.root, 'out'), 'utf8')], [[], 'a file now']);
});
