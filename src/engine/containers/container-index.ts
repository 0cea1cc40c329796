import { GantryError } from '../../kernel/mod.ts';
import type { ContainerEntry } from './container-entry.ts';

/** All containers in memory, found by id, unique id prefix or name. Names are unique and reserved before anything is written. */
export class ContainerIndex {
  readonly #byId = new Map<string, ContainerEntry>();
  readonly #idsByName = new Map<string, string>();

  add(entry: ContainerEntry): void {
    const taken = this.#idsByName.get(entry.spec.name);
    if (taken !== undefined && taken !== entry.id) {
      throw new GantryError('already-exists', `Conflict. The container name "/${entry.spec.name}" is already in use by container "${taken}". You have to remove (or rename) that container to be able to reuse that name.`);
    }
    this.#idsByName.set(entry.spec.name, entry.id);
    this.#byId.set(entry.id, entry);
  }

  rename(entry: ContainerEntry, name: string): void {
    const taken = this.#idsByName.get(name);
    if (taken !== undefined) throw new GantryError('already-exists', `Conflict. The container name "/${name}" is already in use by container "${taken}".`);
    this.#idsByName.delete(entry.spec.name);
    this.#idsByName.set(name, entry.id);
  }

  remove(entry: ContainerEntry): void {
    this.#byId.delete(entry.id);
    this.#idsByName.delete(entry.spec.name);
  }

  get(idOrName: string): ContainerEntry {
    const entry = this.find(idOrName);
    if (entry === undefined) throw new GantryError('not-found', `No such container: ${idOrName}`);
    return entry;
  }

  /** An exact id, then a name, then an id prefix. `invalid` when a prefix fits several. */
  find(idOrName: string): ContainerEntry | undefined {
    const name = idOrName.startsWith('/') ? idOrName.slice(1) : idOrName;
    const exact = this.#byId.get(name) ?? this.#byId.get(this.#idsByName.get(name) ?? '');
    if (exact !== undefined || !/^[0-9a-f]{1,64}$/.test(name)) return exact;
    const matches = [...this.#byId.values()].filter(({ id }) => id.startsWith(name));
    if (matches.length > 1) throw new GantryError('invalid', `Multiple IDs found with provided prefix: ${name}`);
    return matches[0];
  }

  all(): ContainerEntry[] {
    return [...this.#byId.values()];
  }
}
