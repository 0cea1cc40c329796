import { type ErrorCode, formatPlace, type GantryError } from '../../kernel/mod.ts';

/** The status that the Docker Engine API has for each kind of error. */
const statuses = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'precondition-failed': 412,
  exhausted: 413,
  unavailable: 503,
  timeout: 504,
  cancelled: 499,
  // What this engine does not do is a fault of the request for a client: it must not be tried again.
  unsupported: 400,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** Status and body of an error answer (Docker Engine API, "Errors"). Unlike a public server's, internal messages are told: the caller owns the machine. */
export function errorAnswer(error: GantryError): { status: number; body: string } {
  return { status: statuses[error.code], body: JSON.stringify({ message: errorMessage(error) }) };
}

/** The message with the places it speaks of, when it does not name them itself. */
export function errorMessage(error: GantryError): string {
  const places = error.places.filter((place) => !error.message.includes(place.message)).map(formatPlace);
  const cause = error.code === 'internal' && error.cause instanceof Error && !error.message.includes(error.cause.message) ? `: ${error.cause.message}` : '';
  return `${error.message}${cause}${places.length === 0 ? '' : ` (${places.join('; ')})`}`;
}
