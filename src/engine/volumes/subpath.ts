import { closeSync, constants, fstatSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { mount, unmount } from '../../host/mod.ts';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

/** open(2); Node has no name for it. */
const openPathOnly = 0o10000000;

/** MS_BIND of mount(2). */
const bind = 4096;

/** A part of a volume, mounted where nobody else can reach. Disposing unmounts it; what was mounted from it stays. */
export interface MountedPart extends Disposable {
  readonly path: string;
}

/**
 * Mounts a path below a volume at `target`, which is made. The path is opened part by part and no symlink is followed: who can write to
 * the volume could otherwise lead the runtime out of it. `invalid` for a path that is not there, is a link or leads upwards.
 */
export function mountPart(folder: string, subpath: string, target: string): MountedPart {
  const part = openBeneath(folder, subpath);
  try {
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    if (fstatSync(part).isDirectory()) mkdirSync(target, { recursive: true });
    else writeFileSync(target, '');
    mount(`/proc/self/fd/${part}`, target, '', bind, '');
  } finally {
    closeSync(part);
  }
  return { path: target, [Symbol.dispose]: () => void unmount(target, { lazy: true }) };
}

/** A descriptor of what the path is. */
export function openBeneath(folder: string, subpath: string): number {
  const fail = (why: string, cause?: unknown): never => {
    throw new GantryError('invalid', `cannot use the volume's subpath ${JSON.stringify(subpath)}: ${why}`, { cause });
  };
  const parts = subpath.split('/').filter((part) => part !== '' && part !== '.');
  if (subpath.startsWith('/') || parts.includes('..') || subpath.includes('\0')) fail('it must be relative and stay below the volume');
  let at = openSync(folder, openPathOnly | constants.O_NOFOLLOW | constants.O_DIRECTORY);
  for (const part of parts) {
    const parent = at;
    try {
      at = openSync(`/proc/self/fd/${parent}/${part}`, openPathOnly | constants.O_NOFOLLOW);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') fail('no such file or directory', error);
      throw error;
    } finally {
      closeSync(parent);
    }
    if (fstatSync(at).isSymbolicLink()) {
      closeSync(at);
      fail('symbolic links are not followed');
    }
  }
  return at;
}
