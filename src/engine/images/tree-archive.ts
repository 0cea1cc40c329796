import { isUtf8 } from 'node:buffer';
import { type BigIntStats, closeSync, constants, lstatSync, openSync, read, readdirSync, readlinkSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { getXattr, type IdRange, listXattrs } from '../../host/mod.ts';
import { GantryError, throwIfAborted } from '../../kernel/mod.ts';
import { formatTarHeader, tarEnd, type TarEntryType, type TarHeader, tarPadding } from '../../wire/mod.ts';

export interface TreeArchiveOptions {
  /** `overlay`: whiteout devices and opaque attributes become `.wh.` files, as layers have them. `plain`: the tree as it is. */
  readonly format: 'overlay' | 'plain';
  /** Entries that are not archived, by path; nor is what is below them. */
  readonly isLeftOut?: (path: string) => boolean;
  /** Owners are given as the user namespace of the range shows them; those outside of it are its overflow user (user_namespaces(7)). */
  readonly idRange?: IdRange | undefined;
  /** Called with each file's size before its content. */
  readonly onFile?: (sizeBytes: number) => void;
}

/**
 * The tree below a folder as a tar whose bytes depend only on names, contents, modes, owners, attributes and whole seconds of times:
 * sorted by name, hard links to the first name, sockets left out. A file that changes meanwhile is `conflict`; a folder that is swapped
 * for a symlink meanwhile is never followed. `unsupported` for names that are not UTF-8. The root folder itself has no entry.
 */
export async function* archiveTree(folder: string, options: TreeArchiveOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  const walker = new TreeWalker(options);
  const root = openFolder(folder);
  try {
    yield* gathered(walker.children(root, ''), signal);
  } finally {
    closeSync(root);
  }
  yield tarEnd();
}

/** One entry of the folder, and what is below it, under another name at the top of the archive: as `docker cp` wants it. */
export async function* archiveEntry(folder: string, name: string, as: string, options: TreeArchiveOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  const walker = new TreeWalker(options);
  const root = openFolder(folder);
  try {
    yield* gathered(walker.entry(root, name, as), signal);
  } finally {
    closeSync(root);
  }
  yield tarEnd();
}

/** A descriptor of the folder itself: what is opened below `/proc/self/fd/N/` stays below it whatever happens to its path. */
function openFolder(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/** Bytes of an archive, or a file whose content is too much to read at once. The descriptor is the walker's. */
type Part = Buffer | { readonly file: number; readonly path: string; readonly sizeBytes: number };

/** Walks synchronously: of trees of many small files each waiting would cost more than the file. */
class TreeWalker {
  readonly #options: TreeArchiveOptions;
  readonly #links = new Map<string, string>();

  constructor(options: TreeArchiveOptions) {
    this.#options = options;
  }

  *children(folder: number, parent: string): Generator<Part> {
    for (const name of childNames(`/proc/self/fd/${folder}`, parent)) yield* this.entry(folder, name, parent === '' ? name : `${parent}/${name}`);
  }

  *entry(folder: number, name: string, path: string): Generator<Part> {
    const isOverlay = this.#options.format === 'overlay';
    const full = `/proc/self/fd/${folder}/${name}`;
    const stats = lstatSync(full, { bigint: true });
    if (stats.isSocket() || this.#options.isLeftOut?.(path) === true) return;
    if (isOverlay && stats.isCharacterDevice() && stats.rdev === 0n) {
      yield formatTarHeader(whiteoutHeader(path, `.wh.${name}`, stats));
      return;
    }
    const header = headerOf(full, path, stats, this.#links, this.#options);
    yield formatTarHeader(header);
    if (header.type === 'file') yield* contentOf(full, path, header.sizeBytes, this.#options);
    if (header.type !== 'directory') return;
    if (isOverlay && isOpaque(full)) yield formatTarHeader(whiteoutHeader(`${path}/x`, '.wh..wh..opq', stats));
    const own = openFolder(full);
    try {
      yield* this.children(own, path);
    } finally {
      closeSync(own);
    }
  }
}

const batchBytes = 256 * 1024;

/** The parts in pieces of some size. Other work gets its turn every few milliseconds. */
async function* gathered(parts: Iterable<Part>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const pacer = new Pacer();
  let batch = Buffer.allocUnsafeSlow(batchBytes);
  let filled = 0;
  for (const part of parts) {
    throwIfAborted(signal);
    const pause = pacer.pause();
    if (pause !== undefined) await pause;
    if (filled > 0 && (!Buffer.isBuffer(part) || filled + part.length > batchBytes)) {
      yield batch.subarray(0, filled);
      batch = Buffer.allocUnsafeSlow(batchBytes);
      filled = 0;
    }
    if (!Buffer.isBuffer(part)) yield* largeContent(part, signal);
    else if (part.length > batchBytes) yield part;
    else filled += part.copy(batch, filled);
  }
  if (filled > 0) yield batch.subarray(0, filled);
}

function childNames(folder: string, shown: string): string[] {
  return readdirSync(folder, { encoding: 'buffer' })
    .sort((a, b) => Buffer.compare(a, b))
    .map((name) => {
      if (!isUtf8(name)) throw new GantryError('unsupported', `${shown}/ has an entry whose name is not UTF-8: ${name.toString('latin1')}`);
      return name.toString();
    });
}

function headerOf(full: string, path: string, stats: BigIntStats, links: Map<string, string>, { format, idRange }: TreeArchiveOptions): TarHeader {
  const type = typeOf(full, stats);
  const base = { mode: Number(stats.mode & 0o7777n), uid: shownId(stats.uid, idRange), gid: shownId(stats.gid, idRange), mtimeSeconds: wholeSeconds(stats), deviceMajor: 0, deviceMinor: 0 };
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

const overflowId = 65_534;

function shownId(id: bigint, range: IdRange | undefined): number {
  if (range === undefined) return Number(id);
  const inside = Number(id) - range.firstId;
  return inside >= 0 && inside < range.size ? inside : overflowId;
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

/** In the folder of `path`. */
function whiteoutHeader(path: string, name: string, stats: BigIntStats): TarHeader {
  return {
    type: 'file', path: `${path.slice(0, path.lastIndexOf('/') + 1)}${name}`, linkPath: '', mode: 0o600, uid: 0, gid: 0, sizeBytes: 0,
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

function* contentOf(full: string, path: string, sizeBytes: number, options: TreeArchiveOptions): Generator<Part> {
  options.onFile?.(sizeBytes);
  if (sizeBytes === 0) return;
  // Not blocking: what was a file a moment ago may be a pipe by now.
  const file = openSync(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (sizeBytes <= smallFileBytes) yield smallContent(file, path, sizeBytes);
    else yield { file, path, sizeBytes };
  } finally {
    closeSync(file);
  }
}

/** With the zeros that follow it. */
function smallContent(file: number, path: string, sizeBytes: number): Buffer {
  const padded = Buffer.allocUnsafe(sizeBytes + tarPadding(sizeBytes)).fill(0, sizeBytes);
  for (let done = 0; done < sizeBytes; ) {
    const count = readSync(file, padded, done, sizeBytes - done, done);
    if (count === 0) throw changed(path);
    done += count;
  }
  return padded;
}

async function* largeContent({ file, path, sizeBytes }: Exclude<Part, Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let done = 0; done < sizeBytes; ) {
    throwIfAborted(signal);
    const chunk = Buffer.allocUnsafe(Math.min(readBytes, sizeBytes - done));
    const count = await readAsync(file, chunk, done);
    if (count === 0) throw changed(path);
    done += count;
    yield chunk.subarray(0, count);
  }
  yield Buffer.alloc(tarPadding(sizeBytes));
}

function changed(path: string): GantryError {
  return new GantryError('conflict', `${path} changed while it was archived`);
}

const readBytes = 1 << 20;

function readAsync(file: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, buffer, 0, buffer.length, position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Small files are read synchronously (a tenth of the time); other work gets its turn every few milliseconds. */
class Pacer {
  #since = performance.now();

  /** Nothing to wait for most of the time. */
  pause(): Promise<void> | undefined {
    return performance.now() - this.#since < 5 ? undefined : this.#turn();
  }

  async #turn(): Promise<void> {
    await nextTurn();
    this.#since = performance.now();
  }
}
