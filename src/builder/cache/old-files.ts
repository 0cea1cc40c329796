import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';

/** Removes the files of a folder that were last written before `timeMs`. A no-op when there is no folder. */
export async function removeOldFiles(folder: string, timeMs: number): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const path = join(folder, name);
    if ((await stat(path)).mtimeMs < timeMs) await rm(path, { recursive: true, force: true });
  }
}
