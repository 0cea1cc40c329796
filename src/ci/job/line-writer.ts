import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

const maxLineLength = 64 << 10;

/** Cuts what is written into lines, without their ends. A line of more than 64 Ki characters comes in pieces. */
export class LineWriter extends Writable {
  readonly #onLine: (line: string) => Promise<void>;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(onLine: (line: string) => Promise<void>) {
    super({ decodeStrings: true });
    this.#onLine = onLine;
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#rest += this.#decoder.write(chunk);
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    while (this.#rest.length > maxLineLength) {
      lines.push(this.#rest.slice(0, maxLineLength));
      this.#rest = this.#rest.slice(maxLineLength);
    }
    this.#deliver(lines).then(() => callback(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    const last = this.#rest + this.#decoder.end();
    this.#rest = '';
    this.#deliver(last === '' ? [] : [last]).then(() => callback(), callback);
  }

  async #deliver(lines: readonly string[]): Promise<void> {
    for (const line of lines) await this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
  }
}
