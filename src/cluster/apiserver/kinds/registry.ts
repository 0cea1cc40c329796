import { type Kind, apiVersionOfKind } from './kind.ts';

/** The kinds that are served now. Built-in ones stay; custom ones come and go. */
export class KindRegistry {
  readonly #kinds = new Map<string, Kind>();
  readonly #listeners = new Set<() => void>();
  /** Rises with every change: the name of discovery's and OpenAPI's caches. */
  generation = 0;

  constructor(kinds: readonly Kind[]) {
    for (const kind of kinds) this.#kinds.set(keyOfResource(kind.type.group, kind.type.version, kind.type.plural), kind);
  }

  /** The kind served at a group, version and plural name. */
  find(group: string, version: string, plural: string): Kind | undefined {
    return this.#kinds.get(keyOfResource(group, version, plural));
  }

  /** The kind an object's apiVersion and kind name. */
  findByKind(apiVersion: string, kindName: string): Kind | undefined {
    return this.all().find((kind) => kind.type.kind === kindName && apiVersionOfKind(kind) === apiVersion);
  }

  /** The storage version of a group's resource. */
  findStored(group: string, plural: string): Kind | undefined {
    return this.all().find((kind) => kind.type.group === group && kind.type.plural === plural && kind.type.version === kind.storageVersion && kind.conversion === undefined);
  }

  all(): Kind[] {
    return [...this.#kinds.values()];
  }

  /** Replaces the custom kinds of one group and plural name; none takes them away. */
  replaceCustom(group: string, plural: string, kinds: readonly Kind[]): void {
    for (const [key, kind] of this.#kinds) if (kind.isCustom && kind.type.group === group && kind.type.plural === plural) this.#kinds.delete(key);
    for (const kind of kinds) this.#kinds.set(keyOfResource(kind.type.group, kind.type.version, kind.type.plural), kind);
    this.generation += 1;
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function keyOfResource(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}
