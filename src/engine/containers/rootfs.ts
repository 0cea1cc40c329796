import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountOverlay, unmount, unmountElsewhere } from '../../host/mod.ts';
import { randomHex } from '../../kernel/mod.ts';
import type { ContainerPaths, EnginePaths } from '../paths.ts';

/** Mount points of every container, and the file by which programs see that they are in one. */
const initFiles = ['.dockerenv', 'dev/console', 'etc/hosts', 'etc/hostname', 'etc/resolv.conf'];
const initFolders = ['dev/pts', 'dev/shm', 'proc', 'sys'];

/**
 * Makes the layer of mount points that lies over every image's, so that the runtime need not make them in the container's own layer:
 * they would show as changes and end up in images. Never changed once it is made; a new content needs a new name.
 */
export function makeInitLayer(engine: EnginePaths): void {
  if (existsSync(engine.initLayer)) return;
  const temporary = `${engine.initLayer}-${randomHex(4)}`;
  for (const folder of ['', 'dev', 'etc', ...initFolders]) makeFolder(join(temporary, folder));
  for (const file of initFiles) {
    writeFileSync(join(temporary, file), '');
    chmodSync(join(temporary, file), 0o755);
  }
  renameSync(temporary, engine.initLayer);
}

/** Mounts the layers (lowest first) under the writable folder. The folders are made when missing. */
export function mountRootfs(engine: EnginePaths, paths: ContainerPaths, layerFolders: readonly string[], isVolatile: boolean): void {
  for (const folder of [paths.work, paths.rootfs, engine.layerLinks]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  makeWritableFolder(paths);
  // The kernel's mark of an earlier volatile mount. There was no power loss since: such containers do not survive one.
  if (isVolatile) rmSync(join(paths.work, 'work/incompat'), { recursive: true, force: true });
  const layers = layerFolders.toReversed();
  mountOverlay({
    // An image may have a link where the init layer has a folder; the link is what its maker wanted.
    lowerFolders: layers.some(hasLinkForFolder) ? layers : [engine.initLayer, ...layers],
    upperFolder: paths.upper,
    workFolder: paths.work,
    target: paths.rootfs,
    isVolatile,
    linkFolder: engine.layerLinks,
  });
}

/** Makes the writable layer when there is none. The root of the container has its mode, so the umask must not count. */
export function makeWritableFolder(paths: ContainerPaths): void {
  if (!existsSync(paths.upper)) makeFolder(paths.upper);
}

function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
}

function hasLinkForFolder(layer: string): boolean {
  return ['dev', 'etc', 'proc', 'sys'].some((name) => lstatSync(join(layer, name), { throwIfNoEntry: false })?.isSymbolicLink() === true);
}

/** Unmounts it, lazily: a process of the host may still look at it. A no-op when it is not mounted. */
export async function unmountRootfs(paths: ContainerPaths): Promise<void> {
  while (await unmountElsewhere(paths.rootfs));
}

/** Removes everything of a run from the run folder. */
export function removeRunFolder(paths: ContainerPaths): void {
  while (unmount(paths.shm, { lazy: true }));
  rmSync(paths.run, { recursive: true, force: true });
}
