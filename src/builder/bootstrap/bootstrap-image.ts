import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, familiarImageReference, formatImageReference, type ImageConfig, parseImageReference } from '../../api/mod.ts';
import { baseEnv, GantryError, randomHex, syncFolder } from '../../kernel/mod.ts';
import type { BootstrapStore } from '../ports.ts';
import { busybox } from './busybox.ts';
import { debian, debianSlim } from './debian.ts';
import { nodeSlim } from './node.ts';
import { bootstrapEpoch, type BootstrapOptions, debianArchitecture, type ImageRecipe, type LayerRecipe, type RecipeContext } from './recipe.ts';

/** Set on every image made here, so that nobody takes it for the publisher's. */
export const bootstrappedLabel = 'dev.gantry.bootstrapped';

const recipes: Readonly<Record<string, ImageRecipe>> = {
  'debian:bookworm-slim': debianSlim,
  'debian:bookworm': debian,
  'node:24-slim': nodeSlim,
  'busybox:latest': busybox,
};

/** The names that `bootstrapImage` knows. */
export const bootstrapNames: readonly string[] = Object.keys(recipes);

/**
 * Makes a base image under its usual name without a registry. Layers are made once for the machine, then only imported.
 * Resolves to the image's id; at once when the store has the image. `not-found` for a name that is not in `bootstrapNames`.
 */
export async function bootstrapImage(name: string, store: BootstrapStore, options: BootstrapOptions, progress: (line: string) => void, signal: AbortSignal): Promise<Digest> {
  const reference = parseImageReference(name);
  const recipe = recipes[familiarImageReference(reference)];
  if (recipe === undefined) throw new GantryError('not-found', `there is no recipe for ${name}; known are ${bootstrapNames.join(', ')}`);
  const known = store.findImage(formatImageReference(reference));
  if (known !== undefined) {
    progress(`${familiarImageReference(reference)} is already there`);
    return known;
  }
  const layers = new LayerMaker(options, progress);
  const diffIds: Digest[] = [];
  for (const layer of recipe.layers) {
    const tarPath = await layers.layerOf(layer, signal);
    progress(`importing ${layer.createdBy}`);
    diffIds.push((await store.importLayer(createReadStream(tarPath), signal)).diffId);
  }
  const config = await imageConfig(recipe, diffIds, options);
  return store.createImage(config, [formatImageReference(reference)], signal);
}

async function imageConfig(recipe: ImageRecipe, diffIds: Digest[], options: BootstrapOptions): Promise<ImageConfig> {
  const created = new Date(bootstrapEpoch * 1000).toISOString();
  return {
    created,
    architecture: debianArchitecture(),
    os: 'linux',
    config: { ...(await recipe.config(options)), Labels: { [bootstrappedLabel]: 'true' } },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: recipe.layers.map((layer) => ({ created, created_by: layer.createdBy })),
  };
}

class LayerMaker {
  readonly #options: BootstrapOptions;
  readonly #progress: (line: string) => void;

  constructor(options: BootstrapOptions, progress: (line: string) => void) {
    this.#options = options;
    this.#progress = progress;
  }

  /** The layer's tar in the cache. It appears there whole or not at all. */
  async layerOf(recipe: LayerRecipe, signal: AbortSignal): Promise<string> {
    const { cacheFolder } = this.#options;
    const path = join(cacheFolder, `${await recipe.key(this.#options)}.tar`);
    if (existsSync(path)) return path;
    await mkdir(cacheFolder, { recursive: true, mode: 0o755 });
    await removeLeftovers(cacheFolder);
    const workFolder = await mkdtemp(join(cacheFolder, `work-${process.pid}-`));
    try {
      const unfinished = join(workFolder, `layer-${randomHex(4)}.tar`);
      await recipe.make(unfinished, this.#context(workFolder, signal), signal);
      const file = await open(unfinished, 'r');
      await file.sync();
      await file.close();
      await rename(unfinished, path);
      await syncFolder(cacheFolder);
      return path;
    } finally {
      await rm(workFolder, { recursive: true, force: true });
    }
  }

  #context(workFolder: string, signal: AbortSignal): RecipeContext {
    const { certificateBundle, proxyVariables } = this.#options.environment;
    const certificates: Record<string, string> = certificateBundle === undefined ? {} : { SSL_CERT_FILE: certificateBundle, NODE_EXTRA_CA_CERTS: certificateBundle };
    return {
      options: this.#options,
      workFolder,
      environment: { ...baseEnv(), ...proxyVariables, ...certificates },
      layerOf: (recipe) => this.layerOf(recipe, signal),
      progress: this.#progress,
    };
  }
}

/** Work folders of processes that are gone. */
async function removeLeftovers(cacheFolder: string): Promise<void> {
  for (const name of await readdir(cacheFolder)) {
    const pid = /^work-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(cacheFolder, name), { recursive: true, force: true });
  }
}
