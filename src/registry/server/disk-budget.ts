import type { Logger } from '../../kernel/mod.ts';
import { registryError } from './registry-error.ts';

const warningShare = 0.9;

/** What the blobs use of what they may. */
export interface RegistryUsage {
  /** As far as is known: what the last collection measured, and what has come since. */
  readonly usedBytes: number;
  readonly budgetBytes?: number;
  /** From nine tenths of the budget on. */
  readonly warning?: string;
}

/**
 * How much the blobs may use. What is used is measured by each collection and counted on by each stored blob in between. From nine tenths on
 * the log warns, once for each collection, and so do answers to pushes and the usage; beyond the whole, uploads are refused while everything that is there goes on being served.
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

  usage(): RegistryUsage {
    const { budgetBytes } = this;
    const usedBytes = this.#usedBytes;
    if (budgetBytes === undefined) return { usedBytes };
    if (usedBytes < budgetBytes * warningShare) return { usedBytes, budgetBytes };
    return { usedBytes, budgetBytes, warning: `the registry uses ${Math.floor((100 * usedBytes) / budgetBytes)} % of its disk budget of ${budgetBytes} bytes; when it is full, pushes are refused` };
  }

  #warn(): void {
    const { budgetBytes } = this;
    if (this.#hasWarned || this.usage().warning === undefined) return;
    this.#hasWarned = true;
    this.#log.warn('the registry nears its disk budget', { usedBytes: this.#usedBytes, budgetBytes });
  }
}
