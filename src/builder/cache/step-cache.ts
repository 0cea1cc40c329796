import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, parseDigest } from '../../api/mod.ts';
import { errnoOf, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';

/** What a step left: a layer, or nothing. */
export interface StepRecord {
  readonly layer: Digest | undefined;
  readonly sizeBytes: number;
  /** RFC 3339. */
  readonly createdAt: string;
}

const recordSchema = z.strictObject({ layer: z.string().optional(), sizeBytes: z.number(), createdAt: z.string() });

/**
 * Results of steps by key, one file each below a folder: shared by all builds of the instance, kept across restarts.
 * A file that a crash or a hand damaged counts as missing. When a record was last used is its file's modification time.
 */
export class StepCache {
  readonly #folder: string;
  /** Layers of all records, so that the image store can be told synchronously. */
  readonly #layers = new Map<string, Digest>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<StepCache> {
    const cache = new StepCache(folder);
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      if (!/^[0-9a-f]{64}$/.test(name)) await rm(join(folder, name), { recursive: true, force: true });
      else await cache.#read(name);
    }
    return cache;
  }

  async get(key: string): Promise<StepRecord | undefined> {
    const record = await this.#read(key);
    if (record === undefined) return undefined;
    const now = new Date();
    await utimes(join(this.#folder, key), now, now).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
    });
    return record;
  }

  async set(key: string, record: StepRecord): Promise<void> {
    const { layer, sizeBytes, createdAt } = record;
    await writeFileAtomic(join(this.#folder, key), JSON.stringify({ ...(layer === undefined ? {} : { layer }), sizeBytes, createdAt }));
    this.#remember(key, record);
  }

  async delete(key: string): Promise<void> {
    this.#layers.delete(key);
    await rm(join(this.#folder, key), { force: true });
  }

  /** The layers that records refer to: what the image store must keep. */
  layers(): Iterable<Digest> {
    return new Set(this.#layers.values());
  }

  /** Removes the records used longest ago until the layers of the rest fit `maxBytes`. Returns how many went. */
  async evict(maxBytes: number): Promise<number> {
    const records = await Promise.all((await readdir(this.#folder)).map(async (key) => ({ key, usedAt: (await stat(join(this.#folder, key))).mtimeMs, record: await this.#read(key) })));
    let total = 0;
    let removed = 0;
    for (const { key, record } of records.toSorted((a, b) => b.usedAt - a.usedAt)) {
      total += record?.sizeBytes ?? 0;
      if (record !== undefined && total <= maxBytes) continue;
      total -= record?.sizeBytes ?? 0;
      await this.delete(key);
      removed += 1;
    }
    return removed;
  }

  async #read(key: string): Promise<StepRecord | undefined> {
    const text = await readTextIfExists(join(this.#folder, key));
    const record = text === undefined ? undefined : parseRecord(text);
    if (record !== undefined) this.#remember(key, record);
    return record;
  }

  #remember(key: string, { layer }: StepRecord): void {
    if (layer !== undefined) this.#layers.set(key, layer);
  }
}

function parseRecord(text: string): StepRecord | undefined {
  try {
    const { layer, ...rest } = recordSchema.parse(JSON.parse(text));
    return { ...rest, layer: layer === undefined ? undefined : parseDigest(layer) };
  } catch {
    return undefined;
  }
}
