import type { ErrorCode } from './errors.ts';

/** The HTTP statuses of edges whose answers are plain text for people and scripts: git hosting and the web listener, which share a port. Protocols with error formats of their own have tables of their own. */
export const plainHttpStatuses = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'precondition-failed': 412,
  exhausted: 507,
  unavailable: 503,
  timeout: 504,
  cancelled: 503,
  unsupported: 501,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;
