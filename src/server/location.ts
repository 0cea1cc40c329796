import { chmod, mkdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoOf, shortHash } from '../kernel/mod.ts';
import { type InstancePaths, instancePaths } from './paths.ts';

/** Which instance, before anything is read or chosen. The folder need not exist. */
export interface InstanceLocation { readonly id: string; readonly paths: InstancePaths }

/** Where running instances keep what does not outlive a reboot, and what others must know of them. */
export const runRoot = '/run';

/** The id is a hash of the folder's real path, so that a link to it is the same instance. Creates nothing. */
export async function locateInstance(dataDir: string): Promise<InstanceLocation> {
  const real = await realPathOf(resolve(dataDir));
  const id = shortHash(real, 8);
  return { id, paths: instancePaths(real, process.getuid?.() === 0 ? join(runRoot, `gantry-${id}`) : join(real, 'run')) };
}

/** Makes the folders that locks, logs and keys need, for the owner alone. */
export async function makeInstanceFolders({ paths }: InstanceLocation): Promise<void> {
  for (const folder of [paths.dataDir, paths.runDir, paths.log, paths.pki]) await mkdir(folder, { recursive: true, mode: 0o700 });
  // Everything inside is for the owner alone, also when the folder was there before.
  for (const folder of [paths.runDir, paths.log, paths.pki]) await chmod(folder, 0o700);
}

/** The real path of the deepest ancestor that exists, and the rest as it is. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const parent = resolve(path, '..');
    return join(await realPathOf(parent), path.slice(parent.length));
  }
}
