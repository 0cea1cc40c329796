import type { Digest } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { BuildRuntime } from '../ports.ts';
import type { CacheAccess } from './cache-access.ts';
import { cacheImage, fromCacheLabel } from './cache-label.ts';
import type { StepCache, StepRecord } from './step-cache.ts';

/** Brings results of steps from registries and takes them there. */
export class CacheTransfer {
  readonly #runtime: BuildRuntime;
  readonly #cache: StepCache;
  /** What was read into which scope: an image that has not changed is not read again. */
  readonly #imported = new Map<string, Digest>();

  constructor(runtime: BuildRuntime, cache: StepCache) {
    this.#runtime = runtime;
    this.#cache = cache;
  }

  /** Results that the image carries become the build's own. An image that is not to be had is told, and no error: the build only takes longer. */
  async import(reference: string, access: CacheAccess, note: (text: string) => void, signal: AbortSignal): Promise<void> {
    try {
      const { id, config } = await this.#runtime.fetchCacheImage(reference, signal);
      const slot = `${access.scope}\0${reference}`;
      if (this.#imported.get(slot) === id) return note(`the cache of ${reference} is known`);
      const records = fromCacheLabel(config);
      using _ = this.#runtime.holdLayers(config.rootfs.diff_ids);
      for (const [key, record] of records) if ((await this.#cache.get(key, access)) === undefined) await this.#cache.set(key, access, record);
      this.#imported.set(slot, id);
      note(`took ${records.size} results from the cache of ${reference}`);
    } catch (error) {
      if (signal.aborted || !isError(error, 'not-found', 'unavailable', 'unauthenticated', 'forbidden', 'timeout')) throw error;
      note(`cannot use the cache of ${reference}: ${error.message}`);
    }
  }

  /** Pushes an image of these results. */
  async export(reference: string, records: ReadonlyMap<string, StepRecord>, platform: { os: string; architecture: string }, note: (text: string) => void, signal: AbortSignal): Promise<void> {
    note(`writing ${records.size} results to the cache ${reference}`);
    await this.#runtime.pushCacheImage(cacheImage(records, platform), reference, note, signal);
  }
}
