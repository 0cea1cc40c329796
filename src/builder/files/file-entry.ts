import type { Stats } from 'node:fs';

/** A file, folder or link of a tree that is copied: where it is and what a layer would say of it. */
export interface FileEntry {
  /** Below the copied root; empty for the root itself. */
  readonly path: string;
  readonly hostPath: string;
  readonly stats: Stats;
}

export type FileType = 'file' | 'folder' | 'link' | 'character-device' | 'block-device' | 'fifo' | 'socket';

export function fileTypeOf(stats: Stats): FileType {
  if (stats.isDirectory()) return 'folder';
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isCharacterDevice()) return 'character-device';
  if (stats.isBlockDevice()) return 'block-device';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'file';
}
