import { keyOf, type KubeObject, type Stored } from '../api/mod.ts';
import { isError, type Logger, type Service, systemClock, withTimeout, WorkQueue } from '../kernel/mod.ts';
import type { Change, Informer } from './informer.ts';

/** What a planner decided. `status` undefined: leave it as it is. */
export interface Plan<Action, Status> {
  readonly actions: readonly Action[];
  readonly status?: Status;
  /** Look again after this time even if nothing changes. */
  readonly requeueAfterMs?: number;
}

/**
 * A controller in four parts: observe (read caches), plan (pure), act (write), report (status).
 * Keys are `namespace/name`. An observe that returns undefined means there is nothing to do for the key.
 */
export interface Reconciler<Observed, Action, Status> {
  readonly name: string;
  observe(key: string, signal: AbortSignal): Promise<Observed | undefined> | Observed | undefined;
  plan(observed: Observed): Plan<Action, Status>;
  /** Must be idempotent: after a crash or a stale cache it runs again. */
  act(action: Action, observed: Observed, signal: AbortSignal): Promise<void>;
  report?(status: Status, observed: Observed, signal: AbortSignal): Promise<void>;
}

/** One pass over one key, for metrics. */
export interface PassReport {
  readonly controller: string;
  readonly key: string;
  readonly durationMs: number;
  /** Keys that wait behind this one. */
  readonly queueLength: number;
  readonly error?: unknown;
  /** 0 after a success. */
  readonly failuresInARow: number;
}

export interface ControllerOptions {
  readonly workers?: number;
  /** Limit of one pass over one key. Default 30 s. */
  readonly timeoutMs?: number;
  /** What happens to a pass that failed; for metrics and events. */
  readonly onFailure?: (key: string, error: unknown, failuresInARow: number) => void;
  /** Told after every pass. */
  readonly onPass?: (report: PassReport) => void;
}

/** Runs a reconciler: feeds it keys from informers, owns retry, back-off and time limits. It begins when the informers it uses have their first list. */
export class Controller<Observed, Action, Status> implements Service {
  readonly name: string;
  readonly #reconciler: Reconciler<Observed, Action, Status>;
  readonly #options: ControllerOptions;
  readonly #log: Logger;
  readonly #queue = new WorkQueue();
  readonly #sources = new Set<{ ready(signal: AbortSignal): Promise<void> }>();

  constructor(reconciler: Reconciler<Observed, Action, Status>, options: ControllerOptions, log: Logger) {
    this.name = reconciler.name;
    this.#reconciler = reconciler;
    this.#options = options;
    this.#log = log.with({ controller: reconciler.name });
  }

  /**
   * Queues the keys that `keysOf` gives for every changed object (and for its previous version). Default: its own key.
   * `isRelevant` keeps changes away that need no pass, such as the controller's own status writes or heartbeats.
   */
  watch<T extends KubeObject>(informer: Informer<T>, keysOf: (object: Stored<T>) => readonly string[] = (object) => [keyOf(object)], isRelevant: (change: Change<T>) => boolean = () => true): this {
    informer.onChange((change) => {
      if (!isRelevant(change)) return;
      for (const key of keysOf(change.object)) this.#queue.add(key);
      if (change.type === 'modified') for (const key of keysOf(change.previous)) this.#queue.add(key);
    });
    return this.reads(informer);
  }

  /** Names an informer that the reconciler reads without being woken by it. */
  reads(informer: { ready(signal: AbortSignal): Promise<void> }): this {
    this.#sources.add(informer);
    return this;
  }

  enqueue(key: string): void {
    this.#queue.add(key);
  }

  enqueueAfter(key: string, delayMs: number): void {
    this.#queue.addAfter(key, delayMs);
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      // An empty cache would look like a cluster without objects: too much would be made, or removed.
      await Promise.all([...this.#sources].map((source) => source.ready(signal)));
      await Promise.all(Array.from({ length: this.#options.workers ?? 2 }, () => this.#work(signal)));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#queue.close();
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const key = await this.#queue.take(signal);
      if (key === undefined) return;
      await this.#pass(key, signal);
      this.#queue.done(key);
    }
  }

  async #pass(key: string, signal: AbortSignal): Promise<void> {
    const startedAt = systemClock.now();
    const tell = (error: unknown, failuresInARow: number): void =>
      this.#options.onPass?.({ controller: this.name, key, durationMs: systemClock.now() - startedAt, queueLength: this.#queue.length, error, failuresInARow });
    try {
      await this.#reconcile(key, withTimeout(signal, this.#options.timeoutMs ?? 30_000));
      this.#queue.forget(key);
      tell(undefined, 0);
    } catch (error) {
      if (signal.aborted) return;
      const failures = this.#queue.retry(key);
      // A conflict means the cache was a moment behind; the next pass sees the newer object.
      if (!isError(error, 'conflict') || failures > 5) this.#log.warn('reconcile failed', { objectKey: key, failures, err: error });
      this.#options.onFailure?.(key, error, failures);
      tell(error, failures);
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const observed = await this.#reconciler.observe(key, signal);
    if (observed === undefined) return;
    const { actions, status, requeueAfterMs } = this.#reconciler.plan(observed);
    for (const action of actions) await this.#reconciler.act(action, observed, signal);
    if (status !== undefined) await this.#reconciler.report?.(status, observed, signal);
    if (requeueAfterMs !== undefined) this.#queue.addAfter(key, requeueAfterMs);
  }
}
