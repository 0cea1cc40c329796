import type { Digest } from '../../api/mod.ts';
import type { BlobStore } from '../../store/mod.ts';

/** Broken downloads that are kept for a later pull. */
const maxKept = 16;
const maxAgeMs = 3_600_000;

/** Unfinished downloads by blob: a broken one goes on where it stopped, also in a later pull. A bounded number is kept, for a bounded time. */
export class PartialDownloads {
  readonly #blobs: BlobStore;
  readonly #uploads = new Map<Digest, { id: string; usedAtMs: number; isTaken: boolean }>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** The upload of a blob, begun or new. It is the caller's until `done` or `leave`. */
  async take(digest: Digest): Promise<string> {
    const known = this.#uploads.get(digest);
    if (known !== undefined) {
      this.#uploads.set(digest, { ...known, isTaken: true });
      return known.id;
    }
    await this.#removeStale();
    const id = await this.#blobs.createUpload();
    this.#uploads.set(digest, { id, usedAtMs: Date.now(), isTaken: true });
    return id;
  }

  /** The download is given up for now. */
  leave(digest: Digest): void {
    const known = this.#uploads.get(digest);
    this.#uploads.delete(digest);
    if (known !== undefined) this.#uploads.set(digest, { ...known, isTaken: false, usedAtMs: Date.now() });
  }

  done(digest: Digest): void {
    this.#uploads.delete(digest);
  }

  async #removeStale(): Promise<void> {
    const left = [...this.#uploads].filter(([, { isTaken }]) => !isTaken);
    const tooMany = left.slice(0, Math.max(0, left.length - maxKept + 1));
    const tooOld = left.filter(([, { usedAtMs }]) => Date.now() - usedAtMs > maxAgeMs);
    for (const [digest, { id }] of new Map([...tooMany, ...tooOld])) {
      this.#uploads.delete(digest);
      await this.#blobs.cancelUpload(id);
    }
  }
}
