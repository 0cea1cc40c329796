import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync, type StatementSync } from 'node:sqlite';
import { GantryError } from '../kernel/mod.ts';
import { type ObjectStore, prefixEnd, type StoreEntry, type StoreEvent, type StoreList, type StoreListOptions } from './object-store.ts';
import { migrate } from './sqlite-schema.ts';

interface Row { key: string; value: string; create_revision: number; mod_revision: number }
interface HistoryRow { revision: number; key: string; is_delete: number; create_revision: number; previous_revision: number; previous_create: number; previous_value: string | null }

/** A write waiting for the next transaction. `apply` throws what the writer is told, having written nothing. */
interface PendingWrite {
  apply(revision: number): StoreEvent;
  resolve(event: StoreEvent): void;
  reject(error: unknown): void;
}

/**
 * The store on one SQLite file: WAL, synchronous=FULL, so that a resolved write survives `kill -9` and power loss.
 * Writes of one turn of the event loop share a transaction. A value lives once: the current one beside its key, older ones
 * in the history row of the change that replaced them, so that compaction is one range delete.
 */
export class SqliteObjectStore implements ObjectStore {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #listeners = new Set<(events: readonly StoreEvent[]) => void>();
  #pending: PendingWrite[] = [];
  #revision: number;
  #compacted: number;
  #isClosed = false;

  private constructor(database: DatabaseSync) {
    this.#database = database;
    this.#statements = prepare(database);
    const state = database.prepare('SELECT revision, compacted FROM state').get() as { revision: number; compacted: number };
    this.#revision = state.revision;
    this.#compacted = state.compacted;
  }

  /** Opens or creates the file. `:memory:` keeps nothing. `unavailable` when another process has it open. */
  static async open(path: string): Promise<SqliteObjectStore> {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(path);
    try {
      migrate(database);
      return new SqliteObjectStore(database);
    } catch (error) {
      database.close();
      throw new GantryError('unavailable', `cannot open the object store ${path}`, { cause: error });
    }
  }

  get revision(): number {
    return this.#revision;
  }

  get compactedRevision(): number {
    return this.#compacted;
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    return this.#read(key);
  }

  async list(prefix: string, options: StoreListOptions = {}): Promise<StoreList> {
    const revision = options.revision ?? this.#revision;
    if (revision > this.#revision) throw new GantryError('invalid', `revision ${revision} is in the future`);
    const after = options.afterKey ?? '';
    const end = prefixEnd(prefix);
    const isNow = revision === this.#revision;
    if (!isNow) this.#refuseCompacted(revision);
    const limit = options.limit === undefined || options.limit <= 0 ? -1 : options.limit;
    const bounds = { prefix, end, after };
    const rows = (isNow ? this.#statements.list.all({ ...bounds, limit }) : this.#statements.listAt.all({ ...bounds, limit, revision })) as unknown as Row[];
    const total = limit < 0 || rows.length < limit ? rows.length : this.#count(bounds, isNow ? undefined : revision);
    return { entries: rows.map(toEntry), revision, remaining: total - rows.length };
  }

  async put(key: string, value: string, expectedRevision?: number): Promise<StoreEntry> {
    const event = await this.#enqueue((revision) => {
      const previous = this.#read(key);
      checkExpected(key, previous, expectedRevision);
      const current: StoreEntry = { key, value, createRevision: previous?.createRevision ?? revision, modRevision: revision };
      this.#record(revision, key, previous, current);
      this.#statements.put.run(key, value, current.createRevision, revision);
      return { revision, key, current, ...(previous === undefined ? {} : { previous }) };
    });
    if (event.current === undefined) throw new GantryError('internal', 'a write produced no entry');
    return event.current;
  }

  delete(key: string, expectedRevision?: number): Promise<StoreEvent> {
    return this.#enqueue((revision) => {
      const previous = this.#read(key);
      if (previous === undefined) throw new GantryError('not-found', `no object ${key}`);
      checkExpected(key, previous, expectedRevision);
      this.#record(revision, key, previous, undefined);
      this.#statements.remove.run(key);
      return { revision, key, previous };
    });
  }

  async eventsAfter(prefix: string, revision: number): Promise<readonly StoreEvent[]> {
    this.#refuseCompacted(revision);
    const rows = this.#statements.events.all({ revision, prefix, end: prefixEnd(prefix) }) as unknown as HistoryRow[];
    return rows.map((row) => this.#toEvent(row));
  }

  subscribe(listener: (events: readonly StoreEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether the file is as SQLite wrote it. */
  isIntact(): boolean {
    return (this.#database.prepare('PRAGMA quick_check').get() as { quick_check: string }).quick_check === 'ok';
  }

  /** Copies the store as it is at one moment into a new file, while reads and writes go on. */
  async copyTo(path: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await backup(this.#database, path);
        return;
      } catch (error) {
        // Node's first step meets a transaction of this connection and fails without an error code; nothing has been copied then.
        if (attempt === 100 || !(error instanceof Error && 'errcode' in error && error.errcode === 0)) throw error;
      }
    }
  }

  async compact(revision: number): Promise<void> {
    const upTo = Math.min(revision, this.#revision);
    if (upTo <= this.#compacted) return;
    this.#transaction(() => {
      this.#statements.compact.run(upTo);
      this.#statements.setCompacted.run(upTo);
    });
    this.#compacted = upTo;
    this.#database.exec('PRAGMA incremental_vacuum(2000)');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    this.#listeners.clear();
    this.#database.close();
  }

  #read(key: string): StoreEntry | undefined {
    if (this.#isClosed) throw new GantryError('unavailable', 'the object store is closed');
    const row = this.#statements.get.get(key) as unknown as Row | undefined;
    return row === undefined ? undefined : toEntry(row);
  }

  #count(bounds: { prefix: string; end: string; after: string }, revision: number | undefined): number {
    const row = revision === undefined ? this.#statements.count.get(bounds) : this.#statements.countAt.get({ ...bounds, revision });
    return (row as { total: number }).total;
  }

  #refuseCompacted(revision: number): void {
    if (revision >= this.#compacted) return;
    throw new GantryError('conflict', `too old resource version: ${revision} (${this.#compacted})`, { details: { reason: 'Expired', compactedRevision: this.#compacted } });
  }

  #record(revision: number, key: string, previous: StoreEntry | undefined, current: StoreEntry | undefined): void {
    this.#statements.record.run(revision, key, current === undefined ? 1 : 0, current?.createRevision ?? 0, previous?.modRevision ?? 0, previous?.createRevision ?? 0, previous?.value ?? null);
  }

  #toEvent(row: HistoryRow): StoreEvent {
    const { revision, key } = row;
    const previous = row.previous_value === null ? {} : { previous: { key, value: row.previous_value, createRevision: row.previous_create, modRevision: row.previous_revision } };
    if (row.is_delete === 1) return { revision, key, ...previous };
    const replaced = this.#statements.replacedBy.get(key, revision) as { previous_value: string } | undefined;
    const value = replaced?.previous_value ?? this.#read(key)?.value;
    if (value === undefined) throw new GantryError('internal', `the history of ${key} has no value for revision ${revision}`);
    return { revision, key, current: { key, value, createRevision: row.create_revision, modRevision: revision }, ...previous };
  }

  #enqueue(apply: (revision: number) => StoreEvent): Promise<StoreEvent> {
    if (this.#isClosed) return Promise.reject(new GantryError('unavailable', 'the object store is closed'));
    return new Promise((resolve, reject) => {
      if (this.#pending.push({ apply, resolve, reject }) === 1) setImmediate(() => this.#flush());
    });
  }

  /** One transaction for all waiting writes: a refused one writes nothing, a failed commit fails all. */
  #flush(): void {
    const writes = this.#pending;
    this.#pending = [];
    if (writes.length === 0 || this.#isClosed) return;
    const done: { write: PendingWrite; event: StoreEvent }[] = [];
    const refused: { write: PendingWrite; error: unknown }[] = [];
    try {
      this.#transaction(() => {
        let revision = this.#revision;
        for (const write of writes) {
          try {
            done.push({ write, event: write.apply(revision + 1) });
            revision += 1;
          } catch (error) {
            if (!(error instanceof GantryError)) throw error;
            refused.push({ write, error });
          }
        }
        if (revision !== this.#revision) this.#statements.setRevision.run(revision);
      });
    } catch (error) {
      const failure = new GantryError('unavailable', 'the object store could not write', { cause: error });
      for (const write of writes) write.reject(failure);
      return;
    }
    for (const { write, error } of refused) write.reject(error);
    if (done.length === 0) return;
    const events = done.map(({ event }) => event);
    this.#revision += events.length;
    for (const listener of this.#listeners) listener(events);
    for (const { write, event } of done) write.resolve(event);
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

function checkExpected(key: string, previous: StoreEntry | undefined, expected: number | undefined): void {
  const current = previous?.modRevision ?? 0;
  if (expected === undefined || expected === current) return;
  if (expected === 0) throw new GantryError('already-exists', `${key} already exists`);
  throw new GantryError('conflict', `${key} is at revision ${current}, not ${expected}`, { details: { currentRevision: current } });
}

function toEntry(row: Row): StoreEntry {
  return { key: row.key, value: row.value, createRevision: row.create_revision, modRevision: row.mod_revision };
}

/** The state at an older revision: what has not changed since, and of each key that has, the value its first later change replaced. */
const stateAt = `
  SELECT key, value, create_revision, mod_revision FROM objects WHERE mod_revision <= :revision AND key >= :prefix AND key < :end AND key > :after
  UNION ALL
  SELECT key, previous_value, previous_create, previous_revision FROM history AS change
  WHERE revision > :revision AND previous_revision > 0 AND previous_revision <= :revision AND key >= :prefix AND key < :end AND key > :after`;
const stateNow = 'FROM objects WHERE key >= :prefix AND key < :end AND key > :after';

type Statements = Record<'get' | 'put' | 'remove' | 'list' | 'listAt' | 'count' | 'countAt' | 'record' | 'events' | 'replacedBy' | 'compact' | 'setCompacted' | 'setRevision', StatementSync>;

function prepare(database: DatabaseSync): Statements {
  return {
    get: database.prepare('SELECT key, value, create_revision, mod_revision FROM objects WHERE key = ?'),
    put: database.prepare('INSERT OR REPLACE INTO objects (key, value, create_revision, mod_revision) VALUES (?, ?, ?, ?)'),
    remove: database.prepare('DELETE FROM objects WHERE key = ?'),
    list: database.prepare(`SELECT key, value, create_revision, mod_revision ${stateNow} ORDER BY key LIMIT :limit`),
    listAt: database.prepare(`${stateAt} ORDER BY key LIMIT :limit`),
    count: database.prepare(`SELECT count(*) AS total ${stateNow}`),
    countAt: database.prepare(`SELECT count(*) AS total FROM (${stateAt})`),
    record: database.prepare('INSERT INTO history (revision, key, is_delete, create_revision, previous_revision, previous_create, previous_value) VALUES (?, ?, ?, ?, ?, ?, ?)'),
    events: database.prepare('SELECT * FROM history WHERE revision > :revision AND key >= :prefix AND key < :end ORDER BY revision'),
    replacedBy: database.prepare('SELECT previous_value FROM history WHERE key = ? AND previous_revision = ?'),
    compact: database.prepare('DELETE FROM history WHERE revision <= ?'),
    setCompacted: database.prepare('UPDATE state SET compacted = ?'),
    setRevision: database.prepare('UPDATE state SET revision = ?'),
  };
}
