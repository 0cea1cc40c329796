import { chmodSync, chownSync, lstatSync, mkdirSync, utimesSync } from 'node:fs';
import { dirname } from 'node:path';
import { GantryError } from '../../kernel/mod.ts';
import type { Owner } from './owner.ts';

/** Makes a folder and those above it, mode 0755, owned by `owner`. `path` is resolved already. `invalid` when something else stands in the way. */
export function makeFolders(path: string, owner: Owner, timeSeconds?: number): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  if (stats !== undefined) throw new GantryError('invalid', 'a file stands where a folder is needed');
  makeFolders(dirname(path), owner, timeSeconds);
  mkdirSync(path);
  chmodSync(path, 0o755);
  chownSync(path, owner.uid, owner.gid);
  if (timeSeconds !== undefined) utimesSync(path, timeSeconds, timeSeconds);
}
