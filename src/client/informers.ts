import type { KubeObject, ResourceType } from '../api/mod.ts';
import { aborted, type Logger, type Service } from '../kernel/mod.ts';
import type { KubeClient, ListOptions } from './client.ts';
import { Informer } from './informer.ts';

interface Running { run(signal: AbortSignal): Promise<void>; ready(signal: AbortSignal): Promise<void> }

/** The shared caches of a process: asking twice for the same kind and selector gives the same informer. One asked for while running starts at once. */
export class Informers implements Service {
  readonly name = 'informers';
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #informers = new Map<string, Running>();
  readonly #runs = new Set<Promise<void>>();
  #signal: AbortSignal | undefined;

  constructor(client: KubeClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  of<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Informer<T> {
    const key = JSON.stringify([type.group, type.version, type.plural, options]);
    const known = this.#informers.get(key);
    if (known !== undefined) return known as Informer<T>;
    const informer = new Informer(this.#client, type, options, this.#log);
    this.#informers.set(key, informer);
    if (this.#signal !== undefined) this.#start(informer, this.#signal);
    return informer;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    for (const informer of this.#informers.values()) this.#start(informer, signal);
    await aborted(signal);
    await Promise.all(this.#runs);
  }

  /** Resolves when every informer asked for so far has its first list. */
  async ready(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.ready(signal)));
  }

  #start(informer: Running, signal: AbortSignal): void {
    const run = informer.run(signal).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }
}
