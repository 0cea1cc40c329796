import type { LogStore, RepositoryRef } from '../ports.ts';
import { Masker } from './masker.ts';

/** How much of a step's output is kept to look for test summaries in, in characters. */
const keptCharacters = 512 << 10;

/** The log of one job, secrets masked. The heading of each step is a line of its own form, so that a reader can find a step again. */
export class JobLog {
  readonly masker = new Masker();
  readonly #store: LogStore;
  readonly #run: RepositoryRef;
  readonly #job: string;
  #kept = '';

  constructor(store: LogStore, run: RepositoryRef, job: string) {
    this.#store = store;
    this.#run = run;
    this.#job = job;
  }

  /** Starts a step: its heading, and nothing kept of the one before. */
  async heading(name: string): Promise<void> {
    this.#kept = '';
    await this.#store.append(this.#run, this.#job, `${this.masker.mask(stepHeading(name))}\n`);
  }

  async line(text: string): Promise<void> {
    const masked = `${this.masker.mask(text)}\n`;
    this.#kept = (this.#kept + masked).slice(-keptCharacters);
    await this.#store.append(this.#run, this.#job, masked);
  }

  /** The end of what the present step has printed. */
  get stepOutput(): string {
    return this.#kept;
  }

  open(): Promise<void> {
    return this.#store.reopen(this.#run, this.#job);
  }

  close(): Promise<void> {
    return this.#store.close(this.#run, this.#job);
  }
}

/** The line that begins a step in the log. */
export function stepHeading(name: string): string {
  return `── ${name.split('\n')[0] ?? ''}`;
}
