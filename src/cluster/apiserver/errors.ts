import { type ErrorPlace, GantryError } from '../../kernel/mod.ts';

/** Which resource an answer is about, for Status details. */
export interface ErrorSubject { readonly group: string; readonly plural: string; readonly kind: string }

/** `pods` or `deployments.apps`. */
export function qualifiedResource({ group, plural }: ErrorSubject): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** 400 BadRequest: the request itself cannot be understood. */
export function badRequest(message: string, cause?: unknown): GantryError {
  return new GantryError('invalid', message, { details: { reason: 'BadRequest' }, ...(cause === undefined ? {} : { cause }) });
}

/** 404 NotFound of one object. */
export function objectNotFound(subject: ErrorSubject, name: string): GantryError {
  return new GantryError('not-found', `${qualifiedResource(subject)} "${name}" not found`, { details: { name, group: subject.group, kind: subject.plural } });
}

/** 404 of a path that nothing serves. */
export function pathNotFound(): GantryError {
  return new GantryError('not-found', 'the server could not find the requested resource');
}

/** 409 AlreadyExists. */
export function objectAlreadyExists(subject: ErrorSubject, name: string): GantryError {
  return new GantryError('already-exists', `${qualifiedResource(subject)} "${name}" already exists`, { details: { name, group: subject.group, kind: subject.plural } });
}

/** 409 Conflict of an update that was made from an older version, or of a precondition. */
export function updateConflict(subject: ErrorSubject, name: string, why = 'the object has been modified; please apply your changes to the latest version and try again'): GantryError {
  return new GantryError('conflict', `Operation cannot be fulfilled on ${qualifiedResource(subject)} "${name}": ${why}`, { details: { name, group: subject.group, kind: subject.plural } });
}

/** 403 Forbidden about one object. */
export function objectForbidden(subject: ErrorSubject, name: string, why: string, places: readonly ErrorPlace[] = []): GantryError {
  return new GantryError('forbidden', `${qualifiedResource(subject)} ${JSON.stringify(name)} is forbidden: ${why}`, { places, details: { name, group: subject.group, kind: subject.plural } });
}

/** 422 Invalid with one cause for each place. */
export function objectInvalid(subject: ErrorSubject, name: string, places: readonly ErrorPlace[]): GantryError {
  const qualified = subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;
  const list = places.map((place) => (place.field === undefined || place.field === '' ? place.message : `${place.field}: ${place.message}`));
  const text = list.length === 1 ? (list[0] ?? '') : `[${list.join(', ')}]`;
  return new GantryError('invalid', `${qualified} ${JSON.stringify(name)} is invalid: ${text}`, { places, details: { name, group: subject.group, kind: subject.kind } });
}

/** 405: the resource exists and does not do this. */
export function methodNotAllowed(): GantryError {
  return new GantryError('unsupported', 'the server does not allow this method on the requested resource', { details: { reason: 'MethodNotAllowed' } });
}

/** 410 Expired: the resourceVersion or continue token is older than the history. `continueToken`: how to go on all the same. */
export function expired(message: string, continueToken?: string): GantryError {
  return new GantryError('conflict', message, { details: { reason: 'Expired', ...(continueToken === undefined ? {} : { continueToken }) } });
}
