import { keyOf, type KubeObject, type ResourceType, type Stored } from '../api/mod.ts';
import { type Backoff, backoffMs, isError, type Logger, systemClock } from '../kernel/mod.ts';
import type { KubeClient, ListOptions } from './client.ts';

export type Change<T extends KubeObject> =
  | { type: 'added'; object: Stored<T> }
  | { type: 'modified'; object: Stored<T>; previous: Stored<T> }
  | { type: 'deleted'; object: Stored<T> };

/** Read access to a cache that follows the API server. Objects are shared: never change them, copy first. */
export interface Lister<T extends KubeObject> {
  get(key: string): Stored<T> | undefined;
  list(namespace?: string): Stored<T>[];
  /** Objects whose `metadata.ownerReferences` name this controller uid. */
  ownedBy(uid: string): Stored<T>[];
}

const relistBackoff: Backoff = { initialMs: 50, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** Lists once, then watches, and lists again when the watch is too old. One per kind and selector is enough for a process. */
export class Informer<T extends KubeObject> implements Lister<T> {
  readonly name: string;
  readonly #client: KubeClient;
  readonly #type: ResourceType<T>;
  readonly #options: ListOptions;
  readonly #log: Logger;
  readonly #objects = new Map<string, Stored<T>>();
  readonly #byOwner = new Map<string, Map<string, Stored<T>>>();
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #synced = Promise.withResolvers<void>();

  constructor(client: KubeClient, type: ResourceType<T>, options: ListOptions, log: Logger) {
    this.#client = client;
    this.#type = type;
    this.#options = options;
    this.#log = log;
    this.name = `informer ${type.plural}`;
  }

  get(key: string): Stored<T> | undefined {
    return this.#objects.get(key);
  }

  list(namespace?: string): Stored<T>[] {
    const all = [...this.#objects.values()];
    return namespace === undefined ? all : all.filter((object) => object.metadata.namespace === namespace);
  }

  ownedBy(uid: string): Stored<T>[] {
    return [...(this.#byOwner.get(uid)?.values() ?? [])];
  }

  /** Called for every change; what is already cached is reported as `added` at once. Returns how to stop. */
  onChange(handler: (change: Change<T>) => void): () => void {
    this.#handlers.add(handler);
    for (const object of this.#objects.values()) handler({ type: 'added', object });
    return () => this.#handlers.delete(handler);
  }

  /** Resolves after the first list is in the cache. */
  ready(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      void this.#synced.promise.then(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const revision = await this.#relist(signal);
        failures = 0;
        await this.#follow(revision, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isError(error, 'conflict')) this.#log.debug('watch interrupted', { kind: this.#type.kind, err: error });
        await systemClock.sleep(backoffMs(relistBackoff, failures++), signal).catch(() => undefined);
      }
    }
  }

  async #relist(signal: AbortSignal): Promise<string> {
    const list = await this.#client.list(this.#type, this.#options, signal);
    const seen = new Set(list.items.map(keyOf));
    for (const object of list.items) this.#store(object);
    for (const [key, object] of this.#objects) if (!seen.has(key)) this.#drop(key, object);
    this.#synced.resolve();
    return list.metadata.resourceVersion ?? '';
  }

  async #follow(from: string, signal: AbortSignal): Promise<void> {
    for (let resourceVersion = from; !signal.aborted; ) {
      for await (const event of this.#client.watch(this.#type, { ...this.#options, resourceVersion }, signal)) {
        if (event.type === 'BOOKMARK') {
          resourceVersion = event.resourceVersion;
          continue;
        }
        resourceVersion = event.object.metadata.resourceVersion;
        if (event.type === 'DELETED') this.#drop(keyOf(event.object), event.object);
        else this.#store(event.object);
      }
    }
  }

  #store(object: Stored<T>): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (previous?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    if (previous !== undefined) this.#unindex(key, previous);
    this.#objects.set(key, object);
    for (const owner of object.metadata.ownerReferences ?? []) {
      const owned = this.#byOwner.get(owner.uid) ?? new Map<string, Stored<T>>();
      this.#byOwner.set(owner.uid, owned.set(key, object));
    }
    this.#tell(previous === undefined ? { type: 'added', object } : { type: 'modified', object, previous });
  }

  #drop(key: string, object: Stored<T>): void {
    const previous = this.#objects.get(key);
    if (previous === undefined) return;
    this.#objects.delete(key);
    this.#unindex(key, previous);
    this.#tell({ type: 'deleted', object });
  }

  #unindex(key: string, object: Stored<T>): void {
    for (const owner of object.metadata.ownerReferences ?? []) {
      const owned = this.#byOwner.get(owner.uid);
      owned?.delete(key);
      if (owned?.size === 0) this.#byOwner.delete(owner.uid);
    }
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) handler(change);
  }
}
