import { isError } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ImageStore } from '../images/types.ts';
import { publicReference } from './private-names.ts';
import type { Scope } from './scope.ts';

/** Removes everything that was made through a scope. What is gone already is no error; images that somebody else uses stay. */
export async function removeScope(engine: Engine, images: ImageStore, scope: Scope): Promise<void> {
  const { signal } = new AbortController();
  for (const { id } of engine.containers.list().filter((record) => scope.ownsContainer(record))) {
    await ignoring('not-found', engine.containers.remove(id, { force: true, removeVolumes: true }, signal));
  }
  for (const { id } of engine.networks.list().filter((record) => scope.ownsNetwork(record))) await ignoring('not-found', engine.networks.remove(id, signal));
  for (const { name } of engine.volumes.list().filter((volume) => scope.ownsVolume(volume))) await ignoring('not-found', engine.volumes.remove(name, signal));
  await removeImages(images, scope, signal);
}

async function removeImages(images: ImageStore, scope: Scope, signal: AbortSignal): Promise<void> {
  const own = images.list().flatMap(({ references }) => references.filter((name) => publicReference(scope.id, name) !== undefined || scope.record.pulled.includes(name)));
  for (const name of own) await ignoring('conflict', images.remove(name, { isForced: false }, signal));
  // A container of the host's may use one by now, or another name may have been given to it.
  for (const id of scope.record.imageIds) {
    const image = images.find(id);
    if (image !== undefined && image.references.length === 0) await ignoring('conflict', images.remove(id, { isForced: false }, signal));
  }
}

async function ignoring(code: 'not-found' | 'conflict', work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isError(error, code, 'not-found')) throw error;
  }
}
