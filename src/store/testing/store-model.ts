import type { StoreEntry, StoreEvent, StoreList } from '../object-store.ts';

/** An object store as the specification says it, in the simplest way: all history in one list. Refusals are error codes. */
export class StoreModel {
  readonly #events: StoreEvent[] = [];
  compacted = 0;

  get revision(): number {
    return this.#events.length;
  }

  get(key: string, revision = this.revision): StoreEntry | undefined {
    return this.#events.findLast((event) => event.revision <= revision && event.key === key)?.current;
  }

  put(key: string, value: string, expected: number | undefined): StoreEntry | string {
    const previous = this.get(key);
    const refused = refusal(previous, expected);
    if (refused !== undefined) return refused;
    const revision = this.revision + 1;
    const current = { key, value, createRevision: previous?.createRevision ?? revision, modRevision: revision };
    this.#events.push({ revision, key, current, ...(previous === undefined ? {} : { previous }) });
    return current;
  }

  delete(key: string, expected: number | undefined): StoreEvent | string {
    const previous = this.get(key);
    if (previous === undefined) return 'not-found';
    const refused = refusal(previous, expected);
    if (refused !== undefined) return refused;
    const event = { revision: this.revision + 1, key, previous };
    this.#events.push(event);
    return event;
  }

  list(prefix: string, revision: number, limit: number): StoreList | string {
    if (revision !== this.revision && revision < this.compacted) return 'conflict';
    const keys = [...new Set(this.#events.map(({ key }) => key))].filter((key) => key.startsWith(prefix)).toSorted();
    const entries = keys.flatMap((key) => this.get(key, revision) ?? []);
    const shown = limit === 0 ? entries : entries.slice(0, limit);
    return { entries: shown, revision, remaining: entries.length - shown.length };
  }

  history(prefix: string, revision: number): readonly StoreEvent[] | string {
    return revision < this.compacted ? 'conflict' : this.events(prefix, revision);
  }

  /** As `history`, with what was compacted. */
  events(prefix: string, revision: number): StoreEvent[] {
    return this.#events.filter((event) => event.revision > revision && event.key.startsWith(prefix));
  }

  compact(revision: number): void {
    this.compacted = Math.max(this.compacted, Math.min(revision, this.revision));
  }
}

function refusal(previous: StoreEntry | undefined, expected: number | undefined): string | undefined {
  const current = previous?.modRevision ?? 0;
  if (expected === undefined || expected === current) return undefined;
  return expected === 0 ? 'already-exists' : 'conflict';
}
