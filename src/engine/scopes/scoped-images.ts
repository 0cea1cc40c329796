import type { Readable, Writable } from 'node:stream';
import { type Digest, familiarImageReference, formatImageReference, type ImageConfig, type ImageFormat, parseImageReference, type Platform } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import type { Image, ImageStore, ImageUsers, Layer, PruneOptions, PullOptions, PushOptions, RemoteImage, RemovedImage } from '../images/types.ts';
import type { ContainerRecord } from '../types.ts';
import { privateReference, publicReference } from './private-names.ts';
import type { Scope } from './scope.ts';

/**
 * The images of one scope. It sees those of the host that the policy names, those it pulled and those it made. Names that it gives
 * are kept apart (private-names.ts): nothing it makes is ever taken for an image of the host.
 */
export class ScopedImages implements ImageStore {
  readonly #all: ImageStore;
  readonly #scope: Scope;
  readonly #ownContainers: () => readonly ContainerRecord[];
  readonly #shared: readonly RegExp[];

  constructor(all: ImageStore, scope: Scope, ownContainers: () => readonly ContainerRecord[]) {
    this.#all = all;
    this.#scope = scope;
    this.#ownContainers = ownContainers;
    this.#shared = scope.record.policy.images.map((pattern) => new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`));
  }

  find(name: string): Image | undefined {
    const own = isReference(name) ? this.#all.find(privateReference(this.#scope.id, name)) : undefined;
    const image = own ?? this.#all.find(name);
    if (image === undefined || !this.#sees(image)) return undefined;
    const view = this.#view(image);
    // Found by a name that is not for this scope, though the image has another that is.
    if (own === undefined && isNamedBy(image, name) && !isNamedBy(view, name)) return undefined;
    return view;
  }

  get(name: string): Image {
    const image = this.find(name);
    if (image === undefined) throw new GantryError('not-found', `No such image: ${name}`);
    return image;
  }

  list(): Image[] {
    return this.#all.list().filter((image) => this.#sees(image)).map((image) => this.#view(image));
  }

  layerFolders(layers: readonly Digest[]): string[] {
    return this.#all.layerFolders(layers);
  }

  async openRootfs(imageId: string, signal: AbortSignal): Promise<{ config: ImageConfig; layerFolders: readonly string[] }> {
    return this.#all.openRootfs(this.get(imageId).id, signal);
  }

  hasLayer(diffId: Digest): boolean {
    return this.#all.hasLayer(diffId);
  }

  async examine(): Promise<never> {
    throw new GantryError('forbidden', 'a scope does not examine the machine');
  }

  holdLayers(layers: readonly Digest[]): Disposable {
    return this.#all.holdLayers(layers);
  }

  addUsers(_users: ImageUsers): Disposable {
    throw this.#scope.refusal('keeping images');
  }

  importLayer(tar: Readable, signal: AbortSignal): Promise<Layer> {
    this.#scope.checkOpen();
    return this.#all.importLayer(tar, signal);
  }

  commitLayer(_upperFolder: string, _signal: AbortSignal): Promise<Layer | undefined> {
    throw this.#scope.refusal('taking over folders');
  }

  async createImage(config: ImageConfig, references: readonly string[], signal: AbortSignal): Promise<Digest> {
    this.#scope.checkOpen();
    const id = await this.#all.createImage(config, references.map((name) => privateReference(this.#scope.id, name)), signal);
    await this.#scope.change(({ imageIds }) => ({ imageIds: [...new Set([...imageIds, id])] }));
    return id;
  }

  lookUp(reference: string, options: { credentials?: PullOptions['credentials'] }, signal: AbortSignal): Promise<RemoteImage> {
    if (!this.#scope.record.policy.isPullAllowed) throw this.#scope.refusal('asking registries');
    return this.#all.lookUp(reference, options, signal);
  }

  /** A name that the host has is not pulled anew: that would move it for everybody. */
  async pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<Image> {
    this.#scope.checkOpen();
    const full = formatImageReference(parseImageReference(reference));
    const existing = this.#all.list().find(({ references, digests }) => references.includes(full) || digests.includes(full));
    const isOwn = this.#scope.record.pulled.includes(full);
    if (existing !== undefined && !isOwn) {
      if (!this.#isShared(full)) throw this.#scope.refusal(`the name ${reference}, which an image of the host has`);
      options.progress?.({ status: `Status: ${reference} is the host's image` });
      return this.#view(existing);
    }
    if (!this.#scope.record.policy.isPullAllowed) throw this.#scope.refusal('pulling images');
    if (!isOwn) await this.#scope.change(({ pulled }) => ({ pulled: [...pulled, full] }));
    try {
      // Never with the credentials that the host has for itself.
      return this.#view(await this.#all.pull(reference, { ...options, credentials: options.credentials ?? 'none' }, signal));
    } catch (error) {
      if (!isOwn) await this.#scope.change(({ pulled }) => ({ pulled: pulled.filter((name) => name !== full) }));
      throw error;
    }
  }

  push(_reference: string, _options: PushOptions, _signal: AbortSignal): Promise<Digest> {
    throw this.#scope.refusal('pushing images');
  }

  pack(_name: string, _format: ImageFormat, _signal: AbortSignal): Promise<Digest> {
    throw this.#scope.refusal('compressing images');
  }

  saveLayout(_name: string, _references: readonly string[], _format: ImageFormat, _output: Writable, _signal: AbortSignal): Promise<void> {
    throw this.#scope.refusal('writing OCI layouts');
  }

  async tag(name: string, reference: string): Promise<void> {
    this.#scope.checkOpen();
    await this.#all.tag(this.get(name).id, privateReference(this.#scope.id, reference));
  }

  /** Only names of the scope's own go; the image goes when it has no other. */
  async remove(name: string, options: { isForced: boolean }, signal: AbortSignal): Promise<RemovedImage[]> {
    const image = this.get(name);
    const all = this.#all.get(image.id).references;
    const named = isReference(name) ? [privateReference(this.#scope.id, name), formatImageReference(parseImageReference(name))].find((candidate) => all.includes(candidate) && this.#isOwnName(candidate)) : undefined;
    if (named === undefined && isNamedBy(image, name)) throw this.#scope.refusal(`removing ${name}, which is not its own`);
    if (named === undefined && !(this.#isOwn(image.id) && all.every((reference) => this.#isOwnName(reference)))) throw this.#scope.refusal(`removing ${name}, which is not its own alone`);
    try {
      return await this.#forget(await this.#all.remove(named ?? image.id, options, signal));
    } catch (error) {
      // The message names containers that may be others'.
      if (isError(error, 'conflict')) throw new GantryError('conflict', `the image ${name} is in use or has several names`);
      throw error;
    }
  }

  async prune(options: PruneOptions, signal: AbortSignal): Promise<{ removed: RemovedImage[]; freedBytes: number }> {
    const isOwnAlone = (image: Image): boolean => this.#isOwn(image.id) && image.references.every((reference) => this.#isOwnName(reference));
    const filter = (image: Image): boolean => isOwnAlone(image) && (options.filter?.(this.#view(image)) ?? true);
    const { removed, freedBytes } = await this.#all.prune({ ...options, filter }, signal);
    return { removed: await this.#forget(removed), freedBytes };
  }

  layerBytes(diffId: Digest): number {
    return this.#all.layerBytes(diffId);
  }

  layersBytes(): number {
    return [...new Set(this.list().flatMap(({ layers }) => layers))].reduce((sum, layer) => sum + this.#all.layerBytes(layer), 0);
  }

  save(_names: readonly string[], _output: Writable, _signal: AbortSignal): Promise<void> {
    throw this.#scope.refusal('saving images');
  }

  load(_archive: Readable, _options: { readonly platform?: Platform }, _signal: AbortSignal): Promise<{ image: Image; references: string[] }[]> {
    throw this.#scope.refusal('loading images');
  }

  /** The store is the host's. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #isShared(full: string): boolean {
    if (publicReference(undefined, full) !== undefined) return false;
    const familiar = familiarImageReference(parseImageReference(full));
    return this.#shared.some((pattern) => pattern.test(familiar) || pattern.test(full));
  }

  /** Of a name in the store. */
  #isOwnName(full: string): boolean {
    return this.#scope.record.pulled.includes(full) || publicReference(this.#scope.id, full) !== undefined;
  }

  #isOwn(id: Digest): boolean {
    const image = this.#all.find(id);
    return this.#scope.record.imageIds.includes(id) || (image?.references.some((name) => this.#isOwnName(name)) ?? false);
  }

  #sees({ id, references, digests }: Image): boolean {
    const names = [...references, ...digests];
    return names.some((name) => this.#isOwnName(name) || this.#isShared(name)) || this.#scope.record.imageIds.includes(id) || this.#ownContainers().some(({ spec }) => spec.image.id === id);
  }

  #view(image: Image): Image {
    const shown = (name: string): string[] => {
      const own = publicReference(this.#scope.id, name);
      return own !== undefined ? [own] : this.#isOwnName(name) || this.#isShared(name) ? [name] : [];
    };
    const references = image.references.flatMap(shown).toSorted();
    const repositories = new Set(references.map((name) => name.slice(0, name.lastIndexOf(':'))));
    return { ...image, references, digests: image.digests.filter((name) => repositories.has(name.slice(0, name.indexOf('@'))) || this.#isOwnName(name) || this.#isShared(name)) };
  }

  async #forget(removed: readonly RemovedImage[]): Promise<RemovedImage[]> {
    const untagged = new Set(removed.flatMap((entry) => ('untagged' in entry ? [entry.untagged] : [])));
    const deleted = new Set<string>(removed.flatMap((entry) => ('deleted' in entry ? [entry.deleted] : [])));
    await this.#scope.change(({ pulled, imageIds }) => ({ pulled: pulled.filter((name) => !untagged.has(name)), imageIds: imageIds.filter((id) => !deleted.has(id)) }));
    return removed.map((entry) => ('untagged' in entry ? { untagged: publicReference(this.#scope.id, entry.untagged) ?? entry.untagged } : entry));
  }
}

function isReference(name: string): boolean {
  try {
    parseImageReference(name);
    return true;
  } catch (error) {
    if (isError(error, 'invalid')) return false;
    throw error;
  }
}

/** Whether the text is one of the image's names, not an id. */
function isNamedBy({ references, digests }: Image, name: string): boolean {
  if (!isReference(name)) return false;
  const { tag: _, ...untagged } = parseImageReference(name);
  const full = formatImageReference(parseImageReference(name));
  return references.includes(full) || digests.includes(untagged.digest === undefined ? full : formatImageReference(untagged));
}
