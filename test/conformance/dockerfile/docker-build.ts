import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, runCommand } from '../../../src/kernel/mod.ts';
import { type Vector, writeContext } from './differential-vectors.ts';
import { readSavedImage, type SavedImage } from './saved-image.ts';

export interface DockerClient { readonly socketPath: string; readonly client: string; readonly usesBuildkit: boolean }

/** Builds the vector by a docker client and reads what came out by `docker save`. */
export async function buildAndSave(vector: Vector, { socketPath, client, usesBuildkit }: DockerClient, signal: AbortSignal): Promise<SavedImage> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-differential-'));
  try {
    const docker = (args: readonly string[]): Promise<unknown> => runCommand(client, args, { env: { ...baseEnv(), HOME: folder, DOCKER_HOST: `unix://${socketPath}`, DOCKER_BUILDKIT: usesBuildkit ? '1' : '0' } }, signal);
    const context = join(folder, 'context');
    await writeContext(vector, context, signal);
    const args = Object.entries(vector.buildArgs ?? {}).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
    await docker(['build', '-q', '--no-cache', ...args, '-t', 'gantry-differential', context]);
    await docker(['save', '-o', join(folder, 'saved.tar'), 'gantry-differential']);
    return await readSavedImage(createReadStream(join(folder, 'saved.tar')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
