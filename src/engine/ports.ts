import type { Readable } from 'node:stream';
import type { Descriptor, Digest, ImageReference } from '../api/mod.ts';

/** What the engine needs of a registry client to pull and push. */
export interface RegistryClient {
  /** The manifest or index bytes the reference names. `not-found`, `unauthenticated`, `forbidden`, `unavailable`. */
  fetchManifest(reference: ImageReference, credentials: AskingCredentials, signal: AbortSignal): Promise<FetchedManifest>;
  /** The blob's bytes from `offset` on; the caller verifies the digest. */
  fetchBlob(reference: ImageReference, descriptor: Descriptor, offset: number, credentials: AskingCredentials, signal: AbortSignal): Promise<Readable>;
  /** A file of this machine that should have the blob's bytes; the caller verifies it. Absent or undefined: the blob has to be fetched. */
  findFile?(reference: ImageReference, descriptor: Descriptor, credentials: AskingCredentials, signal: AbortSignal): Promise<string | undefined>;
  hasBlob(reference: ImageReference, digest: Digest, credentials: AskingCredentials, signal: AbortSignal): Promise<boolean>;
  /** Uploads a blob; `open` may be called again on a retry. Resolves to the repository it was mounted from, when nothing had to be sent. */
  pushBlob(reference: ImageReference, descriptor: Descriptor, open: () => Readable, credentials: AskingCredentials, signal: AbortSignal): Promise<string | undefined>;
  pushManifest(reference: ImageReference, mediaType: string, bytes: Uint8Array, credentials: AskingCredentials, signal: AbortSignal): Promise<Digest>;
}

export interface Credentials {
  username: string;
  password: string;
  /** A refresh token for the registry's token server, instead of the password. */
  identityToken?: string;
  /** A token that the registry itself takes. */
  registryToken?: string;
}

/** Who asks: given credentials, `none` for nobody, or undefined for what the engine itself is configured with. */
export type AskingCredentials = Credentials | 'none' | undefined;

/** What the Docker API needs to check a login. */
export interface RegistryLogin {
  /** Asks the registry whether it takes the credentials. Resolves to the identity token that it gives for the password, if it does. `unauthenticated` when it refuses. */
  login(host: string, credentials: Credentials, signal: AbortSignal): Promise<{ identityToken?: string }>;
}

export interface FetchedManifest { mediaType: string; digest: Digest; bytes: Uint8Array }

/** What the Docker API needs of a builder for `POST /build`. */
export interface ImageBuilder {
  /** Builds from an unpacked context folder. `output` gets what `docker build` shows, line by line. Resolves to the image id. */
  build(request: ImageBuildRequest, output: (text: string) => void, signal: AbortSignal): Promise<Digest>;
  /** The builder's cache, for `docker builder prune` and `docker system df`. Absent: it keeps none. */
  readonly cache?: { list(signal: AbortSignal): Promise<BuildCacheEntry[]>; prune(signal: AbortSignal): Promise<{ mountBytes: number }> };
}

/** One thing that a builder keeps to be faster the next time. */
export interface BuildCacheEntry {
  readonly id: string;
  /** `regular`: what a step left; `exec.cachemount`: a folder of `RUN --mount=type=cache`. */
  readonly type: 'regular' | 'exec.cachemount';
  readonly description: string;
  readonly sizeBytes: number;
  /** The layer that the entry holds, which an image may have too. */
  readonly layer?: Digest;
  readonly isInUse: boolean;
  /** RFC 3339; absent when it was not written down. */
  readonly createdAt?: string;
  readonly usedAt: string;
}

export interface ImageBuildRequest {
  contextFolder: string;
  dockerfilePath: string;
  tags: string[];
  target?: string;
  buildArgs: Record<string, string>;
  labels: Record<string, string>;
  noCache: boolean;
  pull: boolean;
  network: 'default' | 'none' | 'host';
}
