import { createHash } from 'node:crypto';
import type { EngineFinding } from '../engine.ts';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Digest, familiarImageReference, formatImageReference, type ImageConfig, type ImageFormat, type ImageReference, mediaTypes, parseImageConfig, parseImageReference, type Platform } from '../../api/mod.ts';
import { GantryError, isError, type Logger, Mutex } from '../../kernel/mod.ts';
import { DiskBlobStore, readBlob } from '../../store/mod.ts';
import type { RegistryClient } from '../ports.ts';
import { loadArchive, saveArchive, saveLayout } from './archive.ts';
import { findImage, type FoundImage } from './find-image.ts';
import { assignNames, ImageNames } from './image-names.ts';
import { Layers } from './layers.ts';
import { planRemoval } from './plan-removal.ts';
import { hostPlatform } from './platform.ts';
import { ImagePuller } from './pull.ts';
import { ImagePusher } from './push.ts';
import {
  defaultLayerLimits, type Image, type ImageStore, type ImageUser, type ImageUsers, type Layer, type LayerLimits, type PruneOptions, type PullOptions, type PushOptions, type RemovedImage, type RemoteImage } from './types.ts';

export interface ImageStoreOptions {
  /** Everything is kept below it, mode 0700. On the file system that containers' writable layers are on. */
  readonly folder: string;
  readonly registry: RegistryClient;
  readonly log: Logger;
  readonly limits?: LayerLimits;
  /** What `pull` takes from indexes. Default: the machine's. */
  readonly platform?: Platform;
}

/** Of one image configuration. */
const maxConfigBytes = 8 << 20;
/** Layers younger than this are not pruned: they may be part of an image that is being made. */
const pruneGraceMs = 10 * 60_000;

/** Opens the image store of a folder; what a crash left half-done is removed. One process at a time. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  return LocalImageStore.open(options);
}

class LocalImageStore implements ImageStore {
  readonly #blobs: DiskBlobStore;
  readonly #layers: Layers;
  readonly #names: ImageNames;
  readonly #configs: Map<Digest, ImageConfig>;
  readonly #puller: ImagePuller;
  readonly #pusher: ImagePusher;
  readonly #platform: Platform;
  readonly #temporaryFolder: string;
  readonly #users = new Set<ImageUsers>();
  readonly #holds = new Set<ReadonlySet<Digest>>();
  /** Adding and removing content happen one at a time, so that a removal never takes what was just added. */
  readonly #mutex = new Mutex();

  private constructor(options: ImageStoreOptions, parts: { blobs: DiskBlobStore; layers: Layers; names: ImageNames; configs: Map<Digest, ImageConfig> }) {
    this.#blobs = parts.blobs;
    this.#layers = parts.layers;
    this.#names = parts.names;
    this.#configs = parts.configs;
    this.#temporaryFolder = join(options.folder, 'temporary');
    this.#platform = options.platform ?? hostPlatform();
    this.#puller = new ImagePuller({ registry: options.registry, blobs: parts.blobs, layers: parts.layers, hold: (layers) => this.holdLayers(layers) });
    this.#pusher = new ImagePusher({ registry: options.registry, blobs: parts.blobs, layers: parts.layers });
  }

  static async open(options: ImageStoreOptions): Promise<LocalImageStore> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const blobs = await DiskBlobStore.open(join(options.folder, 'blobs'));
    for await (const { id } of blobs.listUploads()) await blobs.cancelUpload(id);
    const layers = await Layers.open({ folder: options.folder, limits: options.limits ?? defaultLayerLimits, log: options.log });
    const names = await ImageNames.open(join(options.folder, 'images.json'));
    const configs = new Map<Digest, ImageConfig>();
    for (const id of names.entries.keys()) {
      const config = await readConfig(blobs, id);
      if (config?.rootfs.diff_ids.every((diffId) => layers.get(diffId) !== undefined) === true) configs.set(id, config);
      else options.log.warn('an image is incomplete; it is dropped', { image: id });
    }
    const lost = [...names.entries.keys()].filter((id) => !configs.has(id));
    if (lost.length > 0) await names.update((entries) => lost.forEach((id) => entries.delete(id)));
    return new LocalImageStore(options, { blobs, layers, names, configs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#layers.settle();
  }

  find(name: string): Image | undefined {
    const found = findImage(this.#names.entries, name);
    return found === undefined ? undefined : this.#image(found.id);
  }

  get(name: string): Image {
    return this.#image(this.#get(name).id);
  }

  list(): Image[] {
    return [...this.#names.entries.keys()].map((id) => this.#image(id));
  }

  layerFolders(layers: readonly Digest[]): string[] {
    return layers.map((diffId) => this.#layers.folderOf(diffId));
  }

  async openRootfs(imageId: string): Promise<{ config: ImageConfig; layerFolders: readonly string[] }> {
    const { config, layers } = this.get(imageId);
    return { config, layerFolders: this.layerFolders(layers) };
  }

  hasLayer(diffId: Digest): boolean {
    return this.#layers.get(diffId) !== undefined;
  }

  async examine(isRepaired: boolean): Promise<EngineFinding[]> {
    return (await this.#layers.strays(isRepaired)).map((name) => ({ kind: 'snapshot', name, problem: 'belongs to no layer', isRepaired }));
  }

  holdLayers(layers: readonly Digest[]): Disposable {
    const held = new Set(layers);
    this.#holds.add(held);
    return { [Symbol.dispose]: () => void this.#holds.delete(held) };
  }

  addUsers(users: ImageUsers): Disposable {
    this.#users.add(users);
    return { [Symbol.dispose]: () => void this.#users.delete(users) };
  }

  async importLayer(tar: Readable, signal: AbortSignal): Promise<Layer> {
    return this.#importLayer(tar as AsyncIterable<Uint8Array>, undefined, signal);
  }

  async commitLayer(upperFolder: string, signal: AbortSignal): Promise<Layer | undefined> {
    return this.#layers.adopt(upperFolder, signal);
  }

  async createImage(config: ImageConfig, references: readonly string[], signal: AbortSignal): Promise<Digest> {
    const names = references.map((reference) => formatImageReference(taggedReference(reference)));
    const bytes = Buffer.from(JSON.stringify(config));
    const checked = parseImageConfig(bytes, 'image configuration');
    this.layerFolders(checked.rootfs.diff_ids);
    using _ = this.holdLayers(checked.rootfs.diff_ids);
    signal.throwIfAborted();
    return this.#add({ config: bytes }, { references: names });
  }

  lookUp(reference: string, options: { credentials?: PullOptions['credentials'] }, signal: AbortSignal): Promise<RemoteImage> {
    return this.#puller.lookUp(parseImageReference(reference), options.credentials, signal);
  }

  async pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<Image> {
    const parsed = parseImageReference(reference);
    const local = options.policy === 'missing' ? this.find(formatImageReference(parsed)) : undefined;
    if (local !== undefined) return local;
    const before = this.find(formatImageReference(parsed))?.id;
    const pulled = await this.#puller.pull(parsed, { ...options, platform: options.platform ?? this.#platform, isPlatformNamed: options.platform !== undefined }, signal);
    using _ = pulled.held;
    const { named } = pulled;
    const id = await this.#add(pulled, {
      references: parsed.tag === undefined || parsed.digest !== undefined ? [] : [formatImageReference(parsed)],
      digests: [formatImageReference({ host: parsed.host, repository: parsed.repository, digest: named })],
    });
    options.progress?.({ status: `Digest: ${named}` });
    options.progress?.({ status: `Status: ${before === id ? 'Image is up to date' : 'Downloaded newer image'} for ${reference}` });
    return this.#image(id);
  }

  async push(reference: string, options: PushOptions, signal: AbortSignal): Promise<Digest> {
    const target = taggedReference(reference);
    const found = this.#get(formatImageReference(target));
    const { config, layers } = this.#image(found.id);
    using _ = this.holdLayers(layers);
    const pushed = await this.#pusher.push(target, { id: found.id, config, manifest: this.#names.entries.get(found.id)?.manifest }, options, signal);
    await this.#add(pushed, { digests: [formatImageReference({ host: target.host, repository: target.repository, digest: pushed.digest })] });
    return pushed.digest;
  }

  async pack(name: string, format: ImageFormat, signal: AbortSignal): Promise<Digest> {
    const { id, config, layers } = this.get(name);
    using _ = this.holdLayers(layers);
    const packed = await this.#pusher.pack({ id, config }, format, signal);
    await this.#add(packed, {});
    return `sha256:${createHash('sha256').update(packed.manifest).digest('hex')}` as Digest;
  }

  async saveLayout(name: string, references: readonly string[], format: ImageFormat, output: Writable, signal: AbortSignal): Promise<void> {
    const { id, layers } = this.get(name);
    using _ = this.holdLayers(layers);
    await saveLayout(await this.pack(id, format, signal), references, this.#blobs, output, signal);
  }

  async tag(name: string, reference: string): Promise<void> {
    const target = formatImageReference(taggedReference(reference));
    await this.#names.update((entries) => {
      const found = findImage(entries, name);
      if (found === undefined) throw noSuchImage(name);
      assignNames(entries, found.id, { references: [target] }, new Date());
    });
  }

  async remove(name: string, options: { isForced: boolean }, signal: AbortSignal): Promise<RemovedImage[]> {
    signal.throwIfAborted();
    return this.#mutex.run(async () => {
      const { found, manifest, plan } = await this.#names.update((entries) => {
        const found = findImage(entries, name);
        const entry = found === undefined ? undefined : entries.get(found.id);
        if (found === undefined || entry === undefined) throw noSuchImage(name);
        const plan = planRemoval(found, entry, this.#usersOf(found.id), options.isForced);
        if (plan.entry === undefined) entries.delete(found.id);
        else entries.set(found.id, plan.entry);
        return { found, manifest: entry.manifest, plan };
      });
      if (plan.entry !== undefined) return plan.removed;
      return [...plan.removed, ...(await this.#dropContent(found.id, manifest)).removed];
    });
  }

  async prune(options: PruneOptions, signal: AbortSignal): Promise<{ removed: RemovedImage[]; freedBytes: number }> {
    const removed: RemovedImage[] = [];
    let freedBytes = 0;
    for (const image of this.list()) {
      signal.throwIfAborted();
      if (options.onlyDangling && image.references.length + image.digests.length > 0) continue;
      if (options.filter?.(image) === false || this.#usersOf(image.id).length > 0) continue;
      const dropped = await this.#mutex.run(async () => {
        const manifest = this.#names.entries.get(image.id)?.manifest;
        await this.#names.update((entries) => entries.delete(image.id));
        return this.#dropContent(image.id, manifest);
      });
      removed.push(...image.references.map((untagged) => ({ untagged })), { deleted: image.id }, ...dropped.removed);
      freedBytes += dropped.freedBytes;
    }
    const stale = this.#layers.list().filter(({ createdAtMs }) => Date.now() - createdAtMs > pruneGraceMs);
    const dropped = await this.#dropLayers(stale.map(({ diffId }) => diffId));
    return { removed: [...removed, ...dropped.removed], freedBytes: freedBytes + dropped.freedBytes };
  }

  layerBytes(diffId: Digest): number {
    return this.#layers.get(diffId)?.sizeBytes ?? 0;
  }

  layersBytes(): number {
    return this.#layers.list().reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  }

  async save(names: readonly string[], output: Writable, signal: AbortSignal): Promise<void> {
    const images = names.map((name) => {
      const found = this.#get(name);
      const image = this.#image(found.id);
      return { image, references: found.name !== undefined && image.references.includes(found.name) ? [found.name] : found.name === undefined ? [...image.references] : [] };
    });
    using _ = this.holdLayers(images.flatMap(({ image }) => image.layers));
    await saveArchive(images, { blobs: this.#blobs, layers: this.#layers }, output, signal);
  }

  async load(archive: Readable, { platform }: { readonly platform?: Platform }, signal: AbortSignal): Promise<{ image: Image; references: string[] }[]> {
    const loader = {
      temporaryFolder: this.#temporaryFolder,
      platform: platform ?? this.#platform,
      isPlatformAsked: platform !== undefined,
      importLayer: (tar: AsyncIterable<Uint8Array>, diffId: Digest, own: AbortSignal) => this.#importLayer(tar, diffId, own),
      hold: (layers: readonly Digest[]) => this.holdLayers(layers),
    };
    await using loaded = await loadArchive(archive as AsyncIterable<Uint8Array>, loader, signal);
    const images = [];
    for (const { config, references } of loaded.images) {
      const id = await this.#add({ config }, { references });
      images.push({ image: this.#image(id), references });
    }
    return images;
  }

  /** The tar is kept until the layer is compressed for a push: its bytes cannot be made again from the files. */
  async #importLayer(tar: AsyncIterable<Uint8Array>, expected: Digest | undefined, signal: AbortSignal): Promise<Layer> {
    const known = expected === undefined ? undefined : this.#layers.get(expected);
    if (known !== undefined) return known;
    this.#layers.expect();
    const { digest, sizeBytes } = await this.#blobs.write(tar, expected === undefined ? {} : { digest: expected }, signal);
    const diffId = digest as Digest;
    using _ = this.holdLayers([diffId]);
    try {
      const layer = this.#layers.get(diffId) ?? (await this.#layers.unpack(this.#blobs.pathOf(digest), { layer: diffId, expected: diffId }, signal));
      await this.#layers.addBlob(diffId, { mediaType: mediaTypes.ociLayer, digest: diffId, size: sizeBytes });
      return { diffId, sizeBytes: layer.sizeBytes };
    } catch (error) {
      if (this.#layers.get(diffId) === undefined) await this.#blobs.delete(diffId);
      throw error;
    }
  }

  #get(name: string): FoundImage {
    const found = findImage(this.#names.entries, name);
    if (found === undefined) throw noSuchImage(name);
    return found;
  }

  #image(id: Digest): Image {
    const [entry, config] = [this.#names.entries.get(id), this.#configs.get(id)];
    if (entry === undefined || config === undefined) throw noSuchImage(id);
    const layers = config.rootfs.diff_ids;
    const sizeBytes = layers.reduce((total, diffId) => total + (this.#layers.get(diffId)?.sizeBytes ?? 0), 0);
    return { id, config, layers, sizeBytes, references: entry.references, digests: entry.digests, lastTaggedAt: entry.lastTaggedAt, storedAtMs: entry.createdAtMs };
  }

  /** Stores the documents of an image whose layers are here and held, and gives it names. */
  async #add(documents: { config: Buffer; manifest?: Buffer }, names: { references?: string[]; digests?: string[] }): Promise<Digest> {
    return this.#mutex.run(async () => {
      const { signal } = new AbortController();
      const id = (await this.#blobs.write([documents.config], {}, signal)).digest as Digest;
      const manifest = documents.manifest === undefined ? undefined : ((await this.#blobs.write([documents.manifest], {}, signal)).digest as Digest);
      this.#configs.set(id, parseImageConfig(documents.config, `configuration of image ${id}`));
      const before = this.#names.entries.get(id)?.manifest;
      await this.#names.update((entries) => {
        assignNames(entries, id, names, new Date());
        const entry = entries.get(id);
        if (entry !== undefined && manifest !== undefined) entries.set(id, { ...entry, manifest });
      });
      if (before !== undefined && manifest !== undefined && before !== manifest) await this.#blobs.delete(before);
      return id;
    });
  }

  #usersOf(id: Digest): ImageUser[] {
    return [...this.#users].flatMap((users) => users.usersOf(id));
  }

  /** Removes what belonged to an image that is no longer named. */
  async #dropContent(id: Digest, manifest: Digest | undefined): Promise<{ removed: RemovedImage[]; freedBytes: number }> {
    const config = this.#configs.get(id);
    this.#configs.delete(id);
    await this.#blobs.delete(id);
    if (manifest !== undefined) await this.#blobs.delete(manifest);
    return this.#dropLayers((config?.rootfs.diff_ids ?? []).toReversed());
  }

  /** Removes those of the layers that no image, hold or user needs. */
  async #dropLayers(candidates: readonly Digest[]): Promise<{ removed: RemovedImage[]; freedBytes: number }> {
    const removed: RemovedImage[] = [];
    let freedBytes = 0;
    for (const diffId of new Set(candidates)) {
      const layer = await this.#layers.remove(diffId, () => this.#neededLayers().has(diffId));
      if (layer === undefined) continue;
      for (const { digest } of layer.blobs) await this.#blobs.delete(digest);
      removed.push({ deleted: diffId });
      freedBytes += layer.sizeBytes;
    }
    return { removed, freedBytes };
  }

  #neededLayers(): Set<Digest> {
    const ofImages = [...this.#names.entries.keys()].flatMap((id) => this.#configs.get(id)?.rootfs.diff_ids ?? []);
    return new Set([...ofImages, ...[...this.#holds].flatMap((held) => [...held]), ...[...this.#users].flatMap((users) => [...users.layers()])]);
  }
}

async function readConfig(blobs: DiskBlobStore, id: Digest): Promise<ImageConfig | undefined> {
  try {
    return parseImageConfig(await readBlob(blobs, id, maxConfigBytes), `configuration of image ${id}`);
  } catch (error) {
    if (isError(error, 'not-found', 'invalid')) return undefined;
    throw error;
  }
}

/** A reference that can be given to an image: with a tag and without a digest. */
function taggedReference(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (reference.digest !== undefined || reference.tag === undefined) throw new GantryError('invalid', `${text}: an image cannot be named with a digest`);
  return reference;
}

function noSuchImage(name: string): GantryError {
  return new GantryError('not-found', `No such image: ${withTag(name)}`, { details: { image: name } });
}

/** As Docker says it: with the tag that was meant. */
function withTag(name: string): string {
  try {
    return familiarImageReference(parseImageReference(name));
  } catch {
    return name;
  }
}
