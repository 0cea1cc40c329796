import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';

/** Bytes on disk of everything below a folder; what goes meanwhile does not count. Links are not followed. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await unlessGone(readdir(folder, { withFileTypes: true }));
  let total = 0;
  for (const entry of entries ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) total += await folderBytes(path);
    else total += ((await unlessGone(lstat(path)))?.blocks ?? 0) * 512;
  }
  return total;
}

async function unlessGone<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
}
