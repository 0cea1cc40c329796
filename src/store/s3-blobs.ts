import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError, isError } from '../kernel/mod.ts';
import { type BlobExpectation, type BlobInfo, type BlobRange, type BlobSource, type BlobStore, type DigestAlgorithm, digestAlgorithms, type OpenBlob, parseBlobDigest } from './blobs.ts';
import { DiskBlobStore } from './disk-blobs.ts';
import { type S3Body, S3Bucket, type S3BucketOptions } from './s3/s3-bucket.ts';

export interface S3BlobStoreOptions extends S3BucketOptions {
  /** Before every key; empty, or letters, digits, `-`, `_`, `.` and `/` with a slash at the end. */
  readonly prefix?: string;
  /** For uploads in progress, on local disk: they are verified there before the service sees them. */
  readonly stagingFolder: string;
  /** Larger blobs are sent in parts of this size. At least 5 MiB (the service's limit); default 64 MiB. */
  readonly partBytes?: number;
}

/**
 * Blobs as objects of an S3-compatible service: `sha256/ab/abcd…`. Uploads gather on local disk, survive a restart there, and become an object
 * in one step once their digest is right. One store for each prefix.
 */
export class S3BlobStore implements BlobStore, AsyncDisposable {
  readonly #bucket: S3Bucket;
  readonly #staging: DiskBlobStore;
  readonly #prefix: string;
  readonly #partBytes: number;
  /** Transfers by digest: two commits of the same bytes are one. */
  readonly #transfers = new Map<string, Promise<void>>();

  private constructor(bucket: S3Bucket, staging: DiskBlobStore, prefix: string, partBytes: number) {
    this.#bucket = bucket;
    this.#staging = staging;
    this.#prefix = prefix;
    this.#partBytes = partBytes;
  }

  /** Asks the service once, so that wrong settings are told at start. What a stop left half-sent is given up: nobody was told that it is there. */
  static async open(options: S3BlobStoreOptions, signal: AbortSignal): Promise<S3BlobStore> {
    const { prefix = '', stagingFolder, partBytes = 64 << 20 } = options;
    if (!/^(?:[\w.-]+\/)*$/.test(prefix)) throw new GantryError('invalid', `the prefix ${JSON.stringify(prefix)} must be letters, digits, -, _, . and end with a slash`);
    const bucket = new S3Bucket(options);
    try {
      const staging = await DiskBlobStore.open(stagingFolder);
      for await (const { digest } of staging.list()) await staging.delete(digest);
      await bucket.abortParts(prefix, signal).catch((error: unknown) => {
        // Some services do not list them; what was half-sent there stays until the service's own rules remove it.
        if (!isError(error, 'unsupported')) throw error;
      });
      return new S3BlobStore(bucket, staging, prefix, partBytes);
    } catch (error) {
      await bucket[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bucket[Symbol.asyncDispose]();
  }

  async stat(digest: string): Promise<BlobInfo | undefined> {
    const found = await this.#bucket.head(this.#keyOf(digest), noLimit());
    return found === undefined ? undefined : { digest, sizeBytes: found.sizeBytes, modifiedAtMs: found.modifiedAtMs };
  }

  async read(digest: string, range: BlobRange = {}): Promise<Readable> {
    const info = await this.stat(digest);
    if (info === undefined) throw new GantryError('not-found', `there is no blob ${digest}`);
    const { start = 0, end = info.sizeBytes } = range;
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= info.sizeBytes)) {
      throw new GantryError('invalid', `bytes ${start} to ${end} are not within the ${info.sizeBytes} bytes of ${digest}`);
    }
    return start === end ? Readable.from([]) : this.#bucket.get(this.#keyOf(digest), { start, end }, noLimit());
  }

  async open(digest: string, range?: BlobRange): Promise<OpenBlob> {
    const content = await this.read(digest, range);
    return {
      sendTo: (target, signal) => pipeline(content, target, { end: false, signal }),
      [Symbol.asyncDispose]: async () => void content.destroy(),
    };
  }

  async write(source: BlobSource, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo> {
    const id = await this.createUpload(expected.digest === undefined ? 'sha256' : parseBlobDigest(expected.digest).algorithm);
    try {
      await this.appendUpload(id, 0, source, signal);
      return await this.commitUpload(id, expected, signal);
    } catch (error) {
      await this.cancelUpload(id);
      throw error;
    }
  }

  async *list(): AsyncIterable<BlobInfo> {
    for (const algorithm of digestAlgorithms) {
      for await (const { key, sizeBytes, modifiedAtMs } of this.#bucket.list(`${this.#prefix}${algorithm}/`, noLimit())) yield { digest: `${algorithm}:${key.split('/').at(-1) ?? ''}`, sizeBytes, modifiedAtMs };
    }
  }

  /** The service does not say whether there was one, so it is asked before. */
  async delete(digest: string): Promise<boolean> {
    if ((await this.stat(digest)) === undefined) return false;
    await this.#bucket.delete(this.#keyOf(digest), noLimit());
    return true;
  }

  createUpload(algorithm?: DigestAlgorithm): Promise<string> {
    return this.#staging.createUpload(algorithm);
  }

  uploadSize(id: string): Promise<number | undefined> {
    return this.#staging.uploadSize(id);
  }

  appendUpload(id: string, offset: number, source: BlobSource, signal: AbortSignal): Promise<number> {
    return this.#staging.appendUpload(id, offset, source, signal);
  }

  async commitUpload(id: string, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo> {
    const staged = await this.#staging.commitUpload(id, expected, signal);
    const running = this.#transfers.get(staged.digest) ?? this.#transfer(staged);
    this.#transfers.set(staged.digest, running);
    await running;
    return staged;
  }

  cancelUpload(id: string): Promise<boolean> {
    return this.#staging.cancelUpload(id);
  }

  listUploads(): AsyncIterable<{ id: string; sizeBytes: number; modifiedAtMs: number }> {
    return this.#staging.listUploads();
  }

  /** Several commits may wait for it, so it ends with none of them. */
  async #transfer({ digest, sizeBytes }: BlobInfo): Promise<void> {
    try {
      const key = this.#keyOf(digest);
      if ((await this.#bucket.head(key, noLimit())) !== undefined) return;
      if (sizeBytes > this.#partBytes) await this.#bucket.putParts(key, this.#parts(digest, sizeBytes), noLimit());
      else await this.#bucket.put(key, await this.#bodyOf(digest, 0, sizeBytes), noLimit());
    } finally {
      await this.#staging.delete(digest);
      this.#transfers.delete(digest);
    }
  }

  async *#parts(digest: string, sizeBytes: number): AsyncIterable<S3Body> {
    for (let start = 0; start < sizeBytes; start += this.#partBytes) yield await this.#bodyOf(digest, start, Math.min(start + this.#partBytes, sizeBytes));
  }

  /** Bytes `[start, end)` of a staged blob. A whole one's digest is its hash already. */
  async #bodyOf(digest: string, start: number, end: number): Promise<S3Body> {
    const path = this.#staging.pathOf(digest);
    const open = (): Readable | Buffer => (start === end ? Buffer.alloc(0) : createReadStream(path, { start, end: end - 1, highWaterMark: 256 * 1024 }));
    const { algorithm, hex } = parseBlobDigest(digest);
    const isWhole = start === 0 && end <= this.#partBytes && (await this.#staging.stat(digest))?.sizeBytes === end;
    if (algorithm === 'sha256' && isWhole) return { open, sizeBytes: end, hash: hex };
    const hash = createHash('sha256');
    const content = open();
    if (content instanceof Readable) for await (const chunk of content) hash.update(chunk as Buffer);
    return { open, sizeBytes: end - start, hash: hash.digest('hex') };
  }

  #keyOf(digest: string): string {
    const { algorithm, hex } = parseBlobDigest(digest);
    return `${this.#prefix}${algorithm}/${hex.slice(0, 2)}/${hex}`;
  }
}

/** The port's calls that take no signal: what stalls is ended by the bucket's own timeouts. */
function noLimit(): AbortSignal {
  return new AbortController().signal;
}
