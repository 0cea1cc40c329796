import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../kernel/mod.ts';

/** Linux's own limit (path_resolution(7)). */
const maxSymlinks = 40;

/**
 * The host path of `path` as a process whose root is `root` would find it: symlinks and `..` never lead out. Parts that do not exist
 * are kept as they are. Only right while nothing else changes the tree.
 */
export function resolveInside(root: string, path: string): string {
  let pending = path.split('/').filter((part) => part !== '' && part !== '.');
  let resolved: string[] = [];
  let followed = 0;
  while (pending.length > 0) {
    const [part = '', ...rest] = pending;
    pending = rest;
    if (part === '..') {
      resolved = resolved.slice(0, -1);
      continue;
    }
    const target = readLink(join(root, ...resolved, part));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    followed += 1;
    if (followed > maxSymlinks) throw new GantryError('invalid', `${path}: too many symbolic links`);
    if (target.startsWith('/')) resolved = [];
    pending = [...target.split('/').filter((name) => name !== '' && name !== '.'), ...pending];
  }
  return join(root, ...resolved);
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EINVAL' || code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
