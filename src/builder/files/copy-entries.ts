import { chmodSync, constants, copyFileSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, readlinkSync, rmSync, type Stats, symlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { dirname, join, posix } from 'node:path';
import { makeNode, setXattr } from '../../host/mod.ts';
import { GantryError, throwIfAborted } from '../../kernel/mod.ts';
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
    const folder = resolveInRoot(rootPath, destination);
    if (entry.path === '') return this.#root(entry, folder);
    makeFolders(folder, this.#maker);
    const path = join(folder, entry.path);
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
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isDirectory()) throw new GantryError('invalid', `cannot copy a folder over the file ${this.#shown(path)}`);
    if (stats === undefined) mkdirSync(path);
    this.#describe(entry, path);
    this.#folderTimes.push({ path, stats: entry.stats });
  }

  #file(entry: FileEntry, path: string): void {
    const existing = lstatSync(path, { throwIfNoEntry: false });
    if (existing?.isDirectory() === true) throw new GantryError('invalid', `cannot copy a file over the folder ${this.#shown(path)}`);
    if (existing !== undefined) rmSync(path);
    if (this.#linked(entry, path)) return;
    this.#create(entry, path);
    this.#describe(entry, path);
    lutimesSync(path, entry.stats.atimeMs / 1000, entry.stats.mtimeMs / 1000);
  }

  #linked({ stats }: FileEntry, path: string): boolean {
    if (stats.nlink < 2) return false;
    const inode = `${stats.dev}:${stats.ino}`;
    const first = this.#links.get(inode);
    if (first === undefined) this.#links.set(inode, path);
    else linkSync(first, path);
    return first !== undefined;
  }

  #create({ hostPath, stats }: FileEntry, path: string): void {
    const type = fileTypeOf(stats);
    if (type === 'file') copyFileSync(hostPath, path, constants.COPYFILE_FICLONE);
    else if (type === 'link') symlinkSync(readlinkSync(hostPath), path);
    else if (type === 'socket') throw new GantryError('invalid', `${posix.basename(hostPath)} is a socket; sockets cannot be copied`);
    else makeNode(path, stats.mode, major(stats.rdev), minor(stats.rdev));
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

/** Linux device numbers (sysmacros.h). */
function major(device: number): number {
  return Math.floor(device / 256) & 0xfff;
}

function minor(device: number): number {
  return (device & 0xff) | (Math.floor(device / 4096) & 0xfff00);
}
