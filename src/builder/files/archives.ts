import { spawn } from 'node:child_process';
import { chmodSync, chownSync, closeSync, createReadStream, lstatSync, openSync, readSync, utimesSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { baseEnv, GantryError, isError, runCommand, throwIfAborted } from '../../kernel/mod.ts';

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

/** What an archive may hold, unpacked: as much as a layer. */
export interface ArchiveLimits { readonly maxBytes: number; readonly maxEntries: number }

const defaultLimits: ArchiveLimits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000 };

/**
 * Refuses bombs and devices before anything is unpacked, with the archive and the entry named: `exhausted` or `invalid`. Names and links are
 * confined when it is unpacked. A device would make an image that no store takes.
 */
export async function checkArchive(path: string, limits: ArchiveLimits, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const child = spawn('bsdtar', ['--numeric-owner', '-tvf', path], { env: { ...baseEnv(), LC_ALL: 'C.UTF-8' }, stdio: ['ignore', 'pipe', 'ignore'], signal: AbortSignal.any([signal, stop.signal]) });
  // That it is an archive has been seen; a listing that is cut short fails when it is unpacked.
  child.on('error', () => undefined);
  const ended = new Promise((resolve) => child.once('close', resolve));
  let bytes = 0;
  let entries = 0;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { type, sizeBytes, name } = parseListing(line);
      const refuse = (code: 'invalid' | 'exhausted', why: string): never => {
        throw new GantryError(code, `archive ${basename(path)}: entry ${JSON.stringify(name.slice(0, 300))} is refused: ${why}`);
      };
      entries += 1;
      bytes += sizeBytes;
      if (type === 'b' || type === 'c') refuse('invalid', 'it is a device');
      if (entries > limits.maxEntries) refuse('exhausted', `more than ${limits.maxEntries} entries`);
      if (bytes > limits.maxBytes) refuse('exhausted', `more than ${limits.maxBytes} bytes unpacked`);
    }
  } finally {
    stop.abort();
    await ended;
  }
  throwIfAborted(signal);
}

/** One line of `bsdtar -tv`: type and mode, links, owner, group, size (or device numbers), three words of a date, the name with escapes. */
function parseListing(line: string): { type: string; sizeBytes: number; name: string } {
  const match = /^(\S)\S*\s+\d+\s+\S+\s+\S+\s+(\d+)(?:,\s*\d+)?\s+\S+\s+\S+\s+\S+ (.*)$/.exec(line);
  if (match === null) throw new GantryError('invalid', `an entry of the archive cannot be read: ${JSON.stringify(line.slice(0, 200))}`);
  const [, type = '', size = '', name = ''] = match;
  return { type, sizeBytes: type === '-' ? Number(size) : 0, name };
}

/**
 * Unpacks an archive into a folder that the program sees as its root, so that no name or link in it leads out. Numeric owners, modes and times stay;
 * what the archive says of its own root does not count: the folder stays as it is.
 */
export async function unpackArchive(path: string, folder: string, signal: AbortSignal): Promise<void> {
  await checkArchive(path, defaultLimits, signal);
  const { mode, uid, gid } = lstatSync(folder);
  await runCommand('bsdtar', ['--chroot', '-P', '--numeric-owner', '-C', folder, '-xpf', '-'], { stdin: createReadStream(path) }, signal);
  chownSync(folder, uid, gid);
  chmodSync(folder, mode & 0o7777);
  const now = new Date();
  utimesSync(folder, now, now);
}
