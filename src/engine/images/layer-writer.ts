import { chmodSync, closeSync, constants, fchmodSync, fchownSync, futimesSync, lchownSync, linkSync, lutimesSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { makeNode, openFolderBeneath, setXattr } from '../../host/mod.ts';
import { errnoOf, GantryError, isError } from '../../kernel/mod.ts';
import type { TarHeader } from '../../wire/mod.ts';

/** Folders that are held open. Members of a folder mostly follow each other. */
const maxOpenFolders = 256;
const createFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const fifo = 0o010000;

/**
 * Writes the members of an archive below a folder, each made by its last name in a folder that the kernel opened without leaving the root and
 * without following a symlink. Blocks its thread: for one that has nothing else to do. Folders get their mode, owner, times and attributes at
 * the end, when nothing is made in them any more.
 */
export class LayerWriter implements Disposable {
  readonly #root: number;
  readonly #open = new Map<string, number>();
  readonly #folders = new Map<string, TarHeader>();
  readonly #maskedBits = 0o7000 | process.umask();

  /** `folder` must be empty, and nobody else may write there. */
  constructor(folder: string) {
    this.#root = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  }

  /** The name is relative and without `.` and `..`, but for the root folder's, which is `.`. What had the name before is replaced; a folder stays one. */
  async write(header: TarHeader, content: AsyncIterable<Buffer>): Promise<void> {
    if (header.path === '.') return void this.#folders.set('.', header);
    const path = this.#place(header.path);
    if (header.type === 'directory') {
      this.#folders.set(header.path, header);
      return this.#create(header.path, path, true, () => mkdirSync(path, 0o700));
    }
    if (header.type === 'file') return this.#file(path, header, content);
    if (header.type === 'hardlink') {
      const target = this.#place(header.linkPath);
      return this.#create(header.path, path, false, () => linkSync(target, path));
    }
    if (header.type === 'symlink') this.#create(header.path, path, false, () => symlinkSync(header.linkPath, path));
    else if (header.type === 'fifo') this.#create(header.path, path, false, () => makeNode(path, fifo | header.mode, 0, 0));
    else throw new GantryError('unsupported', `${header.path}: a ${header.type} is not unpacked`);
    lchownSync(path, header.uid, header.gid);
    if (header.type === 'fifo') chmodSync(path, header.mode);
    for (const [name, value] of header.xattrs) setXattr(path, name, value);
    lutimesSync(path, header.mtimeSeconds, header.mtimeSeconds);
  }

  /** Gives folders what they are to have. Nothing is written afterwards. `toError` says what is thrown for a folder that cannot have it. */
  finish(toError: (path: string, cause: unknown) => unknown = (_, cause) => cause): void {
    for (const [path, header] of [...this.#folders].toReversed()) {
      try {
        this.#finishFolder(path, header);
      } catch (error) {
        throw toError(path, error);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#closeFolders();
    closeSync(this.#root);
  }

  async #file(path: string, header: TarHeader, content: AsyncIterable<Buffer>): Promise<void> {
    const fd = this.#create(header.path, path, false, () => openSync(path, createFile, header.mode));
    try {
      for await (const chunk of content) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      if (header.uid !== 0 || header.gid !== 0) fchownSync(fd, header.uid, header.gid);
      if ((header.mode & this.#maskedBits) !== 0) fchmodSync(fd, header.mode);
      // After the owner: a change of it takes capabilities of the file away.
      for (const [name, value] of header.xattrs) setXattr(path, name, value);
      futimesSync(fd, header.mtimeSeconds, header.mtimeSeconds);
    } finally {
      closeSync(fd);
    }
  }

  #finishFolder(path: string, { mode, uid, gid, xattrs, mtimeSeconds }: TarHeader): void {
    const folder = `/proc/self/fd/${path === '.' ? this.#root : this.#folder(path)}/.`;
    // Owner first: a change of it takes bits of the mode away.
    lchownSync(folder, uid, gid);
    chmodSync(folder, mode);
    for (const [name, value] of xattrs) setXattr(folder, name, value);
    lutimesSync(folder, mtimeSeconds, mtimeSeconds);
  }

  #create<T>(name: string, path: string, isFolder: boolean, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    return this.#replace(name, path, isFolder, make);
  }

  /** A folder over a folder is the same one; anything else gives way to what comes later. */
  #replace<T>(name: string, path: string, isFolder: boolean, make: () => T): T {
    const existing = this.#openFolder(name);
    if (existing !== undefined) closeSync(existing);
    if (isFolder && existing !== undefined) return undefined as T;
    rmSync(path, { recursive: true });
    this.#closeFolders();
    for (const folder of this.#folders.keys()) if (!isFolder && (folder === name || folder.startsWith(`${name}/`))) this.#folders.delete(folder);
    return make();
  }

  /** A path that leads to the member by way of its folder's descriptor. Folders that are missing are made. */
  #place(path: string): string {
    const slash = path.lastIndexOf('/');
    return `/proc/self/fd/${slash < 0 ? this.#root : this.#folder(path.slice(0, slash))}/${path.slice(slash + 1)}`;
  }

  #folder(path: string): number {
    let fd = this.#open.get(path) ?? openFolderBeneath(this.#root, path);
    if (fd === undefined) {
      const missing = this.#place(path);
      mkdirSync(missing);
      chmodSync(missing, 0o755);
      fd = openFolderBeneath(this.#root, path);
    }
    if (fd === undefined) throw new GantryError('conflict', `${path} went away while it was unpacked`);
    // The last one to be used is the last one to go: a hard link needs two.
    this.#open.delete(path);
    this.#open.set(path, fd);
    const [oldest] = this.#open;
    if (this.#open.size > maxOpenFolders && oldest !== undefined) {
      this.#open.delete(oldest[0]);
      closeSync(oldest[1]);
    }
    return fd;
  }

  #openFolder(path: string): number | undefined {
    try {
      return openFolderBeneath(this.#root, path);
    } catch (error) {
      if (isError(error) && ['ENOTDIR', 'ELOOP'].includes(String(error.details['errno']))) return undefined;
      throw error;
    }
  }

  #closeFolders(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }
}
