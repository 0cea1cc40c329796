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

/**
 * Makes the folders that locks, logs and keys need, for the owner alone. The run folder can be passed through, and only that: the members
 * of a group reach their Docker socket there, and the root user of a container with a user namespace, who is nobody here, its root file system.
 */
export async function makeInstanceFolders({ paths }: InstanceLocation): Promise<void> {
  // Of the node agent and the builder: volumes with secrets.
  const inner = ['n', 'b'].map((name) => join(paths.runDir, name));
  for (const folder of [paths.dataDir, paths.runDir, ...inner, paths.log, paths.pki]) await mkdir(folder, { recursive: true, mode: 0o700 });
  // Also when the folder was there before.
  for (const folder of [...inner, paths.log, paths.pki]) await chmod(folder, 0o700);
  await chmod(paths.runDir, 0o711);
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
