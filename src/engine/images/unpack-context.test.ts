import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, type Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { type TestMember, testTar } from './testing/test-images.ts';
import { unpackContext } from './unpack-context.ts';

const limits = { maxBytes: 1 << 20, maxEntries: 100, maxNameBytes: 600 };
const { signal } = new AbortController();

async function unpacked(members: readonly TestMember[], t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-context-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await unpackContext(Readable.from([testTar([...members])]), folder, { what: 'context', limits }, signal);
  return folder;
}

test('unpackContext() makes files, links and folders with their modes and times, also in folders that the archive does not name', async (t) => {
  const folder = await unpacked(
    [
      { path: 'd/', type: 'directory', mode: 0o555, mtimeSeconds: 1000 },
      { path: 'd/f', content: 'text', mode: 0o4751, mtimeSeconds: 2000 },
      { path: 'deep/er/g', content: '' },
      { path: 'l', type: 'symlink', linkPath: '/etc/passwd' },
      { path: 'h', type: 'hardlink', linkPath: 'd/f' },
      { path: 'p', type: 'fifo', mode: 0o600 },
    ],
    t,
  );
  const of = (path: string): Stats => lstatSync(join(folder, path));
  assert.deepEqual([of('d').mode & 0o7777, of('d').mtimeMs, of('d/f').mode & 0o7777, of('d/f').mtimeMs], [0o555, 1_000_000, 0o4751, 2_000_000]);
  assert.deepEqual([readFileSync(join(folder, 'd/f'), 'utf8'), of('deep/er/g').size, of('h').ino === of('d/f').ino, readlinkSync(join(folder, 'l')), of('p').isFIFO()], ['text', 0, true, '/etc/passwd', true]);
});

test('unpackContext() lets the last member of a name count, whatever was there before', async (t) => {
  const folder = await unpacked(
    [
      { path: 'a', content: 'first' },
      { path: 'a', content: 'second' },
      { path: 'b', type: 'symlink', linkPath: '/tmp' },
      { path: 'b/', type: 'directory' },
      { path: 'b/inside', content: 'x' },
      { path: 'c/sub/f', content: 'x' },
      { path: 'c', type: 'symlink', linkPath: 'a' },
      { path: 'd/', type: 'directory' },
      { path: 'd/kept', content: 'x' },
      { path: 'd/', type: 'directory' },
    ],
    t,
  );
  assert.deepEqual([readFileSync(join(folder, 'a'), 'utf8'), readdirSync(join(folder, 'b')), readlinkSync(join(folder, 'c')), readdirSync(join(folder, 'd'))], ['second', ['inside'], 'a', ['kept']]);
});

const refused: readonly (readonly [what: string, members: TestMember[]])[] = [
  ['a name with ..', [{ path: 'a/../../evil', content: 'x' }]],
  ['an absolute name', [{ path: '/evil', content: 'x' }]],
  ['a name through a symlink', [{ path: 'out', type: 'symlink', linkPath: '/tmp' }, { path: 'out/evil', content: 'x' }]],
  ['a name through a folder that a symlink took the place of', [{ path: 'd/sub/f' }, { path: 'd', type: 'symlink', linkPath: '/tmp' }, { path: 'd/sub/evil', content: 'x' }]],
  ['a name through a hard link to a symlink', [{ path: 's', type: 'symlink', linkPath: '/tmp' }, { path: 'h', type: 'hardlink', linkPath: 's' }, { path: 'h/evil', content: 'x' }]],
  ['a hard link out of it', [{ path: 'h', type: 'hardlink', linkPath: '../../etc/passwd' }]],
  ['a device', [{ path: 'sda', type: 'block-device', deviceMajor: 8 }]],
  ['too many bytes', [{ path: 'a', content: 'x'.repeat((1 << 20) + 1) }]],
];
for (const [what, members] of refused) {
  test(`unpackContext() refuses ${what}`, async (t) => {
    await assert.rejects(unpacked(members, t), (error) => isError(error, 'invalid', 'exhausted'));
  });
}
