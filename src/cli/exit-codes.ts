import type { ErrorCode } from '../kernel/mod.ts';

/** What the process exits with for each kind of error; shown by `gantry --help`. */
export const exitCodes = {
  internal: 1,
  invalid: 2,
  'not-found': 3,
  'already-exists': 4,
  conflict: 5,
  'precondition-failed': 6,
  unauthenticated: 7,
  forbidden: 8,
  exhausted: 9,
  unavailable: 10,
  timeout: 11,
  unsupported: 12,
  cancelled: 130,
} as const satisfies Record<ErrorCode, number>;

/** What `gantry doctor` exits with when it found something. */
export const doctorStatuses = { repaired: 20, found: 21 } as const;

/** `0 done`, then every code with its meaning, in order. */
export function exitCodeHelp(): string {
  const lines = Object.entries(exitCodes).map(([code, status]) => `${status} ${code}`);
  return ['0 done', ...lines].join(', ');
}
