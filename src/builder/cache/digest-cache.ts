import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';

/** Digests of files that never change (paths inside layers), by a key that names the layers and paths. Kept on disk. */
export class DigestCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<DigestCache> {
    await mkdir(folder, { recursive: true });
    return new DigestCache(folder);
  }

  /** The digest of `key`, computed when it is not known. */
  async get(key: string, compute: () => Promise<string>): Promise<string> {
    const known = await readTextIfExists(join(this.#folder, key));
    if (known !== undefined && /^[0-9a-f]{64}$/.test(known)) return known;
    const digest = await compute();
    await writeFileAtomic(join(this.#folder, key), digest);
    return digest;
  }
}
