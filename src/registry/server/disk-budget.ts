import type { Logger } from '../../kernel/mod.ts';
import { registryError } from './registry-error.ts';

const warningShare = 0.9;

/**
 * How much the blobs may use. What is used is measured by each collection and counted on by each stored blob in between. From nine tenths on
 * the log warns, once for each collection; beyond the whole, uploads are refused while everything that is there goes on being served.
 */
export class DiskBudget {
  readonly budgetBytes: number | undefined;
  readonly #log: Logger;
  #usedBytes = 0;
  #hasWarned = false;

  constructor(budgetBytes: number | undefined, log: Logger) {
    this.budgetBytes = budgetBytes;
    this.#log = log;
  }

  measured(usedBytes: number): void {
    this.#usedBytes = usedBytes;
    this.#hasWarned = false;
    this.#warn();
  }

  added(bytes: number): void {
    this.#usedBytes += bytes;
    this.#warn();
  }

  /** DENIED when the budget is used up. */
  check(): void {
    const { budgetBytes } = this;
    if (budgetBytes === undefined || this.#usedBytes < budgetBytes) return;
    throw registryError('forbidden', 'DENIED', `the registry is full: ${this.#usedBytes} of ${budgetBytes} bytes are used; delete tags and collect, or raise registryBudget`);
  }

  #warn(): void {
    const { budgetBytes } = this;
    if (budgetBytes === undefined || this.#hasWarned || this.#usedBytes < budgetBytes * warningShare) return;
    this.#hasWarned = true;
    this.#log.warn('the registry nears its disk budget', { usedBytes: this.#usedBytes, budgetBytes });
  }
}
