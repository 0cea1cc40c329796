import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { mount, mountFlags } from '../../../host/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';

/**
 * Binds `subPath` of a volume to `target` and returns `target`. The container may own the volume, so no link in it is trusted:
 * the path is opened one component at a time without following links, and the descriptor is what gets mounted.
 * A missing folder is created; `invalid` when the path leads out of the volume.
 */
export async function bindSubPath(volumePath: string, subPath: string, target: string): Promise<string> {
  if (subPath.startsWith('/') || subPath.split('/').includes('..')) throw new GantryError('invalid', `subPath ${JSON.stringify(subPath)} must be relative and without ..`);
  const root = await realpath(volumePath);
  const found = await realpath(join(root, subPath)).catch(() => undefined);
  // Links that configuration volumes are made of lead to a place inside; that place is opened.
  const inside = found === undefined ? subPath : relative(root, found);
  if (inside === '..' || inside.startsWith('../')) throw new GantryError('invalid', `subPath ${JSON.stringify(subPath)} leads out of its volume`);
  const handle = await openBeneath(root, inside.split('/').filter((part) => part !== '' && part !== '.'));
  try {
    const isFolder = (await handle.stat()).isDirectory();
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await (isFolder ? mkdir(target, { recursive: true, mode: 0o700 }) : writeFile(target, '', { mode: 0o600 }));
    mount(`/proc/self/fd/${handle.fd}`, target, '', mountFlags.bind);
  } finally {
    await handle.close();
  }
  return target;
}

async function openBeneath(root: string, parts: readonly string[]): Promise<FileHandle> {
  const { O_DIRECTORY, O_NOFOLLOW } = constants;
  const pathOnly = 0o10000000;
  let handle = await open(root, pathOnly | O_DIRECTORY);
  for (const part of parts) {
    const path = `/proc/self/fd/${handle.fd}/${part}`;
    try {
      const exists = await stat(path).then(() => true, () => false);
      if (!exists) await mkdir(path, { mode: 0o755 });
      const next = await open(path, pathOnly | O_NOFOLLOW);
      if ((await next.stat()).isSymbolicLink()) {
        await next.close();
        throw new GantryError('invalid', `subPath: ${part} is a link`);
      }
      await handle.close();
      handle = next;
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
  }
  return handle;
}
