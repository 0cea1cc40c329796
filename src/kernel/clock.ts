import { GantryError } from './errors.ts';

/** Time as a dependency, so that back-off, probes and stabilisation windows are table-tested without waiting. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason as `cancelled` when aborted. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(cancelled(signal));
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, delayMs);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(cancelled(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
    }),
};

/** The signal's reason as an error of this program: a GantryError stays what it is, all else is `cancelled`. */
export function cancelled(signal: AbortSignal): GantryError {
  const reason: unknown = signal.reason;
  if (reason instanceof GantryError) return reason;
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    return new GantryError('timeout', 'the time limit was reached', { cause: reason });
  }
  return new GantryError('cancelled', 'cancelled', { cause: reason });
}

/** Throws `cancelled` (or the signal's own GantryError) when the signal is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw cancelled(signal);
}

/** A signal that aborts with `parent`, or with code `timeout` after `timeoutMs`. */
export function withTimeout(parent: AbortSignal, timeoutMs: number): AbortSignal {
  return AbortSignal.any([parent, AbortSignal.timeout(timeoutMs)]);
}
