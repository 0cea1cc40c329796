import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, parseDigest } from '../../api/mod.ts';
import { errnoOf, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { CacheAccess } from './cache-access.ts';
import { keepUntilMs } from './keep-until.ts';

/** What a step left: a layer, or nothing. */
export interface StepRecord {
  readonly layer: Digest | undefined;
  readonly sizeBytes: number;
  /** RFC 3339. */
  readonly createdAt: string;
  /** How long the work took: what losing the record would cost. */
  readonly durationMs: number;
}

const recordSchema = z.strictObject({ layer: z.string().optional(), sizeBytes: z.number(), createdAt: z.string(), durationMs: z.number().default(0) });

interface Entry { readonly record: StepRecord; usedAtMs: number }

/**
 * Results of steps by key, one file each below a folder: shared by all builds of the instance that may see them, kept across restarts.
 * A file that a crash or a hand damaged counts as missing. When a record was last used is its file's modification time.
 */
export class StepCache {
  readonly #folder: string;
  /** By file name. What is on disk, so that the image store can be told synchronously. */
  readonly #entries = new Map<string, Entry>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<StepCache> {
    const cache = new StepCache(folder);
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const record = /^[0-9a-f]{64}$/.test(name) ? parseRecord(await readTextIfExists(path)) : undefined;
      if (record === undefined) await rm(path, { recursive: true, force: true });
      else cache.#entries.set(name, { record, usedAtMs: (await stat(path)).mtimeMs });
    }
    return cache;
  }

  /** The record of the first scope that has one: the build's own, then those it may read. Counts as a use. */
  async get(key: string, access: CacheAccess): Promise<StepRecord | undefined> {
    for (const scope of [access.scope, ...access.readable]) {
      const name = fileName(key, scope);
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      const now = new Date();
      entry.usedAtMs = now.getTime();
      await utimes(join(this.#folder, name), now, now).catch(ignoreMissing);
      return entry.record;
    }
    return undefined;
  }

  /** Written to the build's own scope only. */
  async set(key: string, access: CacheAccess, record: StepRecord): Promise<void> {
    const { layer, ...rest } = record;
    const name = fileName(key, access.scope);
    await writeFileAtomic(join(this.#folder, name), JSON.stringify({ ...(layer === undefined ? {} : { layer }), ...rest }));
    this.#entries.set(name, { record, usedAtMs: Date.now() });
  }

  /** All records, by the names of their files. */
  list(): { id: string; record: StepRecord; usedAtMs: number }[] {
    return [...this.#entries].map(([id, { record, usedAtMs }]) => ({ id, record, usedAtMs }));
  }

  /** The layers that records refer to: what the image store must keep. */
  layers(): Iterable<Digest> {
    return new Set([...this.#entries.values()].flatMap(({ record }) => record.layer ?? []));
  }

  /** Bytes of all layers that records refer to, each counted once. */
  get sizeBytes(): number {
    return [...new Map([...this.#entries.values()].map(({ record }) => [record.layer, record.sizeBytes])).values()].reduce((sum, size) => sum + size, 0);
  }

  get count(): number {
    return this.#entries.size;
  }

  /**
   * Removes records until the layers of the rest fit `maxBytes`: those used longest ago first, where a record that took long and is
   * small counts as used later than it was (`keepUntilMs`). Returns how many went.
   */
  async evict(maxBytes: number): Promise<number> {
    if (this.sizeBytes <= maxBytes) return 0;
    const kept = new Set<Digest>();
    let total = 0;
    let removed = 0;
    const ranked = [...this.#entries].toSorted(([, a], [, b]) => keepUntilMs(b.record, b.usedAtMs) - keepUntilMs(a.record, a.usedAtMs));
    for (const [name, { record }] of ranked) {
      const { layer, sizeBytes } = record;
      const added = layer === undefined || kept.has(layer) ? 0 : sizeBytes;
      if (total + added <= maxBytes) {
        total += added;
        if (layer !== undefined) kept.add(layer);
        continue;
      }
      this.#entries.delete(name);
      await rm(join(this.#folder, name), { force: true });
      removed += 1;
    }
    return removed;
  }

  /** Forgets everything. */
  async clear(): Promise<number> {
    return this.evict(-1);
  }
}

/** The shared scope's records are named by their key. */
function fileName(key: string, scope: string): string {
  return scope === '' ? key : createHash('sha256').update(`${scope}\0${key}`).digest('hex');
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

function parseRecord(text: string | undefined): StepRecord | undefined {
  try {
    const { layer, ...rest } = recordSchema.parse(JSON.parse(text ?? ''));
    return { ...rest, layer: layer === undefined ? undefined : parseDigest(layer) };
  } catch {
    return undefined;
  }
}
