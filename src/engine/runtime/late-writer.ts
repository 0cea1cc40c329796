import { Writable } from 'node:stream';

/** A writable whose target appears later (a container's stdin, when it starts). What is written before waits in the stream's own buffer. */
export class LateWriter extends Writable {
  readonly #open: () => Promise<Writable | undefined>;
  #target: Writable | undefined;

  /** `open` resolves to undefined when there will never be a target. */
  constructor(open: () => Promise<Writable | undefined>) {
    super();
    this.#open = open;
  }

  override _construct(done: (error?: Error | null) => void): void {
    this.#open().then(
      (target) => {
        this.#target = target;
        target?.on('error', (error) => this.destroy(error));
        target?.on('close', () => this.destroy());
        done();
      },
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#target === undefined || this.#target.destroyed) done();
    else this.#target.write(chunk, encoding, done);
  }

  override _final(done: () => void): void {
    if (this.#target === undefined || this.#target.destroyed) done();
    else this.#target.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#target?.destroy();
    done(error);
  }
}
