import { chmodSync, closeSync, existsSync, lstatSync, mkdirSync, openSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type IdRange, mountIdMapped, mountOverlay, unmount, unmountBelow, unmountElsewhere } from '../../host/mod.ts';
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

/**
 * Mounts the layers (lowest first) under the writable folder. The folders are made when missing. With a user namespace all ids are those of
 * its range in the mounted tree, and stay as they are on disk: layers are shared, and the writable one is as any other container's.
 */
export function mountRootfs(engine: EnginePaths, paths: ContainerPaths, layerFolders: readonly string[], isVolatile: boolean, userNamespace?: { readonly file: string; readonly range: IdRange }): void {
  for (const folder of [paths.work, paths.rootfs, engine.layerLinks]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  makeWritableFolder(paths);
  // The kernel's mark of an earlier volatile mount. There was no power loss since: such containers do not survive one.
  if (isVolatile) rmSync(join(paths.work, 'work/incompat'), { recursive: true, force: true });
  const layers = layerFolders.toReversed();
  // An image may have a link where the init layer has a folder; the link is what its maker wanted.
  const lowerFolders = layers.some(hasLinkForFolder) ? layers : [engine.initLayer, ...layers];
  const overlay = { lowerFolders, upperFolder: paths.upper, workFolder: paths.work, target: paths.rootfs, isVolatile, linkFolder: engine.layerLinks };
  if (userNamespace === undefined) return mountOverlay(overlay);
  const { file, range: { firstId } } = userNamespace;
  // The overlay keeps mounts of its own, so these are needed for a moment only.
  using mapped = new IdMappedMounts(paths, file);
  const own = mapped.mount(paths.folder);
  mountOverlay({
    ...overlay,
    lowerFolders: lowerFolders.map((folder) => mapped.mount(folder)),
    upperFolder: join(own, relative(paths.folder, paths.upper)),
    workFolder: join(own, relative(paths.folder, paths.work)),
    mounter: { uid: firstId, gid: firstId },
  });
}

/** Mounts of folders and files with the ids of a user namespace, in the run folder. Disposing unmounts them; what a crash leaves, `removeRunFolder` does. */
export class IdMappedMounts implements Disposable {
  readonly #folder: string;
  readonly #userNamespace: number;
  readonly #targets: string[] = [];

  constructor(paths: ContainerPaths, userNamespaceFile: string) {
    this.#folder = join(paths.run, 'i');
    this.#userNamespace = openSync(userNamespaceFile, 'r');
  }

  /** Where the folder or file is now. */
  mount(path: string): string {
    const target = join(this.#folder, randomHex(4));
    mkdirSync(this.#folder, { recursive: true });
    if (statSync(path).isDirectory()) mkdirSync(target);
    else writeFileSync(target, '');
    this.#targets.push(target);
    mountIdMapped(path, target, this.#userNamespace);
    return target;
  }

  [Symbol.dispose](): void {
    closeSync(this.#userNamespace);
    for (const target of this.#targets) {
      unmount(target, { lazy: true });
      // Never with what is below, should it still be mounted.
      if (statSync(target, { throwIfNoEntry: false })?.isDirectory() === true) rmdirSync(target);
      else rmSync(target, { force: true });
    }
  }
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
  // Never removed with what is mounted in them: volumes.
  if (existsSync(join(paths.run, 'i'))) unmountBelow(join(paths.run, 'i'));
  // A start that was cut off may have left some: what is below them is data of volumes.
  if (existsSync(paths.parts)) unmountBelow(paths.parts);
  rmSync(paths.run, { recursive: true, force: true });
}
