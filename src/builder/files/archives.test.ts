import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatTarHeader, tarEnd, type TarHeader, tarPadding } from '../../wire/mod.ts';
import { checkArchive, unpackArchive } from './archives.ts';

const { signal } = new AbortController();

function tarOf(members: readonly (Partial<TarHeader> & { path: string; content?: string })[]): Buffer {
  const parts = members.flatMap(({ content = '', ...member }) => {
    const header: TarHeader = { type: 'file', linkPath: '', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1_700_000_000, deviceMajor: 0, deviceMinor: 0, xattrs: new Map(), sizeBytes: content.length, ...member };
    return [formatTarHeader(header), Buffer.from(content), Buffer.alloc(tarPadding(content.length))];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

test('checkArchive() refuses bombs and devices of any compression, and names archive and entry', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-archives-'));
  try {
    const limits = { maxBytes: 1000, maxEntries: 5 };
    const cases: [string, Parameters<typeof tarOf>[0], RegExp | undefined][] = [
      ['a device', [{ path: 'dev/sda', type: 'block-device', deviceMajor: 8 }], /archive a\.tar.*"dev\/sda".*device/],
      ['a character device', [{ path: 'x', content: 'y' }, { path: 'dev/mem', type: 'character-device', deviceMajor: 1, deviceMinor: 1 }], /"dev\/mem".*device/],
      ['too many bytes', [{ path: 'a', content: 'x'.repeat(600) }, { path: 'b c', content: 'x'.repeat(600) }], /"b c".*1000 bytes/],
      ['too many entries', Array.from({ length: 6 }, (_, at) => ({ path: `f${at}` })), /"f5".*5 entries/],
      ['an ordinary one', [{ path: 'd/', type: 'directory' }, { path: 'd/a\nb', content: 'x' }, { path: 'd/l', type: 'symlink', linkPath: '/dev/sda' }, { path: 'h', type: 'hardlink', linkPath: 'd/a\nb' }], undefined],
    ];
    for (const [what, members, expected] of cases) {
      const path = join(folder, 'a.tar');
      for (const compress of [undefined, 'gzip']) {
        writeFileSync(path, compress === undefined ? tarOf(members) : execFileSync(compress, ['-c'], { input: tarOf(members) }));
        if (expected === undefined) await checkArchive(path, limits, signal);
        else await assert.rejects(checkArchive(path, limits, signal), expected, what);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('unpackArchive() unpacks nothing of an archive with a device', { skip: process.getuid?.() === 0 ? false : 'needs root: it is confined by chroot' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-archives-'));
  try {
    writeFileSync(join(folder, 'a.tar'), tarOf([{ path: 'first', content: 'x' }, { path: 'null', type: 'character-device', deviceMajor: 1, deviceMinor: 3 }]));
    await assert.rejects(unpackArchive(join(folder, 'a.tar'), folder, signal), { code: 'invalid' });
    assert.equal(existsSync(join(folder, 'first')), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
