import {
  chmodSync, closeSync, constants, copyFileSync, fchmodSync, fchownSync, futimesSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, readlinkSync, readSync, rmSync, type Stats,
  symlinkSync, writeSync,
} from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { dirname, join, posix } from 'node:path';
import { makeNode, setXattr } from '../../host/mod.ts';
import { errnoOf, GantryError, throwIfAborted } from '../../kernel/mod.ts';
import type { CopySource } from './copy-sources.ts';
import { type FileEntry, fileTypeOf } from './file-entry.ts';
import { makeFolders } from './make-folders.ts';
import { applyMode } from './mode.ts';
import type { Owner } from './owner.ts';
import { resolveInRoot } from './resolve-in-root.ts';
import { copiedXattrs } from './xattrs.ts';

export interface CopyTarget {
  readonly rootPath: string;
  /** Absolute inside the tree; ends with `/` when it is a folder. */
  readonly destination: string;
  /** Of everything copied and made; undefined: the sources' own owners. */
  readonly owner: Owner | undefined;
  readonly mode: string | undefined;
}

/**
 * Copies sources into a tree: modes, times, links, devices, extended attributes and hard links among them stay.
 * Symbolic links at the destination lead only inside the tree. `invalid` when a folder and a file collide.
 */
export async function copySources(sources: readonly CopySource[], target: CopyTarget, signal: AbortSignal): Promise<void> {
  const copier = new Copier(target);
  for (const source of sources) {
    for (const [index, entry] of source.entries.entries()) {
      if (index % 256 === 255) {
        await setImmediate();
        throwIfAborted(signal);
      }
      copier.copy(source, entry);
    }
    copier.finishFolders();
  }
}

class Copier {
  readonly #target: CopyTarget;
  readonly #maker: Owner;
  /** Where sources' entries go, once it is made. */
  #destination: string | undefined;
  /** Source inode → where its first name was copied. */
  readonly #links = new Map<string, string>();
  /** Times of folders are set last, because filling a folder changes them. */
  readonly #folderTimes: { path: string; stats: Stats }[] = [];

  constructor(target: CopyTarget) {
    this.#target = target;
    this.#maker = target.owner ?? { uid: 0, gid: 0 };
  }

  copy(source: CopySource, entry: FileEntry): void {
    const { destination, rootPath } = this.#target;
    if (source.kind === 'file') return this.#file(entry, this.#filePath(source.name));
    if (entry.path === '') return this.#root(entry, resolveInRoot(rootPath, destination));
    if (this.#destination === undefined) {
      this.#destination = resolveInRoot(rootPath, destination);
      makeFolders(this.#destination, this.#maker);
    }
    const path = join(this.#destination, entry.path);
    if (entry.stats.isDirectory()) this.#folder(entry, path);
    else this.#file(entry, path);
  }

  finishFolders(): void {
    for (const { path, stats } of this.#folderTimes.splice(0).toReversed()) lutimesSync(path, stats.atimeMs / 1000, stats.mtimeMs / 1000);
  }

  #filePath(name: string): string {
    const { destination, rootPath } = this.#target;
    const path = resolveInRoot(rootPath, destination);
    const isFolder = destination.endsWith('/') || lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    const full = isFolder ? resolveInRoot(rootPath, posix.join(destination, name)) : path;
    makeFolders(dirname(full), this.#maker);
    return full;
  }

  /** The folder itself is only given the source's mode and owner when it is made here. */
  #root(entry: FileEntry, path: string): void {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory() === true) return;
    if (stats !== undefined) throw new GantryError('invalid', `cannot copy a folder over the file ${this.#shown(path)}`);
    makeFolders(dirname(path), this.#maker);
    this.#folder(entry, path);
  }

  #folder(entry: FileEntry, path: string): void {
    const made = ifMissing(() => mkdirSync(path));
    if (!made && !lstatSync(path).isDirectory()) throw new GantryError('invalid', `cannot copy a folder over the file ${this.#shown(path)}`);
    this.#describe(entry, path);
    this.#folderTimes.push({ path, stats: entry.stats });
  }

  /** What is there already is looked at only when it is in the way: most files are new. */
  #file(entry: FileEntry, path: string): void {
    if (ifMissing(() => this.#create(entry, path))) return;
    if (lstatSync(path).isDirectory()) throw new GantryError('invalid', `cannot copy a file over the folder ${this.#shown(path)}`);
    rmSync(path);
    this.#create(entry, path);
  }

  /** EEXIST when there is something at the path. */
  #create(entry: FileEntry, path: string): void {
    if (this.#linked(entry, path)) return;
    const { hostPath, stats } = entry;
    const type = fileTypeOf(stats);
    if (type === 'file' && stats.size <= buffer.length) return this.#smallFile(entry, path);
    if (type === 'file') copyFileSync(hostPath, path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    else if (type === 'link') symlinkSync(readlinkSync(hostPath), path);
    else if (type === 'socket') throw new GantryError('invalid', `${posix.basename(hostPath)} is a socket; sockets cannot be copied`);
    else if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw Object.assign(new Error('exists'), { code: 'EEXIST' });
    else makeNode(path, stats.mode, major(stats.rdev), minor(stats.rdev));
    this.#describe(entry, path);
    lutimesSync(path, stats.atimeMs / 1000, stats.mtimeMs / 1000);
    this.#noteLink(entry, path);
  }

  /** Through descriptors: a path costs the kernel more than the file does, the more so through an overlay. */
  #smallFile(entry: FileEntry, path: string): void {
    const { hostPath, stats } = entry;
    const { owner, mode } = this.#target;
    const length = readSmall(hostPath);
    const target = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      for (let at = 0; at < length; ) at += writeSync(target, buffer, at, length - at);
      // Owner first: changing it clears the set-user-id bits.
      fchownSync(target, owner?.uid ?? stats.uid, owner?.gid ?? stats.gid);
      for (const { name, value } of copiedXattrs(hostPath)) setXattr(path, name, value);
      fchmodSync(target, mode === undefined ? stats.mode & 0o7777 : applyMode(mode, stats.mode, false));
      futimesSync(target, stats.atimeMs / 1000, stats.mtimeMs / 1000);
    } finally {
      closeSync(target);
    }
    this.#noteLink(entry, path);
  }

  #linked({ stats }: FileEntry, path: string): boolean {
    const first = stats.nlink < 2 ? undefined : this.#links.get(`${stats.dev}:${stats.ino}`);
    if (first === undefined || first === path) return false;
    linkSync(first, path);
    return true;
  }

  #noteLink({ stats }: FileEntry, path: string): void {
    const inode = `${stats.dev}:${stats.ino}`;
    if (stats.nlink > 1 && !this.#links.has(inode)) this.#links.set(inode, path);
  }

  /** Owner first: changing it clears the set-user-id bits. */
  #describe({ hostPath, stats }: FileEntry, path: string): void {
    const { owner, mode } = this.#target;
    lchownSync(path, owner?.uid ?? stats.uid, owner?.gid ?? stats.gid);
    for (const { name, value } of copiedXattrs(hostPath)) setXattr(path, name, value);
    if (!stats.isSymbolicLink()) chmodSync(path, mode === undefined ? stats.mode & 0o7777 : applyMode(mode, stats.mode, stats.isDirectory()));
  }

  #shown(path: string): string {
    return path.slice(this.#target.rootPath.length) || '/';
  }
}

const buffer = Buffer.alloc(1 << 20);

/** Reads a file of at most the buffer's size into it. What grew since it was looked at is cut off, as a copy of then would be. */
function readSmall(path: string): number {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let length = 0;
    for (let count = -1; count !== 0 && length < buffer.length; length += count) count = readSync(file, buffer, length, buffer.length - length, null);
    return length;
  } finally {
    closeSync(file);
  }
}

/** False when something is there already. */
function ifMissing(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Linux device numbers (sysmacros.h). */
function major(device: number): number {
  return Math.floor(device / 256) & 0xfff;
}

function minor(device: number): number {
  return (device & 0xff) | (Math.floor(device / 4096) & 0xfff00);
}
