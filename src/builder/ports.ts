import type { Readable, Writable } from 'node:stream';
import type { Digest, ImageConfig, ImageFormat } from '../api/mod.ts';

/** What the builder needs of an engine: base images, writable file trees, and processes inside them. */
export interface BuildRuntime {
  /** The image, pulled if it is not local (`always`: asked again even if it is). `not-found` when nobody has it. */
  resolveImage(reference: string, policy: 'missing' | 'always', signal: AbortSignal): Promise<BuildImage>;
  /** A writable tree over the layers (bottom first). Its `commit` makes the next layer. */
  openTree(layers: readonly Digest[], signal: AbortSignal): Promise<BuildTree>;
  /** Runs one process to its end in the tree, as `RUN` does: own namespaces, default capabilities and seccomp. */
  run(tree: BuildTree, process: BuildProcess, signal: AbortSignal): Promise<{ exitCode: number }>;
  /** Whether the layer's unpacked snapshot is in the store (a cached layer may have been pruned). */
  hasLayer(diffId: Digest): boolean;
  /** Keeps the layers from being removed until disposed. */
  holdLayers(layers: readonly Digest[]): Disposable;
  /** Tells the store which layers the build cache wants kept. Asked at every removal. */
  addLayerUser(layers: () => Iterable<Digest>): Disposable;
  /** Stores an image of layers the store has, under the references; returns the image id (config digest). */
  createImage(config: ImageConfig, references: readonly string[], signal: AbortSignal): Promise<Digest>;
  /** The image of a registry with its layers, asked for anew. */
  fetchCacheImage(reference: string, signal: AbortSignal): Promise<BuildImage>;
  /** Pushes an image of layers the store has, which gets no name here. */
  pushCacheImage(config: ImageConfig, reference: string, progress: (message: string) => void, signal: AbortSignal): Promise<Digest>;
  /** Stores the image's layers in the form, which pushes use from then on. */
  packImage(image: Digest, format: ImageFormat, signal: AbortSignal): Promise<void>;
  /** Writes the image as an OCI layout in a tar, under the names. */
  saveLayout(image: Digest, references: readonly string[], format: ImageFormat, output: Writable, signal: AbortSignal): Promise<void>;
  /** Pushes an image of the store. Resolves to the manifest digest. */
  pushImage(reference: string, progress: (message: string) => void, signal: AbortSignal): Promise<Digest>;
}

export interface BuildImage { id: Digest; config: ImageConfig }

export interface BuildTree extends AsyncDisposable {
  /** Host path of the merged tree. Copies must resolve symlinks inside it, never through it. */
  readonly rootPath: string;
  /**
   * The difference to the layers as a new layer of the store; undefined when nothing changed. Ends the tree.
   * Modification times after `latestModification` (seconds since the epoch) become it, for reproducible layers.
   */
  commit(options: { latestModification?: number }, signal: AbortSignal): Promise<{ diffId: Digest; sizeBytes: number } | undefined>;
}

export interface BuildProcess {
  args: string[];
  env: string[];
  workingDir: string;
  user: string;
  network: 'default' | 'none' | 'host';
  /** `--security=insecure`: nothing is kept from it. */
  isPrivileged: boolean;
  /** Extra mounts, for example the host's certificate bundle. Their targets exist in the tree. Never part of the layer. */
  mounts: BuildMount[];
  output: Writable;
}

export type BuildMount =
  | { kind: 'bind'; hostPath: string; containerPath: string; isReadOnly: boolean }
  | { kind: 'tmpfs'; containerPath: string; sizeBytes?: number };

/** The image store that `bootstrapImage` writes to. */
export interface BootstrapStore {
  /** The local image of that name, or undefined. */
  findImage(reference: string): Digest | undefined;
  /** Unpacks a plain tar as a layer. */
  importLayer(tar: Readable, signal: AbortSignal): Promise<{ diffId: Digest; sizeBytes: number }>;
  createImage(config: ImageConfig, references: readonly string[], signal: AbortSignal): Promise<Digest>;
}

/** Where builds that an ImageBuild resource asks for get their sources. */
export interface SourceArchives {
  /** The commit's tree as an uncompressed tar archive. `not-found` when there is no such repository or commit. */
  open(repository: { namespace: string; name: string }, commit: string, signal: AbortSignal): Promise<Readable>;
}
