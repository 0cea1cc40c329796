import { keyOf, type KubeObject, type ResourceType, type Stored } from '../api/mod.ts';
import { aborted, type Backoff, backoffMs, cancelled, type Clock, isError, type Logger, systemClock } from '../kernel/mod.ts';
import type { KubeClient, ListOptions } from './client.ts';
import { ObjectCache } from './object-cache.ts';

export type Change<T extends KubeObject> =
  | { type: 'added'; object: Stored<T> }
  | { type: 'modified'; object: Stored<T>; previous: Stored<T> }
  | { type: 'deleted'; object: Stored<T> };

/** Read access to a cache that follows the API server. Objects are shared: never change them, copy first. */
export interface Lister<T extends KubeObject> {
  get(key: string): Stored<T> | undefined;
  list(namespace?: string): Stored<T>[];
  /** Objects whose `metadata.ownerReferences` name this uid. */
  ownedBy(uid: string): Stored<T>[];
  /** Objects found by an index that `defineIndex` made. */
  indexed(index: string, value: string): Stored<T>[];
}

const relistBackoff: Backoff = { initialMs: 50, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** A watch that ends sooner than this without an event counts as a failure, so that a broken server is not asked in a tight loop. */
const shortWatchMs = 1_000;

/**
 * Lists once, then watches; lists again when the watch is too old or broke. Changes missed meanwhile are told as if they had been seen:
 * an object that is gone as `deleted`, one that was replaced by another of its name as `deleted` and `added`.
 */
export class Informer<T extends KubeObject> implements Lister<T> {
  readonly name: string;
  readonly type: ResourceType<T>;
  readonly #client: KubeClient;
  readonly #options: ListOptions;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #cache = new ObjectCache<T>();
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #synced = Promise.withResolvers<void>();

  constructor(client: KubeClient, type: ResourceType<T>, options: ListOptions, log: Logger, clock: Clock = systemClock) {
    this.#client = client;
    this.type = type;
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
    this.name = `informer ${type.plural}`;
  }

  get(key: string): Stored<T> | undefined {
    return this.#cache.get(key);
  }

  list(namespace?: string): Stored<T>[] {
    return this.#cache.list(namespace);
  }

  ownedBy(uid: string): Stored<T>[] {
    return this.#cache.ownedBy(uid);
  }

  /** Keeps objects findable through `indexed(name, value)` by every value that `keysOf` gives. Defining a name again is a no-op. */
  defineIndex(name: string, keysOf: (object: Stored<T>) => readonly string[]): this {
    this.#cache.defineIndex(name, keysOf);
    return this;
  }

  indexed(index: string, value: string): Stored<T>[] {
    return this.#cache.indexed(index, value);
  }

  /** Called for every change, after the cache has it; what is already cached is reported as `added` at once. Returns how to stop. */
  onChange(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    for (const object of this.#cache.list()) handler({ type: 'added', object });
    return () => this.#handlers.delete(handler);
  }

  /** Resolves after the first list is in the cache. */
  async ready(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#synced.promise, aborted(signal)]);
    if (signal.aborted) throw cancelled(signal);
  }

  /** Follows the server until the signal aborts. Never fails: it tries again with back-off. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const revision = await this.#relist(signal);
        failures = 0;
        await this.#follow(revision, signal);
      } catch (error) {
        if (signal.aborted) return;
        const isTooOld = isError(error, 'conflict');
        if (!isTooOld) this.#log.debug('watch interrupted', { kind: this.type.kind, err: error });
        if (!isTooOld || failures > 0) await this.#clock.sleep(backoffMs(relistBackoff, failures), signal).catch(() => undefined);
        failures += 1;
      }
    }
  }

  async #relist(signal: AbortSignal): Promise<string> {
    const list = await this.#client.list(this.type, this.#options, signal);
    const seen = new Set(list.items.map(keyOf));
    for (const [key, object] of [...this.#cache.entries()]) if (!seen.has(key)) this.#drop(object);
    for (const object of list.items) this.#store(object);
    this.#synced.resolve();
    return list.metadata.resourceVersion ?? '';
  }

  /** Returns when too many watches in a row ended at once; the caller lists again. */
  async #follow(from: string, signal: AbortSignal): Promise<void> {
    for (let resourceVersion = from, shortWatches = 0; !signal.aborted; ) {
      const startedAt = this.#clock.now();
      const before = resourceVersion;
      for await (const event of this.#client.watch(this.type, { ...this.#options, resourceVersion }, signal)) {
        resourceVersion = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
        if (event.type === 'BOOKMARK') continue;
        if (event.type === 'DELETED') this.#drop(event.object);
        else this.#store(event.object);
      }
      const isShort = resourceVersion === before && this.#clock.now() - startedAt < shortWatchMs;
      shortWatches = isShort ? shortWatches + 1 : 0;
      if (isShort) await this.#clock.sleep(backoffMs(relistBackoff, shortWatches - 1), signal);
    }
  }

  #store(object: Stored<T>): void {
    const known = this.#cache.get(keyOf(object));
    if (known?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    if (known !== undefined && known.metadata.uid !== object.metadata.uid) this.#drop(known);
    const previous = this.#cache.set(object);
    this.#tell(previous === undefined ? { type: 'added', object } : { type: 'modified', object, previous });
  }

  #drop(object: Stored<T>): void {
    if (this.#cache.remove(keyOf(object)) !== undefined) this.#tell({ type: 'deleted', object });
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) handler(change);
  }
}
