import type { ObjectStore, StoreEntry, StoreEvent } from '../../../store/mod.ts';
import type { ApiObject } from '../kinds/kind.ts';
import { StoredObject, toStoredText } from './stored-object.ts';

/** A change as watchers see it. No `current`: deleted, and `previous` carries the revision of the deletion. */
export interface ObjectChange {
  readonly revision: number;
  readonly current?: StoredObject;
  readonly previous?: StoredObject;
}

export type ChangeListener = (changes: readonly ObjectChange[]) => void;

/** What the server keeps for itself; no objects. */
const internalPrefix = '/internal/';

/** All objects of one key prefix such as `/core/pods/`, in key order. */
class KindObjects {
  readonly objects = new Map<string, StoredObject>();
  readonly keys: string[] = [];
  readonly listeners = new Set<ChangeListener>();

  set(object: StoredObject): void {
    if (!this.objects.has(object.key)) this.keys.splice(position(this.keys, object.key), 0, object.key);
    this.objects.set(object.key, object);
  }

  delete(key: string): void {
    if (this.objects.delete(key)) this.keys.splice(position(this.keys, key), 1);
  }
}

/**
 * Every object in memory, always as new as the store: reads need no disk, and all watches share one subscription.
 * Writes go through to the store with optimistic concurrency.
 */
export class ObjectCache implements Disposable {
  readonly #store: ObjectStore;
  readonly #kinds = new Map<string, KindObjects>();
  /** Objects being written, so that the text need not be parsed again. */
  readonly #writing = new Map<string, { text: string; object: ApiObject }>();
  readonly #unsubscribe: () => void;

  private constructor(store: ObjectStore) {
    this.#store = store;
    this.#unsubscribe = store.subscribe((events) => this.#apply(events));
  }

  static async open(store: ObjectStore): Promise<ObjectCache> {
    const cache = new ObjectCache(store);
    const { entries } = await store.list('/');
    for (const entry of entries) {
      if (entry.key.startsWith(internalPrefix)) continue;
      const known = cache.get(entry.key);
      if (known === undefined || known.revision < entry.modRevision) cache.#kindOf(entry.key).set(new StoredObject(entry));
    }
    return cache;
  }

  get revision(): number {
    return this.#store.revision;
  }

  get compactedRevision(): number {
    return this.#store.compactedRevision;
  }

  get(key: string): StoredObject | undefined {
    return this.#kinds.get(kindPrefix(key))?.objects.get(key);
  }

  /** Objects in key order whose key starts with `prefix` and comes after `afterKey`. */
  *list(prefix: string, afterKey = ''): Generator<StoredObject, void, undefined> {
    const kind = this.#kinds.get(kindPrefix(prefix));
    if (kind === undefined) return;
    // Readers may pause while keys change: the position is found again from the key.
    const from = afterKey > prefix ? position(kind.keys, `${afterKey}\0`) : position(kind.keys, prefix);
    for (let index = from; index < kind.keys.length; index += 1) {
      const key = kind.keys[index] ?? '';
      if (!key.startsWith(prefix)) return;
      const object = kind.objects.get(key);
      if (object !== undefined) yield object;
    }
  }

  /** How many objects there are of a kind. */
  count(keyPrefix: string): number {
    return this.#kinds.get(keyPrefix)?.objects.size ?? 0;
  }

  /** The kinds' key prefixes with the number of their objects. */
  counts(): [keyPrefix: string, count: number][] {
    return [...this.#kinds].map(([prefix, { objects }]) => [prefix, objects.size]);
  }

  /** A page of the state at an older revision, from the store's history. */
  async listAt(prefix: string, revision: number, afterKey: string, limit: number): Promise<{ objects: StoredObject[]; remaining: number }> {
    const page = await this.#store.list(prefix, { revision, afterKey, limit });
    return { objects: page.entries.map((entry) => this.#sharedOr(entry)), remaining: page.remaining };
  }

  /** Changes after `revision` of one kind, from the store's history. */
  async changesAfter(prefix: string, revision: number): Promise<ObjectChange[]> {
    return (await this.#store.eventsAfter(prefix, revision)).map((event) => this.#toChange(event));
  }

  /** Calls `listener` with the changes of a kind as they happen. */
  listen(keyPrefix: string, listener: ChangeListener): () => void {
    const kind = this.#kindOf(keyPrefix);
    kind.listeners.add(listener);
    return () => kind.listeners.delete(listener);
  }

  /** Writes the object; `expectedRevision` as in the store's `put`. The object belongs to the cache afterwards. */
  async put(key: string, object: ApiObject, expectedRevision: number): Promise<StoredObject> {
    const text = toStoredText(object);
    const writing = { text, object };
    this.#writing.set(key, writing);
    try {
      const entry = await this.#store.put(key, text, expectedRevision);
      const current = this.get(key);
      return current?.revision === entry.modRevision ? current : new StoredObject(entry);
    } finally {
      if (this.#writing.get(key) === writing) this.#writing.delete(key);
    }
  }

  /** Removes the object and returns its last state, with the revision of the deletion. */
  async delete(key: string, expectedRevision: number): Promise<StoredObject | undefined> {
    const event = await this.#store.delete(key, expectedRevision);
    return event.previous === undefined ? undefined : new StoredObject(event.previous, event.revision);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#kinds.clear();
  }

  #apply(events: readonly StoreEvent[]): void {
    const told = new Map<KindObjects, ObjectChange[]>();
    for (const event of events) {
      if (event.key.startsWith(internalPrefix)) continue;
      const kind = this.#kindOf(event.key);
      const previous = kind.objects.get(event.key);
      const change = this.#toLiveChange(event, previous);
      if (change.current === undefined) kind.delete(event.key);
      else kind.set(change.current);
      const changes = told.get(kind);
      if (changes === undefined) told.set(kind, [change]);
      else changes.push(change);
    }
    for (const [kind, changes] of told) for (const listener of kind.listeners) listener(changes);
  }

  #toLiveChange({ key, revision, current, previous }: StoreEvent, known: StoredObject | undefined): ObjectChange {
    if (current !== undefined) {
      const writing = this.#writing.get(key);
      const object = writing?.text === current.value ? writing.object : undefined;
      return { revision, current: new StoredObject(current, revision, object), ...(known === undefined ? {} : { previous: known }) };
    }
    return { revision, ...(previous === undefined ? {} : { previous: new StoredObject(previous, revision) }) };
  }

  #toChange({ revision, current, previous }: StoreEvent): ObjectChange {
    if (current === undefined) return { revision, ...(previous === undefined ? {} : { previous: new StoredObject(previous, revision) }) };
    return { revision, current: this.#sharedOr(current), ...(previous === undefined ? {} : { previous: new StoredObject(previous) }) };
  }

  #sharedOr(entry: StoreEntry): StoredObject {
    const current = this.get(entry.key);
    return current?.revision === entry.modRevision ? current : new StoredObject(entry);
  }

  #kindOf(key: string): KindObjects {
    const prefix = kindPrefix(key);
    let kind = this.#kinds.get(prefix);
    if (kind === undefined) this.#kinds.set(prefix, (kind = new KindObjects()));
    return kind;
  }
}

/** `/group/plural/` of a key. */
function kindPrefix(key: string): string {
  return key.slice(0, key.indexOf('/', key.indexOf('/', 1) + 1) + 1);
}

/** Where `key` is or would be in the sorted keys. */
function position(keys: readonly string[], key: string): number {
  let low = 0;
  for (let high = keys.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
