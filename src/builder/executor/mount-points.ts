import { closeSync, lstatSync, lutimesSync, mkdirSync, openSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { GantryError } from '../../kernel/mod.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';

/** What a container's own mounts need in the tree, whatever image it is. */
const standardMountPoints: readonly { path: string; isFolder: boolean }[] = [
  ...['/proc', '/sys', '/dev'].map((path) => ({ path, isFolder: true })),
  ...['/etc/resolv.conf', '/etc/hosts', '/etc/hostname'].map((path) => ({ path, isFolder: false })),
];

interface Made {
  readonly hostPath: string;
  readonly isFolder: boolean;
  readonly parentPath: string;
  readonly parentStats: Stats;
}

/**
 * Makes what is missing for mounts, and takes it away again so that no empty mount point ends up in a layer.
 * The process that ran in between may have changed the tree, so only what is still empty, and still reached without a link, is removed.
 */
export class MountPoints implements Disposable {
  readonly #root: string;
  readonly #made: Made[] = [];

  constructor(root: string, mounts: readonly { path: string; isFolder: boolean }[]) {
    this.#root = root;
    for (const { path, isFolder } of [...standardMountPoints, ...mounts]) this.#make(resolveInRoot(root, path), isFolder);
  }

  /** Once the process has ended and nothing is mounted any more. */
  remove(): void {
    for (const made of this.#made.splice(0).toReversed()) this.#remove(made);
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  #make(hostPath: string, isFolder: boolean): void {
    const stats = lstatSync(hostPath, { throwIfNoEntry: false });
    if (stats !== undefined) {
      if (stats.isDirectory() !== isFolder) throw new GantryError('invalid', `cannot mount a ${isFolder ? 'folder' : 'file'} over the ${isFolder ? 'file' : 'folder'} ${hostPath.slice(this.#root.length)}`);
      return;
    }
    const parentPath = dirname(hostPath);
    this.#make(parentPath, true);
    const parentStats = lstatSync(parentPath);
    if (isFolder) mkdirSync(hostPath, 0o755);
    else closeSync(openSync(hostPath, 'wx', 0o644));
    this.#made.push({ hostPath, isFolder, parentPath, parentStats });
  }

  #remove({ hostPath, isFolder, parentPath, parentStats }: Made): void {
    const inside = hostPath.slice(this.#root.length);
    if (resolveInRoot(this.#root, inside, { keepsLastLink: true }) !== join(this.#root, inside)) return;
    const stats = lstatSync(hostPath, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory() !== isFolder) return;
    if (isFolder ? !removeEmptyFolder(hostPath) : stats.size > 0) return;
    if (!isFolder) rmSync(hostPath);
    lutimesSync(parentPath, parentStats.atimeMs / 1000, parentStats.mtimeMs / 1000);
  }
}

function removeEmptyFolder(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
