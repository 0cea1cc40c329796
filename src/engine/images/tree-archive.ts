import { isUtf8 } from 'node:buffer';
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { getXattr, listXattrs } from '../../host/mod.ts';
import { GantryError, throwIfAborted } from '../../kernel/mod.ts';
import { formatTarHeader, tarEnd, type TarEntryType, type TarHeader, tarPadding } from '../../wire/mod.ts';

export interface TreeArchiveOptions {
  /** `overlay`: whiteout devices and opaque attributes become `.wh.` files, as layers have them. `plain`: the tree as it is. */
  readonly format: 'overlay' | 'plain';
  /** Called with each file's size before its content. */
  readonly onFile?: (sizeBytes: number) => void;
}

/**
 * The tree below a folder as a tar whose bytes depend only on names, contents, modes, owners, attributes and whole seconds of times:
 * sorted by name, hard links to the first name, sockets left out. Nothing may write to the tree meanwhile.
 * `unsupported` for names that are not UTF-8. The root folder itself has no entry.
 */
export async function* archiveTree(folder: string, options: TreeArchiveOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  const links = new Map<string, string>();
  const pacer = new Pacer();
  const walk = async function* (parent: string): AsyncGenerator<Buffer> {
    for (const name of childNames(join(folder, parent))) {
      throwIfAborted(signal);
      await pacer.pause();
      const path = parent === '' ? name : `${parent}/${name}`;
      const full = join(folder, path);
      const stats = lstatSync(full, { bigint: true });
      if (stats.isSocket()) continue;
      if (options.format === 'overlay' && stats.isCharacterDevice() && stats.rdev === 0n) {
        yield formatTarHeader(whiteoutHeader(parent, `.wh.${name}`, stats));
        continue;
      }
      const header = headerOf(full, path, stats, links, options.format);
      yield formatTarHeader(header);
      if (header.type === 'file') yield* contentOf(full, header.sizeBytes, options, signal);
      if (header.type !== 'directory') continue;
      if (options.format === 'overlay' && isOpaque(full)) yield formatTarHeader(whiteoutHeader(path, '.wh..wh..opq', stats));
      yield* walk(path);
    }
  };
  yield* walk('');
  yield tarEnd();
}

function childNames(folder: string): string[] {
  return readdirSync(folder, { encoding: 'buffer' })
    .sort((a, b) => Buffer.compare(a, b))
    .map((name) => {
      if (!isUtf8(name)) throw new GantryError('unsupported', `${folder} has an entry whose name is not UTF-8: ${name.toString('latin1')}`);
      return name.toString();
    });
}

function headerOf(full: string, path: string, stats: BigIntStats, links: Map<string, string>, format: 'overlay' | 'plain'): TarHeader {
  const type = typeOf(full, stats);
  const base = { mode: Number(stats.mode & 0o7777n), uid: Number(stats.uid), gid: Number(stats.gid), mtimeSeconds: wholeSeconds(stats), deviceMajor: 0, deviceMinor: 0 };
  if (type !== 'directory' && stats.nlink > 1n) {
    const first = links.get(`${stats.dev}:${stats.ino}`);
    if (first !== undefined) return { ...base, type: 'hardlink', path, linkPath: first, sizeBytes: 0, xattrs: new Map() };
    links.set(`${stats.dev}:${stats.ino}`, path);
  }
  return {
    ...base,
    type,
    path: type === 'directory' ? `${path}/` : path,
    linkPath: type === 'symlink' ? readlinkSync(full) : '',
    sizeBytes: type === 'file' ? Number(stats.size) : 0,
    ...(type === 'character-device' || type === 'block-device' ? deviceNumbers(stats.rdev) : {}),
    xattrs: xattrsOf(full, format),
  };
}

function typeOf(full: string, stats: BigIntStats): TarEntryType {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'character-device';
  if (stats.isBlockDevice()) return 'block-device';
  throw new GantryError('unsupported', `${full} is of an unknown file type`);
}

/** Attributes of the tree itself. Those that overlayfs keeps its own books with are left out; links to other layers' content cannot be. */
function xattrsOf(full: string, format: 'overlay' | 'plain'): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const name of listXattrs(full)) {
    if (format === 'overlay' && (name === 'trusted.overlay.redirect' || name === 'trusted.overlay.metacopy')) {
      throw new GantryError('internal', `${full} was written by an overlay with ${name}: mount with redirect_dir=off,metacopy=off`);
    }
    if (name.startsWith('trusted.overlay.') || name === 'security.selinux') continue;
    const value = getXattr(full, name);
    if (value !== undefined) xattrs.set(name, Buffer.from(value));
  }
  return xattrs;
}

function isOpaque(full: string): boolean {
  return getXattr(full, 'trusted.overlay.opaque')?.toString() === 'y';
}

function whiteoutHeader(parent: string, name: string, stats: BigIntStats): TarHeader {
  return {
    type: 'file', path: parent === '' ? name : `${parent}/${name}`, linkPath: '', mode: 0o600, uid: 0, gid: 0, sizeBytes: 0,
    mtimeSeconds: wholeSeconds(stats), deviceMajor: 0, deviceMinor: 0, xattrs: new Map(),
  };
}

/** Layers hold whole seconds, as other image tools write them; rounded down, also before the epoch. */
function wholeSeconds(stats: BigIntStats): number {
  return Math.floor(Number(stats.mtimeNs / 1_000_000n) / 1000);
}

function deviceNumbers(device: bigint): { deviceMajor: number; deviceMinor: number } {
  return { deviceMajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)), deviceMinor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)) };
}

const smallFileBytes = 128 * 1024;

async function* contentOf(full: string, sizeBytes: number, options: TreeArchiveOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  options.onFile?.(sizeBytes);
  let done = 0;
  const chunks = sizeBytes <= smallFileBytes ? [readFileSync(full)] : largeFile(full, sizeBytes);
  for await (const chunk of chunks) {
    throwIfAborted(signal);
    done += chunk.length;
    yield chunk;
  }
  if (done !== sizeBytes) throw new GantryError('conflict', `${full} changed while it was archived`);
  yield Buffer.alloc(tarPadding(sizeBytes));
}

async function* largeFile(full: string, sizeBytes: number): AsyncGenerator<Buffer> {
  await using file = await open(full, 'r');
  for (let at = 0; at < sizeBytes; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(1 << 20, sizeBytes - at)), 0, undefined, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Small files are read synchronously (a tenth of the time); other work gets its turn every few milliseconds. */
class Pacer {
  #since = performance.now();

  async pause(): Promise<void> {
    if (performance.now() - this.#since < 5) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
