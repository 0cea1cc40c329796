import { objectInvalid } from '../errors.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import type { WriteOptions } from './machine.ts';

/** Which of meta/v1's option types a request's parameters belong to, for messages. */
export type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions' | 'ListOptions';

/** 422 about the parameters of a request. */
export function invalidOptions(kind: OptionsKind, errors: FieldErrors): Error {
  return objectInvalid({ group: 'meta.k8s.io', plural: kind.toLowerCase(), kind }, '', errors.places);
}

/** dryRun, fieldValidation and fieldManager of a query. 422 with every mistake. */
export function parseWriteParameters(kind: OptionsKind, query: URLSearchParams, userAgent: string): Omit<WriteOptions, 'user' | 'warnings'> {
  const errors = new FieldErrors();
  const dryRun = checkDryRun(query.getAll('dryRun'), errors);
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (fieldValidation !== 'Strict' && fieldValidation !== 'Warn' && fieldValidation !== 'Ignore') errors.unsupported('fieldValidation', fieldValidation, ['', 'Ignore', 'Strict', 'Warn']);
  const named = query.get('fieldManager') ?? '';
  if (named.length > 128) errors.tooLong('fieldManager', 128);
  // Printable, as Go's unicode.IsPrint sees it: letters, marks, numbers, punctuation, symbols and the blank.
  if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u.test(named)) errors.invalid('fieldManager', named, 'should only contain printable characters');
  if (errors.places.length > 0) throw invalidOptions(kind, errors);
  const agent = userAgent.split('/')[0] ?? 'unknown';
  return { dryRun, fieldValidation: fieldValidation as WriteOptions['fieldValidation'], fieldManager: named === '' ? agent : named, isManagerNamed: named !== '' };
}

/** `All` is the only kind of dry run. */
export function checkDryRun(values: readonly unknown[], errors: FieldErrors): boolean {
  const given = values.filter((value) => value !== '' && value !== undefined && value !== null);
  for (const value of given) if (value !== 'All') errors.unsupported('dryRun', value, ['All']);
  return given.length > 0;
}
