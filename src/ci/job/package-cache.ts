import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';

/** Where the cache is in jobs, and the variables by which package managers find it. */
export const packageCachePath = '/gantry-cache';
export const packageCacheVariables: Readonly<Record<string, string>> = {
  npm_config_cache: `${packageCachePath}/npm`,
  YARN_CACHE_FOLDER: `${packageCachePath}/yarn`,
  PIP_CACHE_DIR: `${packageCachePath}/pip`,
};

/** What one repository's cache may hold; a larger one is emptied when no job runs. */
const maxCacheBytes = 2 * 2 ** 30;

/**
 * Host path of the cache for a run. Runs that a protected branch waits for have one of their own, so that what an unprotected branch
 * has put into a cache is never used for them.
 */
export function cachePathOf(folder: string | undefined, run: { namespace: string; repository: string; isProtected: boolean }): string | undefined {
  return folder === undefined ? undefined : join(folder, run.namespace, run.repository, run.isProtected ? 'protected' : 'other');
}

/** Makes the folder, for users of any container. */
export async function makeCacheFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o1777);
}

/** Empties caches of more than 2 GiB, or than `maxBytes`. Call it only while no job runs. */
export async function trimCaches(folder: string, maxBytes: number = maxCacheBytes): Promise<void> {
  for (const namespace of await names(folder)) {
    for (const repository of await names(join(folder, namespace))) {
      for (const kind of await names(join(folder, namespace, repository))) {
        const path = join(folder, namespace, repository, kind);
        if ((await sizeOf(path)) > maxBytes) await rm(path, { recursive: true, force: true });
      }
    }
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

async function sizeOf(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) total += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return total;
}
