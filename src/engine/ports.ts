import type { Readable } from 'node:stream';
import type { Descriptor, Digest, ImageReference } from '../api/mod.ts';

/** What the engine needs of a registry client to pull and push. */
export interface RegistryClient {
  /** The manifest or index bytes the reference names. `not-found`, `unauthenticated`, `forbidden`, `unavailable`. */
  fetchManifest(reference: ImageReference, credentials: Credentials | undefined, signal: AbortSignal): Promise<FetchedManifest>;
  /** The blob's bytes from `offset` on; the caller verifies the digest. */
  fetchBlob(reference: ImageReference, descriptor: Descriptor, offset: number, credentials: Credentials | undefined, signal: AbortSignal): Promise<Readable>;
  hasBlob(reference: ImageReference, digest: Digest, credentials: Credentials | undefined, signal: AbortSignal): Promise<boolean>;
  /** Uploads a blob; `open` may be called again on a retry. */
  pushBlob(reference: ImageReference, descriptor: Descriptor, open: () => Readable, credentials: Credentials | undefined, signal: AbortSignal): Promise<void>;
  pushManifest(reference: ImageReference, mediaType: string, bytes: Uint8Array, credentials: Credentials | undefined, signal: AbortSignal): Promise<Digest>;
}

export interface Credentials { username: string; password: string }

export interface FetchedManifest { mediaType: string; digest: Digest; bytes: Uint8Array }

/** What the Docker API needs of a builder for `POST /build`. */
export interface ImageBuilder {
  /** Builds from an unpacked context folder. `output` gets what `docker build` shows, line by line. Resolves to the image id. */
  build(request: ImageBuildRequest, output: (text: string) => void, signal: AbortSignal): Promise<Digest>;
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
