import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { IgnoreRules } from './ignore-rules.ts';

/** What a context folder has, without the files' content: path, and a stamp that changes whenever the file does. */
export type Manifest = ReadonlyMap<string, string>;

/** Walks a folder as far as the rules let builds see it. Links are not followed. `always`: paths that are taken although a rule leaves them out. */
export function readManifest(folder: string, ignore: IgnoreRules, always: ReadonlySet<string> = new Set()): Manifest {
  const manifest = new Map<string, string>();
  const walk = (parent: string): void => {
    for (const entry of readdirSync(join(folder, parent), { withFileTypes: true })) {
      const path = parent === '' ? entry.name : `${parent}/${entry.name}`;
      const isTaken = always.has(path) || !ignore.isIgnored(path);
      if (isTaken) manifest.set(path, stampOf(join(folder, path)));
      if (!entry.isDirectory() || (!isTaken && ignore.canSkipFolders)) continue;
      const before = manifest.size;
      walk(path);
      // The folders above a file that an exception takes in are needed to hold it.
      if (!isTaken && manifest.size > before) manifest.set(path, stampOf(join(folder, path)));
    }
  };
  walk('');
  return manifest;
}

/** The change time moves with content and with everything about the file; a folder's also with what is made in it. */
function stampOf(path: string): string {
  const { dev, ino, mode, size, ctimeNs, mtimeNs, uid, gid } = lstatSync(path, { bigint: true });
  return [dev, ino, mode.toString(8), size, ctimeNs, mtimeNs, uid, gid].join(' ');
}

/** Whether the stamp is a folder's (inode(7): the type is part of the mode). */
export function isFolderStamp(stamp: string | undefined): boolean {
  return (Number.parseInt(stamp?.split(' ')[2] ?? '0', 8) & 0o170_000) === 0o040_000;
}

export interface ManifestChanges {
  /** New or changed. */
  readonly missing: readonly string[];
  readonly gone: readonly string[];
}

/** What has to come and to go so that `before` becomes `after`. */
export function compareManifests(before: Manifest, after: Manifest): ManifestChanges {
  const missing = [...after].filter(([path, stamp]) => before.get(path) !== stamp).map(([path]) => path);
  return { missing, gone: [...before.keys()].filter((path) => !after.has(path)) };
}
