import { closeSync, createReadStream, lstatSync, openSync, readSync } from 'node:fs';
import { isError, runCommand } from '../../kernel/mod.ts';

const magics: readonly (readonly [offset: number, bytes: string])[] = [
  [0, '1f8b'],
  [0, '425a68'],
  [0, 'fd377a585a00'],
  [0, '28b52ffd'],
  [257, '7573746172'],
];

/** Whether the file is a tar archive, plain or compressed with gzip, bzip2, xz or zstd: by content, not by name. */
export async function isTarArchive(path: string, signal: AbortSignal): Promise<boolean> {
  const stats = lstatSync(path);
  if (!stats.isFile() || stats.size === 0 || !hasMagic(path)) return false;
  try {
    // A compressed file need not hold an archive; only reading it tells.
    await runCommand('bsdtar', ['-tf', path], { maxOutputBytes: 1 << 30 }, signal);
    return true;
  } catch (error) {
    if (isError(error, 'internal')) return false;
    throw error;
  }
}

function hasMagic(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(512);
    const length = readSync(file, head, 0, head.length, 0);
    return magics.some(([offset, bytes]) => length >= offset + bytes.length / 2 && head.subarray(offset, offset + bytes.length / 2).toString('hex') === bytes);
  } finally {
    closeSync(file);
  }
}

/** Unpacks an archive into a folder that the program sees as its root, so that no name or link in it leads out. Numeric owners, modes and times stay. */
export async function unpackArchive(path: string, folder: string, signal: AbortSignal): Promise<void> {
  await runCommand('bsdtar', ['--chroot', '-P', '--numeric-owner', '-C', folder, '-xpf', '-'], { stdin: createReadStream(path) }, signal);
}
