import { type Backoff, backoffMs } from './retry.ts';

/** One second at the fifth failure, five minutes at most. */
export const defaultBackoff: Backoff = { initialMs: 20, factor: 2, maxMs: 300_000, jitter: 0.1 };

/**
 * Keys waiting for work. A key is queued once however often it is added, is never handed out twice at the same time,
 * and is handed out again when it was added while being worked on.
 */
export class WorkQueue<K extends string = string> {
  readonly #backoff: Backoff;
  readonly #ready: K[] = [];
  readonly #queued = new Set<K>();
  readonly #active = new Set<K>();
  readonly #timers = new Map<K, { timer: NodeJS.Timeout; dueAt: number }>();
  readonly #failures = new Map<K, number>();
  readonly #waiters: (() => void)[] = [];

  constructor(backoff: Backoff = defaultBackoff) {
    this.#backoff = backoff;
  }

  get length(): number {
    return this.#ready.length;
  }

  add(key: K): void {
    if (this.#queued.has(key)) return;
    this.#queued.add(key);
    if (!this.#active.has(key)) this.#push(key);
  }

  /** Adds the key after `delayMs`; of several pending delays of a key the earliest counts. */
  addAfter(key: K, delayMs: number): void {
    const dueAt = Date.now() + delayMs;
    const pending = this.#timers.get(key);
    if (pending !== undefined) {
      if (pending.dueAt <= dueAt) return;
      clearTimeout(pending.timer);
    }
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, delayMs);
    timer.unref();
    this.#timers.set(key, { timer, dueAt });
  }

  /** Adds the key after its back-off, which grows until `forget`. Returns the failures in a row. */
  retry(key: K): number {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.addAfter(key, backoffMs(this.#backoff, failures - 1));
    return failures;
  }

  forget(key: K): void {
    this.#failures.delete(key);
  }

  /** The next key, or undefined once the signal aborts. Every key taken must be given back with `done`. */
  async take(signal: AbortSignal): Promise<K | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      const key = this.#ready.shift();
      if (key !== undefined) {
        this.#queued.delete(key);
        this.#active.add(key);
        return key;
      }
      await this.#wait(signal);
    }
  }

  done(key: K): void {
    this.#active.delete(key);
    if (this.#queued.has(key)) this.#push(key);
  }

  /** Drops all pending delays, so that a stopped controller holds no timer. */
  close(): void {
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #push(key: K): void {
    this.#ready.push(key);
    this.#waiters.shift()?.();
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        const index = this.#waiters.indexOf(wake);
        if (index >= 0) this.#waiters.splice(index, 1);
        resolve();
      };
      this.#waiters.push(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
