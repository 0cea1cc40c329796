import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

const maxLinks = 255;

/**
 * The host path that `path` means inside `root` when `root` is `/`: symlinks are followed as the kernel would after chroot(2),
 * so neither `..` nor absolute links lead out. Parts that do not exist are taken as they are. The last part is followed
 * unless `keepsLastLink`. The tree must not change meanwhile.
 */
export function resolveInRoot(root: string, path: string, options: { keepsLastLink?: boolean } = {}): string {
  const pending = path.split('/').filter((part) => part !== '' && part !== '.');
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.shift() ?? '';
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const target = options.keepsLastLink === true && pending.length === 0 ? undefined : linkTarget(join(root, ...resolved, part));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > maxLinks) throw new GantryError('invalid', `too many symbolic links in ${path}`);
    if (target.startsWith('/')) resolved.length = 0;
    pending.unshift(...target.split('/').filter((piece) => piece !== '' && piece !== '.'));
  }
  return join(root, ...resolved);
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
}
