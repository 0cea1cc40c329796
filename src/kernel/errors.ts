/** The closed list of what can go wrong. Every edge maps it with a table `satisfies Record<ErrorCode, …>`. */
export const errorCodes = [
  'invalid',
  'unauthenticated',
  'forbidden',
  'not-found',
  'already-exists',
  'conflict',
  'precondition-failed',
  'exhausted',
  'unavailable',
  'timeout',
  'cancelled',
  'unsupported',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One place in the user's input. Lines and columns count from 1; `field` is a path such as `spec.replicas`. */
export interface ErrorPlace {
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly field?: string;
  /** A machine-readable reason of the edge's own vocabulary, for example `FieldValueRequired`. */
  readonly reason?: string;
}

export interface GantryErrorOptions {
  readonly cause?: unknown;
  readonly places?: readonly ErrorPlace[];
  /** Facts an edge may report in its own shape (kind, name, digest). Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The earliest time after which a retry makes sense. */
  readonly retryAfterMs?: number;
}

/** The only error class. `code` decides what edges answer; the message is for people and is never compared. */
export class GantryError extends Error {
  override readonly name = 'GantryError';
  readonly code: ErrorCode;
  readonly places: readonly ErrorPlace[];
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: GantryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.places = options.places ?? [];
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Whether `error` is a GantryError, of one of `codes` when any are given. */
export function isError(error: unknown, ...codes: ErrorCode[]): error is GantryError {
  return error instanceof GantryError && (codes.length === 0 || codes.includes(error.code));
}

/** Any thrown value as a GantryError: aborts become `cancelled` or `timeout`, the rest `internal`, with the cause kept. */
export function toGantryError(error: unknown): GantryError {
  if (error instanceof GantryError) return error;
  if (error instanceof Error) {
    if (error.name === 'AbortError') return new GantryError('cancelled', error.message, { cause: error });
    if (error.name === 'TimeoutError') return new GantryError('timeout', error.message, { cause: error });
    return new GantryError('internal', error.message, { cause: error });
  }
  return new GantryError('internal', String(error));
}

/** `file:line:column: message`, leaving out what is not known. The form every parser error is printed in. */
export function formatPlace(place: ErrorPlace): string {
  const position = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  return [position, place.field, place.message].filter((part) => part !== undefined && part !== '').join(': ');
}

/** The error and its chain of causes as one line, for logs and terminals. */
export function formatError(error: unknown): string {
  const parts: string[] = [];
  for (let current: unknown = error; current !== undefined && parts.length < 5; ) {
    const message = current instanceof Error ? current.message : JSON.stringify(current);
    if (!parts.some((part) => part.includes(message))) parts.push(message);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}

/** A POSIX error code such as `ENOENT` of a Node system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
