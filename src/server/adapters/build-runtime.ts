import { createHash } from 'node:crypto';
import { lstatSync, lutimesSync, readdirSync, rmdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../api/mod.ts';
import type { BuildRuntime, BuildTree } from '../../builder/mod.ts';
import type { Credentials, Engine, ImageStore, Tree } from '../../engine/mod.ts';
import { listXattrs } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

export interface BuildRuntimeOptions {
  readonly engine: Pick<Engine, 'trees'>;
  readonly images: ImageStore;
  /** For pulling base images and pushing results; undefined: anonymous. */
  readonly credentialsFor: (reference: string) => Credentials | undefined;
}

/** Lets the builder run its steps on the engine: layers are the image store's, trees and processes the engine's. */
export function buildRuntimeOf({ engine, images, credentialsFor }: BuildRuntimeOptions): BuildRuntime {
  const trees = new WeakMap<BuildTree, Tree>();
  return {
    resolveImage: async (reference, policy, signal) => {
      const local = policy === 'missing' ? images.find(reference) : undefined;
      const credentials = credentialsFor(reference);
      const image = local ?? (await images.pull(reference, { policy, ...(credentials === undefined ? {} : { credentials }) }, signal));
      return { id: image.id, config: image.config };
    },
    openTree: async (layers, signal) => {
      const hold = images.holdLayers(layers);
      try {
        const folders = images.layerFolders(layers);
        const tree = await engine.trees.open(folders, signal);
        const opened = new LayeredTree(tree, folders, images, hold);
        trees.set(opened, tree);
        return opened;
      } catch (error) {
        hold[Symbol.dispose]();
        throw error;
      }
    },
    run: async (tree, process, signal) => {
      const engineTree = trees.get(tree);
      if (engineTree === undefined) throw new GantryError('internal', 'the tree is not of this runtime');
      const { exitCode, isOomKilled } = await engine.trees.run(engineTree, process, signal);
      if (isOomKilled) process.output.write('a process was killed because there was not enough memory\n');
      return { exitCode };
    },
    hasLayer: (diffId) => images.hasLayer(diffId),
    holdLayers: (layers) => images.holdLayers(layers),
    addLayerUser: (layers) => images.addUsers({ usersOf: () => [], layers }),
    createImage: async (config, references, signal) => {
      // A build that changed nothing writes nothing: storing an image waits for the disk.
      const id = `sha256:${createHash('sha256').update(JSON.stringify(config)).digest('hex')}` as Digest;
      const isKnown = references.length > 0 && references.every((reference) => images.find(reference)?.id === id);
      return isKnown ? id : images.createImage(config, references, signal);
    },
    fetchCacheImage: async (reference, signal) => {
      const credentials = credentialsFor(reference);
      const image = await images.pull(reference, { policy: 'always', ...(credentials === undefined ? {} : { credentials }) }, signal);
      return { id: image.id, config: image.config };
    },
    pushCacheImage: async (config, reference, progress, signal) => {
      const credentials = credentialsFor(reference);
      await images.createImage(config, [reference], signal);
      try {
        return await images.push(reference, { progress: ({ id, status }) => progress(id === undefined ? status : `${id}: ${status}`), ...(credentials === undefined ? {} : { credentials }) }, signal);
      } finally {
        await images.remove(reference, { isForced: true }, AbortSignal.timeout(60_000));
      }
    },
    packImage: async (image, format, signal) => void (await images.pack(image, format, signal)),
    saveLayout: (image, references, format, output, signal) => images.saveLayout(image, references, format, output, signal),
    pushImage: async (reference, progress, signal) => {
      const credentials = credentialsFor(reference);
      const onProgress = ({ id, status }: { id?: string; status: string }): void => progress(id === undefined ? status : `${id}: ${status}`);
      return images.push(reference, { progress: onProgress, ...(credentials === undefined ? {} : { credentials }) }, signal);
    },
  };
}

class LayeredTree implements BuildTree {
  readonly #tree: Tree;
  /** The layers' folders, the lowest first. */
  readonly #layerFolders: readonly string[];
  readonly #images: ImageStore;
  readonly #hold: Disposable;

  constructor(tree: Tree, layerFolders: readonly string[], images: ImageStore, hold: Disposable) {
    this.#tree = tree;
    this.#layerFolders = layerFolders;
    this.#images = images;
    this.#hold = hold;
  }

  get rootPath(): string {
    return this.#tree.rootPath;
  }

  async commit({ latestModification }: { latestModification?: number }, signal: AbortSignal): Promise<{ diffId: Digest; sizeBytes: number } | undefined> {
    const { writableFolder } = this.#tree;
    await this.#tree.unmount();
    removeUnchangedFolders(writableFolder, '', this.#layerFolders);
    if (latestModification !== undefined) limitTimes(writableFolder, latestModification);
    return this.#images.commitLayer(writableFolder, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#tree[Symbol.asyncDispose]();
    } finally {
      this.#hold[Symbol.dispose]();
    }
  }
}

/** Folders that overlayfs copied up and that hold no change say nothing; a layer without them is smaller, and none when nothing else is left. */
function removeUnchangedFolders(root: string, path: string, layerFolders: readonly string[]): void {
  for (const name of readdirSync(join(root, path))) {
    const inside = join(path, name);
    if (!lstatSync(join(root, inside)).isDirectory()) continue;
    removeUnchangedFolders(root, inside, layerFolders);
    if (isUnchanged(root, inside, layerFolders)) rmdirSync(join(root, inside));
  }
}

function isUnchanged(root: string, path: string, layerFolders: readonly string[]): boolean {
  const folder = join(root, path);
  const xattrs = ownXattrs(folder);
  if (readdirSync(folder).length > 0 || xattrs.includes('trusted.overlay.opaque')) return false;
  const below = layerFolders.findLast((layer) => lstatSync(join(layer, path), { throwIfNoEntry: false }) !== undefined);
  if (below === undefined) return false;
  return isSame(lstatSync(folder), lstatSync(join(below, path))) && xattrs.join() === ownXattrs(join(below, path)).join();
}

/** Times are compared to the millisecond, which is what setting them back can reach. */
function isSame(a: Stats, b: Stats): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && Math.abs(a.mtimeMs - b.mtimeMs) < 1;
}

/** What overlayfs itself notes (origin, impure) does not count; `opaque` does. */
function ownXattrs(path: string): string[] {
  return listXattrs(path).filter((name) => !name.startsWith('trusted.overlay.') || name === 'trusted.overlay.opaque').toSorted();
}

function limitTimes(folder: string, latest: number): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const stats = lstatSync(path);
    if (stats.isDirectory()) limitTimes(path, latest);
    if (stats.mtimeMs / 1000 > latest) lutimesSync(path, latest, latest);
  }
}
