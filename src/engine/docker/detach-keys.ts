import { GantryError } from '../../kernel/mod.ts';

/** What leaves a terminal attached by `docker attach` without stopping it. */
export const defaultDetachKeys = 'ctrl-p,ctrl-q';

/** Parses `ctrl-p,ctrl-q`, `DEL` or single characters into the bytes a terminal sends. */
export function parseDetachKeys(text: string): Buffer {
  return Buffer.concat(text.split(',').map((key) => {
    if (/^[\x20-\x7e]$/.test(key)) return Buffer.from(key);
    if (key === 'DEL') return Buffer.from([0x7f]);
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control === undefined) throw new GantryError('invalid', `Invalid escape keys (${text}) provided`);
    return Buffer.from([control.toUpperCase().charCodeAt(0) & 0x1f]);
  }));
}

/** Passes input on and finds the keys in it, also when they come one by one. Bytes that may begin them are held back until the next. */
export class DetachScanner {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What to pass on, and whether the keys were complete. Nothing after them is passed on. */
  push(chunk: Uint8Array): { passed: Buffer; isDetached: boolean } {
    const passed: number[] = [];
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched]) {
        passed.push(...this.#keys.subarray(0, this.#matched));
        this.#matched = 0;
      }
      if (byte !== this.#keys[this.#matched]) {
        passed.push(byte);
        continue;
      }
      this.#matched += 1;
      if (this.#matched === this.#keys.length) return { passed: Buffer.from(passed), isDetached: true };
    }
    return { passed: Buffer.from(passed), isDetached: false };
  }
}
