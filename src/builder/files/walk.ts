import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FileEntry } from './file-entry.ts';

/** Decides for each path below a walk's root: take it, leave it, or leave it with all below it. */
export type WalkFilter = (path: string, isFolder: boolean) => 'take' | 'leave' | 'skip';

/** Entries in byte order of their paths, folders before what is in them. The root comes first, with an empty path. Links are not followed. */
export function* walkTree(rootPath: string, filter: WalkFilter = () => 'take'): Generator<FileEntry> {
  const stats = lstatSync(rootPath);
  yield { path: '', hostPath: rootPath, stats };
  if (stats.isDirectory()) yield* walkFolder(rootPath, '', filter);
}

function* walkFolder(hostFolder: string, folder: string, filter: WalkFilter): Generator<FileEntry> {
  for (const name of readdirSync(hostFolder).sort()) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const hostPath = join(hostFolder, name);
    const stats = lstatSync(hostPath);
    const verdict = filter(path, stats.isDirectory());
    if (verdict === 'skip') continue;
    if (verdict === 'take') yield { path, hostPath, stats };
    if (stats.isDirectory()) yield* walkFolder(hostPath, path, filter);
  }
}
