import type { z } from 'zod';
import { GantryError, type ErrorPlace } from './errors.ts';

/** Parses outside data with a schema. `invalid`, one place per problem with its field path, names `what` and its `file`. */
export function parseWith<S extends z.ZodType>(schema: S, input: unknown, what: string, file?: string): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map((issue): ErrorPlace => ({ field: issue.path.join('.'), message: issue.message, ...(file === undefined ? {} : { file }) }));
  const list = places.map((place) => (place.field === '' ? place.message : `${place.field}: ${place.message}`)).join('; ');
  throw new GantryError('invalid', `${what}: ${list}`, { places });
}
