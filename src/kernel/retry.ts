import { type Clock, systemClock, throwIfAborted } from './clock.ts';
import { GantryError, isError } from './errors.ts';

export interface Backoff {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** 0 to 1: the share of the delay that is random. */
  readonly jitter: number;
}

/** The delay before attempt `attempt + 1`, `attempt` counting from 0. */
export function backoffMs(backoff: Backoff, attempt: number, random: () => number = Math.random): number {
  const full = Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** attempt);
  return full * (1 - backoff.jitter * random());
}

/** Tries until `attempt` returns, `isRetryable` says no, `attempts` are used up, or the signal aborts. */
export async function retry<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  options: { attempts: number; backoff: Backoff; isRetryable?: (error: unknown) => boolean; clock?: Clock },
  signal: AbortSignal,
): Promise<T> {
  const isRetryable = options.isRetryable ?? ((error) => isError(error, 'unavailable', 'timeout', 'conflict'));
  const clock = options.clock ?? systemClock;
  for (let tries = 0; ; tries += 1) {
    throwIfAborted(signal);
    try {
      return await attempt(signal);
    } catch (error) {
      if (signal.aborted || tries + 1 >= options.attempts || !isRetryable(error)) throw error;
      await clock.sleep(backoffMs(options.backoff, tries), signal);
    }
  }
}

/** Polls `probe` until it returns a value that is not undefined; `timeout` names `what` after `timeoutMs`. */
export async function pollUntil<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  options: { timeoutMs: number; intervalMs?: number; clock?: Clock },
  signal: AbortSignal,
): Promise<T> {
  const clock = options.clock ?? systemClock;
  const deadline = clock.now() + options.timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (clock.now() >= deadline) throw new GantryError('timeout', `timed out waiting for ${what}`);
    await clock.sleep(options.intervalMs ?? 25, signal);
  }
}
