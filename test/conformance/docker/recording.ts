import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plain } from './normalize.ts';

/** What a real dockerd answered. */
export interface Recording {
  /** Version of the daemon that answered. */
  readonly dockerd: string;
  /** By name of the case. */
  readonly cases: Record<string, Plain>;
  /** Of the cases of the command line, by the first number of the client's version. */
  readonly clients: Record<string, Record<string, Plain>>;
}

const path = join(import.meta.dirname, 'recorded.json');

export function readRecording(): Recording {
  return JSON.parse(readFileSync(path, 'utf8')) as Recording;
}

/** Sorted by name, so that a case that is recorded anew changes its own lines only. */
export function writeRecording(recording: Recording): void {
  writeFileSync(path, `${JSON.stringify({ ...recording, cases: sorted(recording.cases), clients: sorted(Object.fromEntries(Object.entries(recording.clients).map(([major, cases]) => [major, sorted(cases)]))) }, null, 1)}\n`);
}

/** Where the answers of a case stand; undefined for a client that was not recorded. */
export function answersFor(recording: Recording, name: string, major: string | undefined): Record<string, Plain> | undefined {
  return isOfClient(name) ? recording.clients[major ?? ''] : recording.cases;
}

/** Whether the answer depends on the version of the command line client. */
export function isOfClient(name: string): boolean {
  return name.startsWith('cli/');
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
