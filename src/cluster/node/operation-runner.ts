import { type Backoff, backoffMs, formatError, isError } from '../../kernel/mod.ts';
import type { OperationFailure } from './pod-view.ts';

interface Running { readonly abort: AbortController; readonly done: Promise<void> }

/** The pod's operations that are under way, and what the failed ones wait for. Of one name only one runs at a time. */
export class OperationRunner {
  readonly #running = new Map<string, Running>();
  readonly #failures = new Map<string, OperationFailure>();
  readonly #onEnd: () => void;

  /** `onEnd` is called after every operation, failed or not. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  get running(): ReadonlySet<string> {
    return new Set(this.#running.keys());
  }

  get failures(): ReadonlyMap<string, OperationFailure> {
    return this.#failures;
  }

  /** Starts the operation unless it runs. A failure is kept with its back-off; `onFailure` gets it once. */
  start(name: string, defaultReason: string, backoff: Backoff, work: (signal: AbortSignal) => Promise<void>, onFailure: (failure: OperationFailure, error: unknown) => void, signal: AbortSignal): void {
    if (this.#running.has(name)) return;
    const abort = new AbortController();
    const done = this.#run(name, defaultReason, backoff, work, onFailure, AbortSignal.any([signal, abort.signal]));
    this.#running.set(name, { abort, done });
  }

  /** Ends the operations the filter names; they are no failures. */
  abort(isMeant: (name: string) => boolean): void {
    for (const [name, { abort }] of this.#running) if (isMeant(name)) abort.abort();
  }

  /** Lets failed operations be tried at once: what they lacked may have come. */
  forgive(isMeant: (name: string) => boolean): void {
    for (const [name, failure] of this.#failures) if (isMeant(name)) this.#failures.set(name, { ...failure, retryAtMs: 0 });
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run(name: string, defaultReason: string, backoff: Backoff, work: (signal: AbortSignal) => Promise<void>, onFailure: (failure: OperationFailure, error: unknown) => void, signal: AbortSignal): Promise<void> {
    // Gives `start` the chance to note the operation before it can end.
    await Promise.resolve();
    try {
      await work(signal);
      this.#failures.delete(name);
    } catch (error) {
      if (!signal.aborted) onFailure(this.#fail(name, defaultReason, backoff, error), error);
    } finally {
      this.#running.delete(name);
      this.#onEnd();
    }
  }

  #fail(name: string, defaultReason: string, backoff: Backoff, error: unknown): OperationFailure {
    const failures = (this.#failures.get(name)?.failures ?? 0) + 1;
    const given = isError(error) ? error.details['reason'] : undefined;
    const failure: OperationFailure = {
      reason: typeof given === 'string' ? given : defaultReason,
      message: formatError(error),
      failures,
      retryAtMs: Date.now() + backoffMs(backoff, failures - 1),
    };
    this.#failures.set(name, failure);
    return failure;
  }
}
