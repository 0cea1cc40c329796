import type { FileEntry } from './file-entry.ts';

const maxEntries = 500_000;

/**
 * Digests of files that change only by being replaced (copies of clients' contexts), by path, for as long as the file's change time, inode and
 * size are the same. Hard links are not remembered: their digest depends on the others of a copy. In memory.
 */
export class FileDigests {
  readonly #known = new Map<string, { stamp: string; digest: string }>();

  get({ hostPath, stats }: FileEntry): string | undefined {
    const known = this.#known.get(hostPath);
    return known?.stamp === stampOf(stats) ? known.digest : undefined;
  }

  set({ hostPath, stats }: FileEntry, digest: string): void {
    if (stats.nlink > 1 && !stats.isDirectory()) return;
    if (this.#known.size >= maxEntries) this.#known.clear();
    this.#known.set(hostPath, { stamp: stampOf(stats), digest });
  }
}

function stampOf({ ino, ctimeMs, size, mode }: FileEntry['stats']): string {
  return `${ino} ${ctimeMs} ${size} ${mode}`;
}
