import { GantryError, isError } from '../../kernel/mod.ts';

/** The error of an entry that could not be written: `internal` with the entry named, unless the cause is an answer already (a refusal, a broken stream). */
export function unpackError(what: string, entry: string, cause: unknown): unknown {
  if (isError(cause) && cause.details['errno'] === undefined) return cause;
  return new GantryError('internal', `cannot unpack ${what}: entry ${JSON.stringify(entry.slice(0, 300))}`, { cause });
}
