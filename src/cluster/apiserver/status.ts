import { type ErrorCode, type GantryError, toGantryError } from '../../kernel/mod.ts';

/** A Kubernetes Status object (meta/v1). */
export interface Status {
  readonly [field: string]: unknown;
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly continue?: string };
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: { reason?: string; message: string; field?: string }[];
  readonly retryAfterSeconds?: number;
}

/** Error code → HTTP status and Status reason. */
const answers = {
  invalid: [422, 'Invalid'],
  unauthenticated: [401, 'Unauthorized'],
  forbidden: [403, 'Forbidden'],
  'not-found': [404, 'NotFound'],
  'already-exists': [409, 'AlreadyExists'],
  conflict: [409, 'Conflict'],
  'precondition-failed': [409, 'Conflict'],
  exhausted: [429, 'TooManyRequests'],
  unavailable: [503, 'ServiceUnavailable'],
  timeout: [504, 'Timeout'],
  cancelled: [503, 'ServiceUnavailable'],
  unsupported: [415, 'UnsupportedMediaType'],
  internal: [500, 'InternalError'],
} as const satisfies Record<ErrorCode, readonly [number, string]>;

/** Reasons that `details.reason` may name where the code alone is too coarse. */
const reasons: Readonly<Record<string, number>> = {
  BadRequest: 400,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  Expired: 410,
  RequestEntityTooLarge: 413,
};

/** The Status answer of an error. Internal causes stay in the log. */
export function statusOf(thrown: unknown): Status {
  const error = toGantryError(thrown);
  const [code, reason] = answerOf(error);
  const details = detailsOf(error);
  const message = error.code === 'internal' ? `Internal error occurred: ${error.message}` : error.message;
  const next = error.details['continueToken'];
  return { kind: 'Status', apiVersion: 'v1', metadata: typeof next === 'string' ? { continue: next } : {}, status: 'Failure', message, reason, ...(Object.keys(details).length === 0 ? {} : { details }), code };
}

function answerOf(error: GantryError): readonly [number, string] {
  const reason = error.details['reason'];
  const code = typeof reason === 'string' ? reasons[reason] : undefined;
  return code !== undefined && typeof reason === 'string' ? [code, reason] : answers[error.code];
}

function detailsOf(error: GantryError): StatusDetails {
  const { name, group, kind, uid } = error.details;
  return {
    ...(typeof name === 'string' && name !== '' ? { name } : {}),
    ...(typeof group === 'string' && group !== '' ? { group } : {}),
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(error.places.length === 0 ? {} : { causes: error.places.map(({ reason, message, field }) => ({ ...(reason === undefined ? {} : { reason }), message, ...(field === undefined ? {} : { field }) })) }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(error.retryAfterMs / 1000) }),
  };
}

/** The answer of a deletion that is complete. */
export function successStatus(details: { name: string; group: string; kind: string; uid: string }): Status {
  const { group, ...rest } = details;
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: group === '' ? rest : { ...rest, group }, code: 200 };
}
