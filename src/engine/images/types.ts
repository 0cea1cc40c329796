import type { EngineFinding } from '../engine.ts';
import type { Readable, Writable } from 'node:stream';
import type { Descriptor, Digest, ImageConfig, ImageFormat, Platform } from '../../api/mod.ts';
import type { AskingCredentials } from '../ports.ts';

/**
 * Images of one engine: content (manifests, configurations, compressed layers), unpacked layers, and names.
 * An image is known by its id (the digest of its configuration); a layer by its diff id (the digest of its plain tar).
 */
export interface ImageStore extends AsyncDisposable {
  /** The image of a reference, an id, or an unambiguous id prefix of at least 4 digits; undefined when none is local. */
  find(name: string): Image | undefined;
  /** As `find`, but `not-found` names the image. */
  get(name: string): Image;
  list(): Image[];

  /** Unpacked layers in overlay format, the lowest first like `layers`. `not-found` when a layer is gone. */
  layerFolders(layers: readonly Digest[]): string[];
  /** The layers of an image; `imageId` may be any name that `find` knows. Makes every store a RootfsSource. */
  openRootfs(imageId: string, signal: AbortSignal): Promise<{ config: ImageConfig; layerFolders: readonly string[] }>;
  hasLayer(diffId: Digest): boolean;
  /** Finds what belongs to no layer; with `isRepaired` it is removed. */
  examine(isRepaired: boolean): Promise<EngineFinding[]>;
  /** Keeps layers from being removed until disposed: for running builds and containers being made. */
  holdLayers(layers: readonly Digest[]): Disposable;
  /** Tells which layers and images something outside uses (containers, a build cache). Asked at every removal; never cached. */
  addUsers(users: ImageUsers): Disposable;

  /** Unpacks a plain tar as a layer. `invalid` names the entry that is unsafe or malformed; nothing is left then. */
  importLayer(tar: Readable, signal: AbortSignal): Promise<Layer>;
  /**
   * Makes a layer of an overlay upper folder and takes the folder over: it is moved (it must be on the store's file system),
   * so nothing may write to it any more. Undefined when the folder is empty: it stays then.
   */
  commitLayer(upperFolder: string, signal: AbortSignal): Promise<Layer | undefined>;
  /** Stores a configuration whose layers are all here, under the references (moved from older images). Returns the image's id. */
  createImage(config: ImageConfig, references: readonly string[], signal: AbortSignal): Promise<Digest>;

  /** What the registry has under the name, without pulling it. */
  lookUp(reference: string, options: { credentials?: PullOptions['credentials'] }, signal: AbortSignal): Promise<RemoteImage>;
  pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<Image>;
  /** Resolves to the digest of the manifest pushed. */
  push(reference: string, options: PushOptions, signal: AbortSignal): Promise<Digest>;

  /** Makes the compressed blobs and the manifest of an image in that form; pushes use them from then on. Returns the manifest's digest. */
  pack(name: string, format: ImageFormat, signal: AbortSignal): Promise<Digest>;

  /** Gives the image a further name, taking it from the image that had it. */
  tag(name: string, reference: string): Promise<void>;
  /**
   * Removes a name, and the image with its last name, as `docker rmi`. An id with several names is `conflict` unless `isForced`,
   * an image in use by a container is `conflict` when its last name would go. Layers nobody else needs go with it.
   */
  remove(name: string, options: { isForced: boolean }, signal: AbortSignal): Promise<RemovedImage[]>;
  /** Removes images without any name (`onlyDangling`) or all that nobody uses, and layers that no image and no user needs. */
  prune(options: PruneOptions, signal: AbortSignal): Promise<{ removed: RemovedImage[]; freedBytes: number }>;
  /** Unpacked bytes of one layer; 0 when it is not here. */
  layerBytes(diffId: Digest): number;
  /** Unpacked bytes of all layers, each counted once. */
  layersBytes(): number;

  /** Writes a docker-archive (`docker save`) of the images. */
  save(names: readonly string[], output: Writable, signal: AbortSignal): Promise<void>;
  /** Packs the image and writes it as an OCI layout in a tar, under the names. */
  saveLayout(name: string, references: readonly string[], format: ImageFormat, output: Writable, signal: AbortSignal): Promise<void>;
  /** Reads a docker-archive or an OCI layout in a tar; returns what it named. `platform`: of several the image for it, and none for another (`not-found`). Default: the machine's of several. */
  load(archive: Readable, options: { readonly platform?: Platform }, signal: AbortSignal): Promise<{ image: Image; references: string[] }[]>;
}

/** A container that is made of an image. */
export interface ImageUser { readonly containerId: string; readonly isRunning: boolean }

export interface ImageUsers {
  /** Who uses the image. Empty when nobody does. */
  usersOf(imageId: Digest): ImageUser[];
  /** Diff ids that must stay on disk although no image may name them. */
  layers(): Iterable<Digest>;
}

/** An image of the store, as of now. */
export interface Image {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** Full names with tags, for example `docker.io/library/node:24-slim`, sorted. */
  readonly references: readonly string[];
  /** Full names with manifest digests, for example `127.0.0.1:5000/app@sha256:…`, sorted. */
  readonly digests: readonly string[];
  /** Diff ids, bottom first. */
  readonly layers: readonly Digest[];
  /** Unpacked bytes of all layers. */
  readonly sizeBytes: number;
  /** RFC 3339; when it was last given a name. */
  readonly lastTaggedAt: string | undefined;
  /** When it came into the store, in milliseconds since the epoch. */
  readonly storedAtMs: number;
}

export interface Layer { readonly diffId: Digest; readonly sizeBytes: number }

export interface PullOptions {
  /** `missing`: a local image of that name will do; `always`: the registry is asked. */
  readonly policy: 'missing' | 'always';
  readonly credentials?: AskingCredentials;
  /** Default: the machine's. An image that is for one platform only must be for this one when it is named. */
  readonly platform?: Platform;
  readonly progress?: (event: TransferProgress) => void;
}

/** An image, or an index of images, in a registry. */
export interface RemoteImage { readonly descriptor: Descriptor; readonly platforms: readonly Platform[] }

export interface PushOptions {
  readonly credentials?: AskingCredentials;
  readonly progress?: (event: TransferProgress) => void;
}

/** What `docker pull` and `docker push` show: one line per layer (`id`), or a line of text. */
export interface TransferProgress {
  readonly id?: string;
  readonly status: string;
  readonly current?: number;
  readonly total?: number;
}

export interface PruneOptions {
  readonly onlyDangling: boolean;
  /** Only images that this accepts. Default: all. */
  readonly filter?: (image: Image) => boolean;
}

/** One line of `docker rmi`: a name that went, or an image or layer that was deleted. */
export type RemovedImage = { readonly untagged: string } | { readonly deleted: Digest };

/** Limits of unpacking: more is refused as `exhausted`, with the layer and the entry named. */
export interface LayerLimits {
  /** Bytes of all files of one layer, unpacked. */
  readonly maxBytes: number;
  readonly maxEntries: number;
  /** Of an entry's whole name, in bytes. */
  readonly maxNameBytes: number;
}

export const defaultLayerLimits: LayerLimits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000, maxNameBytes: 4095 };
