/** Size of the pieces in which blobs are read and written. */
const bufferBytes = 512 * 1024;
/** As many pieces in flight as a few transfers have. */
const maxKept = 16;

/**
 * Buffers that are used again. Memory that the kernel has given once costs nothing the second time, and what is not garbage
 * needs no collection: a transfer of any size takes two of them.
 */
export class Buffers {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
  }

  /** Only for buffers that nobody reads or writes any more, the kernel included. */
  giveBack(buffer: Buffer): void {
    if (this.#free.length < maxKept) this.#free.push(buffer);
  }
}
