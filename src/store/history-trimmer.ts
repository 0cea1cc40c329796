import { aborted, type Logger, type Service } from '../kernel/mod.ts';
import type { ObjectStore } from './object-store.ts';

/** How much history is kept. */
export interface HistoryLimits {
  /** Changes younger than this are kept, unless they are too many. Default 5 minutes, as Kubernetes does. */
  readonly keepMs?: number;
  /** More changes than this are never kept. Default 50 000. */
  readonly keepRevisions?: number;
  /** How often it looks. Default 30 s. */
  readonly intervalMs?: number;
}

/** Keeps the store bounded under churn: compacts what is older than the limits. */
export class HistoryTrimmer implements Service {
  readonly name = 'history trimmer';
  readonly #store: ObjectStore;
  readonly #limits: Required<HistoryLimits>;
  readonly #log: Logger;
  #seen: { atMs: number; revision: number }[] = [];

  constructor(store: ObjectStore, limits: HistoryLimits, log: Logger) {
    this.#store = store;
    this.#limits = { keepMs: limits.keepMs ?? 300_000, keepRevisions: limits.keepRevisions ?? 50_000, intervalMs: limits.intervalMs ?? 30_000 };
    this.#log = log;
  }

  /** Compacts what `nowMs` makes too old, judged by the revisions noted in earlier calls. Returns the revision kept from. */
  async trim(nowMs: number): Promise<number> {
    this.#seen.push({ atMs: nowMs, revision: this.#store.revision });
    const old = this.#seen.filter(({ atMs }) => atMs <= nowMs - this.#limits.keepMs).at(-1)?.revision ?? 0;
    this.#seen = this.#seen.filter(({ atMs }) => atMs > nowMs - this.#limits.keepMs);
    const upTo = Math.max(old, this.#store.revision - this.#limits.keepRevisions);
    if (upTo > this.#store.compactedRevision) await this.#store.compact(upTo);
    return this.#store.compactedRevision;
  }

  async run(signal: AbortSignal): Promise<void> {
    const timer = setInterval(() => void this.trim(Date.now()).catch((error: unknown) => this.#log.warn('could not compact the store', { err: error })), this.#limits.intervalMs);
    await aborted(signal);
    clearInterval(timer);
  }
}
