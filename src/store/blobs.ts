import type { Readable, Writable } from 'node:stream';
import { GantryError } from '../kernel/mod.ts';

/**
 * Content-addressed bytes. A blob is visible whole and verified, or not at all, whenever the machine stops.
 * Digests are `sha256:` and 64 hex digits or `sha512:` and 128; any other text is `invalid`. Implementations pass testing/blob-store-suite.ts.
 */
export interface BlobStore {
  stat(digest: string): Promise<BlobInfo | undefined>;
  /** The bytes from `start` (default 0) up to but not including `end` (default: the size). `not-found`; `invalid` for a range outside the blob. */
  read(digest: string, range?: BlobRange): Promise<Readable>;
  /** The same bytes, to be sent once to a stream that somebody else ends. Dispose of it in any case. */
  open(digest: string, range?: BlobRange): Promise<OpenBlob>;
  /** Stores a stream in one go. `invalid` when digest or size differ from what was expected; nothing is left then. */
  write(source: BlobSource, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo>;
  /** All blobs in no order. Blobs that come or go meanwhile may be missed. */
  list(): AsyncIterable<BlobInfo>;
  /** False when there was none. Open readers go on to their end. */
  delete(digest: string): Promise<boolean>;

  /** Begins an upload in parts, which outlives the process. `algorithm` says how it will be committed: another one costs reading it again. Returns its id. */
  createUpload(algorithm?: DigestAlgorithm): Promise<string>;
  /** Received bytes; undefined when there is no such upload. */
  uploadSize(id: string): Promise<number | undefined>;
  /**
   * Appends at `offset`, which must be the size so far (`precondition-failed`). When the source fails, what came is kept and
   * the error passed on. `not-found`; `conflict` while another append or commit of this upload runs. Resolves to the new size.
   */
  appendUpload(id: string, offset: number, source: BlobSource, signal: AbortSignal): Promise<number>;
  /** Makes the upload a blob. `invalid` when digest or size differ: the upload is gone then. `not-found`, `conflict` as above. */
  commitUpload(id: string, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo>;
  /** False when there was none. `conflict` while an append or commit of it runs. */
  cancelUpload(id: string): Promise<boolean>;
  /** Uploads in progress or abandoned. */
  listUploads(): AsyncIterable<{ id: string; sizeBytes: number; modifiedAtMs: number }>;
}

export interface BlobInfo { readonly digest: string; readonly sizeBytes: number; readonly modifiedAtMs: number }

/** Bytes `[start, end)`. */
export interface BlobRange { readonly start?: number; readonly end?: number }

/**
 * What can go wrong before the first byte has gone wrong before there is one of these. The stream must need no chunk for which it has called back,
 * as sockets and HTTP responses do not (and a PassThrough does). `cancelled` when it closes.
 */
export interface OpenBlob extends AsyncDisposable {
  sendTo(target: Writable, signal: AbortSignal): Promise<void>;
}

export interface BlobExpectation { readonly digest?: string; readonly sizeBytes?: number }

/** Chunks are read, not kept: once the next is asked for, the source may use the last one again. */
export type BlobSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Digest algorithms of the OCI image spec, descriptor.md, "Registered Algorithms". */
export const digestAlgorithms = ['sha256', 'sha512'] as const;
export type DigestAlgorithm = (typeof digestAlgorithms)[number];

const digestPattern = /^(?:(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128}))$/;
const uploadIdPattern = /^[0-9a-f]{32}$/;

/** Algorithm and hex digits of a digest, or `invalid`: what makes digests safe as file names. */
export function parseBlobDigest(digest: string): { readonly algorithm: DigestAlgorithm; readonly hex: string } {
  const [, , sha256, , sha512] = digestPattern.exec(digest) ?? [];
  if (sha256 !== undefined) return { algorithm: 'sha256', hex: sha256 };
  if (sha512 !== undefined) return { algorithm: 'sha512', hex: sha512 };
  throw new GantryError('invalid', `invalid digest ${JSON.stringify(digest.slice(0, 100))}: sha256 and sha512 are supported`);
}

/** Whether the text can be an upload's id; ids from outside become file names. */
export function isUploadId(id: string): boolean {
  return uploadIdPattern.test(id);
}

/** Reads a small blob into memory. `exhausted` when it is larger than `maxBytes`. */
export async function readBlob(blobs: BlobStore, digest: string, maxBytes: number): Promise<Buffer> {
  const info = await blobs.stat(digest);
  if (info === undefined) throw new GantryError('not-found', `there is no blob ${digest}`);
  if (info.sizeBytes > maxBytes) throw new GantryError('exhausted', `the blob ${digest} is larger than ${maxBytes} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of await blobs.read(digest)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
