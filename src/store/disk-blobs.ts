import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { cancelled, errnoOf, GantryError, isError, randomHex, syncFolder, throwIfAborted } from '../kernel/mod.ts';
import { type BlobExpectation, type BlobInfo, type BlobRange, type BlobSource, type BlobStore, type DigestAlgorithm, digestAlgorithms, isUploadId, type OpenBlob, parseBlobDigest } from './blobs.ts';
import { Buffers } from './buffers.ts';
import { sendFile } from './file-sender.ts';
import { FileWriter } from './file-writer.ts';
import { blobFile, handedFile, handOver } from './hand-over.ts';

/** The hash of an upload's first bytes. */
interface HashState { readonly algorithm: DigestAlgorithm; readonly hash: Hash; sizeBytes: number }

/**
 * Blobs as files: `sha256/ab/abcd…`, `sha512/…`, and unfinished ones in `uploads/`; `handed/` has files that others gave (see handOver). Bytes are hashed as they arrive, synced, then renamed.
 * Uploads survive a restart: their hash is computed again from the file.
 */
export class DiskBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #buffers = new Buffers();
  /** Hash states of uploads that this process received from their first byte on. */
  readonly #hashes = new Map<string, HashState>();
  readonly #busy = new Set<string>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<DiskBlobStore> {
    for (const algorithm of digestAlgorithms) await mkdir(join(folder, algorithm), { recursive: true });
    await mkdir(join(folder, 'uploads'), { recursive: true });
    // Whoever handed something over to a store that stopped sends it instead.
    await rm(join(folder, 'handed'), { recursive: true, force: true });
    await mkdir(join(folder, 'handed'), { mode: 0o700 });
    return new DiskBlobStore(folder);
  }

  async stat(digest: string): Promise<BlobInfo | undefined> {
    const found = await statFile(this.pathOf(digest));
    return found === undefined ? undefined : { digest, ...found };
  }

  async read(digest: string, range: BlobRange = {}): Promise<Readable> {
    const { file, start, end } = await this.#openRange(digest, range);
    if (start < end) return file.createReadStream({ start, end: end - 1, highWaterMark: readChunkBytes });
    await file.close();
    return Readable.from([]);
  }

  async open(digest: string, range: BlobRange = {}): Promise<OpenBlob> {
    const { file, start, end } = await this.#openRange(digest, range);
    return { sendTo: (target, signal) => sendFile(file, { start, end }, target, this.#buffers, signal), [Symbol.asyncDispose]: () => file.close() };
  }

  async write(source: BlobSource, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo> {
    const id = await this.createUpload(algorithmOf(expected));
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
      for await (const shard of await opendir(join(this.#folder, algorithm))) {
        for await (const entry of await opendir(join(this.#folder, algorithm, shard.name))) {
          const found = await statFile(join(this.#folder, algorithm, shard.name, entry.name));
          if (found !== undefined) yield { digest: `${algorithm}:${entry.name}`, ...found };
        }
      }
    }
  }

  async delete(digest: string): Promise<boolean> {
    return removeFile(this.pathOf(digest));
  }

  async createUpload(algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    const id = randomHex(16);
    await (await open(this.#uploadPath(id), 'wx', 0o600)).close();
    this.#hashes.set(id, newState(algorithm));
    return id;
  }

  async uploadSize(id: string): Promise<number | undefined> {
    return isUploadId(id) ? (await statFile(this.#uploadPath(id)))?.sizeBytes : undefined;
  }

  async appendUpload(id: string, offset: number, source: BlobSource, signal: AbortSignal): Promise<number> {
    return this.#exclusively(id, async () => {
      await using file = await this.#openUpload(id);
      const state = await this.#hashState(id, file, this.#hashes.get(id)?.algorithm ?? 'sha256');
      if (offset !== state.sizeBytes) {
        throw new GantryError('precondition-failed', `the upload has ${state.sizeBytes} bytes, not ${offset}`, { details: { sizeBytes: state.sizeBytes } });
      }
      await this.#append(id, file, state, source, signal);
      return state.sizeBytes;
    });
  }

  /** While a piece is written, its hash is computed. When the source fails, what came before is kept. */
  async #append(id: string, file: FileHandle, state: HashState, source: BlobSource, signal: AbortSignal): Promise<void> {
    // Until the bytes are in the file, the hash says more than it has.
    this.#hashes.delete(id);
    const writer = new FileWriter(file, state.sizeBytes, this.#buffers, (piece) => state.hash.update(piece));
    try {
      for await (const chunk of source) {
        throwIfAborted(signal);
        await writer.add(chunk);
      }
    } finally {
      state.sizeBytes = await writer.end();
      this.#hashes.set(id, state);
    }
  }

  async commitUpload(id: string, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo> {
    return this.#exclusively(id, async () => {
      const handed = await this.#handedTo(id);
      const info = await this.#verify(id, handed, expected, signal);
      const path = this.pathOf(info.digest);
      if ((await statFile(path)) !== undefined) {
        await this.#forget(id);
        return info;
      }
      const isNewShard = (await mkdir(dirname(path), { recursive: true })) !== undefined;
      await rename(handed ?? this.#uploadPath(id), path);
      if (handed !== undefined) await this.#forget(id);
      this.#hashes.delete(id);
      await syncFolder(dirname(path));
      if (isNewShard) await syncFolder(join(path, '../..'));
      return info;
    });
  }

  /**
   * Takes a file of this machine as a blob without copying it, if it can be shared (see handOver) and its content is what is expected;
   * undefined otherwise. The file may go on to have its first name.
   */
  async adopt(file: string, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo | undefined> {
    const id = await this.createUpload(algorithmOf(expected));
    try {
      return (await handOver(this.#folder, id, file)) ? await this.commitUpload(id, expected, signal) : undefined;
    } catch (error) {
      if (isError(error, 'invalid')) return undefined;
      throw error;
    } finally {
      await this.cancelUpload(id);
    }
  }

  async cancelUpload(id: string): Promise<boolean> {
    if (!isUploadId(id)) return false;
    return this.#exclusively(id, () => this.#forget(id));
  }

  async *listUploads(): AsyncIterable<{ id: string; sizeBytes: number; modifiedAtMs: number }> {
    for await (const entry of await opendir(join(this.#folder, 'uploads'))) {
      const found = await statFile(join(this.#folder, 'uploads', entry.name));
      if (found !== undefined && isUploadId(entry.name)) yield { id: entry.name, ...found };
    }
  }

  /** Where the blob is or would be. For tools that can use a file where it lies; never write there. */
  pathOf(digest: string): string {
    return blobFile(this.#folder, digest);
  }

  async #openRange(digest: string, range: BlobRange): Promise<{ file: FileHandle; start: number; end: number }> {
    const file = await openIfExists(this.pathOf(digest));
    if (file === undefined) throw new GantryError('not-found', `there is no blob ${digest}`);
    const { size } = await file.stat();
    const { start = 0, end = size } = range;
    if (Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= size) return { file, start, end };
    await file.close();
    throw new GantryError('invalid', `bytes ${start} to ${end} are not within the ${size} bytes of ${digest}`);
  }

  #uploadPath(id: string): string {
    return join(this.#folder, 'uploads', id);
  }

  async #exclusively<T>(id: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy.has(id)) throw new GantryError('conflict', 'the upload is being written by another request');
    this.#busy.add(id);
    try {
      return await work();
    } finally {
      this.#busy.delete(id);
    }
  }

  async #openUpload(id: string): Promise<FileHandle> {
    const file = isUploadId(id) ? await openIfExists(this.#uploadPath(id), 'r+') : undefined;
    if (file === undefined) throw new GantryError('not-found', 'there is no such upload');
    return file;
  }

  /** The state in memory when it matches the file (a write may have failed half-way) and the algorithm, otherwise hashed again. */
  async #hashState(id: string, file: FileHandle, algorithm: DigestAlgorithm): Promise<HashState> {
    const { size } = await file.stat();
    const kept = this.#hashes.get(id);
    if (kept?.sizeBytes === size && kept.algorithm === algorithm) return kept;
    const state = await hashFile(file, algorithm, this.#buffers, forever);
    this.#hashes.set(id, state);
    return state;
  }

  /** The file that was handed over to an upload into which nothing else has come. */
  async #handedTo(id: string): Promise<string | undefined> {
    if ((await this.uploadSize(id)) !== 0) return undefined;
    const file = handedFile(this.#folder, id);
    return (await statFile(file)) === undefined ? undefined : file;
  }

  async #verify(id: string, handed: string | undefined, expected: BlobExpectation, signal: AbortSignal): Promise<BlobInfo> {
    await using file = handed === undefined ? await this.#openUpload(id) : await open(handed);
    const wanted = algorithmOf(expected);
    const { algorithm, hash, sizeBytes } = handed === undefined ? await this.#hashState(id, file, wanted) : await hashFile(file, wanted, this.#buffers, signal);
    if (signal.aborted) throw cancelled(signal);
    const digest = `${algorithm}:${hash.copy().digest('hex')}`;
    const problem =
      expected.sizeBytes !== undefined && expected.sizeBytes !== sizeBytes
        ? `the content has ${sizeBytes} bytes, not ${expected.sizeBytes}`
        : expected.digest !== undefined && expected.digest !== digest
          ? `the content's digest is ${digest}, not ${expected.digest}`
          : undefined;
    if (problem !== undefined) {
      await this.#forget(id);
      throw new GantryError('invalid', problem, { details: { digest, sizeBytes } });
    }
    await file.sync();
    return { digest, sizeBytes, modifiedAtMs: Date.now() };
  }

  async #forget(id: string): Promise<boolean> {
    this.#hashes.delete(id);
    await rm(handedFile(this.#folder, id), { force: true });
    return removeFile(this.#uploadPath(id));
  }
}

const readChunkBytes = 256 * 1024;

const forever = new AbortController().signal;

async function hashFile(file: FileHandle, algorithm: DigestAlgorithm, buffers: Buffers, signal: AbortSignal): Promise<HashState> {
  const state = newState(algorithm);
  const buffer = buffers.take();
  for (;;) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, state.sizeBytes);
    if (bytesRead === 0) break;
    state.hash.update(buffer.subarray(0, bytesRead));
    state.sizeBytes += bytesRead;
  }
  buffers.giveBack(buffer);
  return state;
}

function newState(algorithm: DigestAlgorithm): HashState {
  return { algorithm, hash: createHash(algorithm), sizeBytes: 0 };
}

function algorithmOf({ digest }: BlobExpectation): DigestAlgorithm {
  return digest === undefined ? 'sha256' : parseBlobDigest(digest).algorithm;
}

async function statFile(path: string): Promise<{ sizeBytes: number; modifiedAtMs: number } | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { sizeBytes: size, modifiedAtMs: mtimeMs };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function openIfExists(path: string, flags = 'r'): Promise<FileHandle | undefined> {
  try {
    return await open(path, flags);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function removeFile(path: string): Promise<boolean> {
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
