import type { FileHandle } from 'node:fs/promises';
import type { Buffers } from './buffers.ts';

/**
 * Writes to a file in large pieces, out of two buffers in turn: while one is written, `onPiece` gets it (to be hashed) and the other is filled.
 * What is added has been copied when `add` returns.
 */
export class FileWriter {
  readonly #file: FileHandle;
  readonly #buffers: Buffers;
  readonly #onPiece: (piece: Uint8Array) => void;
  #position: number;
  #buffer: Buffer | undefined;
  #filled = 0;
  #writing: Promise<Buffer | undefined> = Promise.resolve(undefined);

  constructor(file: FileHandle, position: number, buffers: Buffers, onPiece: (piece: Uint8Array) => void) {
    this.#file = file;
    this.#position = position;
    this.#buffers = buffers;
    this.#onPiece = onPiece;
  }

  async add(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength; ) {
      this.#buffer ??= this.#buffers.take();
      const part = bytes.subarray(offset, offset + this.#buffer.length - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.byteLength;
      offset += part.byteLength;
      if (this.#filled === this.#buffer.length) await this.#flush();
    }
  }

  /** Everything that was added is in the file, though not synced. Resolves to where it ends; rejects when a write failed. */
  async end(): Promise<number> {
    if (this.#filled > 0) await this.#flush();
    const last = await this.#writing;
    if (last !== undefined) this.#buffers.giveBack(last);
    this.#writing = Promise.resolve(undefined);
    return this.#position;
  }

  /** Waits for the write before this one, whose buffer is the next to be filled. */
  async #flush(): Promise<void> {
    const [buffer, filled, position] = [this.#buffer, this.#filled, this.#position];
    if (buffer === undefined) return;
    const written = await this.#writing;
    [this.#buffer, this.#filled] = [written, 0];
    const piece = buffer.subarray(0, filled);
    this.#position += filled;
    this.#writing = writeAll(this.#file, piece, position).then(() => buffer);
    // Whoever calls next is told.
    this.#writing.catch(() => undefined);
    this.#onPiece(piece);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) done += (await file.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
}
