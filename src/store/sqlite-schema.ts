import type { DatabaseSync } from 'node:sqlite';

/** The schema's versions, oldest first; `user_version` says how many a file has had. */
const migrations: readonly string[] = [
  `CREATE TABLE state (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
   INSERT INTO state VALUES (0, 0);
   CREATE TABLE objects (key TEXT PRIMARY KEY, value TEXT NOT NULL, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE history (
     revision INTEGER PRIMARY KEY, key TEXT NOT NULL, is_delete INTEGER NOT NULL, create_revision INTEGER NOT NULL,
     previous_revision INTEGER NOT NULL, previous_create INTEGER NOT NULL, previous_value TEXT);
   CREATE INDEX history_by_previous ON history (key, previous_revision);`,
];

/** Sets how the file is kept (exclusive lock, WAL, FULL: a commit is on disk when it returns) and brings its schema up to date. */
export function migrate(database: DatabaseSync): void {
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  database.exec('PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -8192;');
  const { user_version: had } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (had > migrations.length) throw new Error(`the store was written by a newer version (schema ${had}, known ${migrations.length})`);
  for (const [index, sql] of migrations.entries()) {
    if (index < had) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
