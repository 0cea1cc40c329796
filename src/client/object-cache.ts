import { keyOf, type KubeObject, type Stored } from '../api/mod.ts';

/** Objects by key, with the indexes every controller asks for. Objects are shared: never change them. */
export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<string, Stored<T>>();
  readonly #byNamespace = new Map<string, Map<string, Stored<T>>>();
  readonly #byOwner = new Map<string, Map<string, Stored<T>>>();
  readonly #indexes = new Map<string, { keysOf: (object: Stored<T>) => readonly string[]; entries: Map<string, Map<string, Stored<T>>> }>();

  get(key: string): Stored<T> | undefined {
    return this.#objects.get(key);
  }

  list(namespace?: string): Stored<T>[] {
    return namespace === undefined ? [...this.#objects.values()] : valuesOf(this.#byNamespace, namespace);
  }

  ownedBy(uid: string): Stored<T>[] {
    return valuesOf(this.#byOwner, uid);
  }

  /** Keeps the objects findable by what `keysOf` gives. Defining a name again is a no-op. */
  defineIndex(name: string, keysOf: (object: Stored<T>) => readonly string[]): void {
    if (this.#indexes.has(name)) return;
    const index = { keysOf, entries: new Map<string, Map<string, Stored<T>>>() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) for (const value of keysOf(object)) put(index.entries, value, key, object);
  }

  /** The objects whose index `name` has `value`; nothing when there is no such index. */
  indexed(name: string, value: string): Stored<T>[] {
    const index = this.#indexes.get(name);
    return index === undefined ? [] : valuesOf(index.entries, value);
  }

  entries(): IterableIterator<[string, Stored<T>]> {
    return this.#objects.entries();
  }

  /** Returns the object that was there before. */
  set(object: Stored<T>): Stored<T> | undefined {
    const key = keyOf(object);
    const previous = this.remove(key);
    this.#objects.set(key, object);
    put(this.#byNamespace, object.metadata.namespace ?? '', key, object);
    for (const owner of object.metadata.ownerReferences ?? []) put(this.#byOwner, owner.uid, key, object);
    for (const { keysOf, entries } of this.#indexes.values()) for (const value of keysOf(object)) put(entries, value, key, object);
    return previous;
  }

  /** Returns the object that was there. */
  remove(key: string): Stored<T> | undefined {
    const object = this.#objects.get(key);
    if (object === undefined) return undefined;
    this.#objects.delete(key);
    drop(this.#byNamespace, object.metadata.namespace ?? '', key);
    for (const owner of object.metadata.ownerReferences ?? []) drop(this.#byOwner, owner.uid, key);
    for (const { keysOf, entries } of this.#indexes.values()) for (const value of keysOf(object)) drop(entries, value, key);
    return object;
  }
}

function put<T>(index: Map<string, Map<string, T>>, value: string, key: string, object: T): void {
  const group = index.get(value);
  if (group === undefined) index.set(value, new Map([[key, object]]));
  else group.set(key, object);
}

function drop<T>(index: Map<string, Map<string, T>>, value: string, key: string): void {
  const group = index.get(value);
  group?.delete(key);
  if (group?.size === 0) index.delete(value);
}

function valuesOf<T>(index: ReadonlyMap<string, ReadonlyMap<string, T>>, value: string): T[] {
  return [...(index.get(value)?.values() ?? [])];
}
