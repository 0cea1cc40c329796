import { mkdirSync, rmSync } from 'node:fs';
import { mountOverlay, unmount } from '../../host/mod.ts';
import type { ContainerPaths, EnginePaths } from '../paths.ts';

/** Mounts the layers (lowest first) under the writable folder. The folders are made when missing. */
export function mountRootfs(engine: EnginePaths, paths: ContainerPaths, layerFolders: readonly string[]): void {
  for (const folder of [paths.upper, paths.work, paths.rootfs, engine.layerLinks]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  mountOverlay({
    // An overlay needs a lower folder; an image of no layers stands on the empty folder of links.
    lowerFolders: layerFolders.length === 0 ? [emptyFolder(engine)] : layerFolders.toReversed(),
    upperFolder: paths.upper,
    workFolder: paths.work,
    target: paths.rootfs,
    linkFolder: engine.layerLinks,
  });
}

function emptyFolder(engine: EnginePaths): string {
  const folder = `${engine.run}/empty`;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** Unmounts it, lazily: a process of the host may still look at it. A no-op when it is not mounted. */
export function unmountRootfs(paths: ContainerPaths): void {
  while (unmount(paths.rootfs, { lazy: true }));
}

/** Removes everything of a run from the run folder. */
export function removeRunFolder(paths: ContainerPaths): void {
  while (unmount(paths.shm, { lazy: true }));
  rmSync(paths.run, { recursive: true, force: true });
}
