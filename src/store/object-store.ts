/** One object as stored. Revisions are the store's: one sequence over all keys, rising by one with each change. */
export interface StoreEntry {
  readonly key: string;
  /** What the writer gave, unchanged. JSON text in practice; the store does not look inside. */
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** One change. No `current`: the key was deleted. No `previous`: it was created. */
export interface StoreEvent {
  readonly revision: number;
  readonly key: string;
  readonly current?: StoreEntry;
  readonly previous?: StoreEntry;
}

export interface StoreListOptions {
  /** At most so many entries. */
  readonly limit?: number;
  /** Only keys after this one: how the next page is asked for. */
  readonly afterKey?: string;
  /** The state as it was at this revision. Default: now. `conflict` with reason `Expired` when it was compacted away. */
  readonly revision?: number;
}

export interface StoreList {
  /** In key order. */
  readonly entries: readonly StoreEntry[];
  /** The revision the list shows. */
  readonly revision: number;
  /** How many entries the limit left out. */
  readonly remaining: number;
}

/**
 * Versioned objects with one global revision. A resolved write is on disk, has been told to all subscribers, and is seen by every later read.
 * Keys are ASCII paths. Suite: testing/object-store-suite.ts.
 */
export interface ObjectStore extends AsyncDisposable {
  /** The revision of the last change that was told to subscribers. 0 for a new store. */
  readonly revision: number;
  get(key: string): Promise<StoreEntry | undefined>;
  /** Entries whose key starts with `prefix`. */
  list(prefix: string, options?: StoreListOptions): Promise<StoreList>;
  /**
   * Writes the value. `expectedRevision` is the modRevision the key must have: 0 means it must not exist (`already-exists`),
   * any other mismatch is `conflict` with details.currentRevision (0 when the key is gone). Absent: whatever is there.
   */
  put(key: string, value: string, expectedRevision?: number): Promise<StoreEntry>;
  /** Removes the key and returns the event. `not-found` when there is none; `conflict` as for `put`. */
  delete(key: string, expectedRevision?: number): Promise<StoreEvent>;
  /** All changes after `revision` of keys with `prefix`, oldest first. `conflict` with reason `Expired` when some were compacted away. */
  eventsAfter(prefix: string, revision: number): Promise<readonly StoreEvent[]>;
  /** Calls `listener` with every later change, in revision order, before the writer hears of it. Returns how to stop. */
  subscribe(listener: (events: readonly StoreEvent[]) => void): () => void;
  /** Forgets changes up to and including `revision`; reads at and watches from an older one are refused afterwards. */
  compact(revision: number): Promise<void>;
  /** Reads at and watches from an older revision than this one are refused. */
  readonly compactedRevision: number;
}

/** The first string after all strings that start with `prefix`. */
export function prefixEnd(prefix: string): string {
  if (prefix === '') return '\u{10ffff}';
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
