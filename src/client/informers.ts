import type { KubeObject, ResourceType } from '../api/mod.ts';
import { aborted, type Logger, type Service } from '../kernel/mod.ts';
import type { KubeClient, ListOptions } from './client.ts';
import { Informer } from './informer.ts';

/** The shared caches of a process: asking twice for the same kind and selector gives the same informer. Ask before `run`. */
export class Informers implements Service {
  readonly name = 'informers';
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #informers = new Map<string, { run(signal: AbortSignal): Promise<void>; ready(signal: AbortSignal): Promise<void> }>();

  constructor(client: KubeClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  of<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Informer<T> {
    const key = JSON.stringify([type.group, type.plural, options]);
    const known = this.#informers.get(key);
    if (known !== undefined) return known as Informer<T>;
    const informer = new Informer(this.#client, type, options, this.#log);
    this.#informers.set(key, informer);
    return informer;
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.run(signal)));
    await aborted(signal);
  }

  async ready(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.ready(signal)));
  }
}
