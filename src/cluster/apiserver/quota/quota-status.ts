import { isDeepStrictEqual } from 'node:util';
import { resources } from '../../../api/mod.ts';
import { isError, type Logger, WorkQueue } from '../../../kernel/mod.ts';
import type { ObjectStore } from '../../../store/mod.ts';
import type { Machine, WriteOptions } from '../operations/machine.ts';
import { modifyObject } from '../operations/update.ts';
import { type Quota, quotasOf, showAmount, totalUsage } from './quota-totals.ts';

/** How long changes of a namespace gather before its quotas are counted again. */
const gatherMs = 50;

/** Keeps `status` of ResourceQuotas what their namespaces use. Admission does not rely on it: it counts for itself. */
export class QuotaStatus implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #log: Logger;
  readonly #queue = new WorkQueue();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #unsubscribe: () => void = () => {};

  private constructor(machine: Machine, log: Logger) {
    this.#machine = machine;
    this.#log = log;
  }

  /** Open it after the object cache: both hear of a change in that order. */
  static open(machine: Machine, store: ObjectStore, log: Logger): QuotaStatus {
    const service = new QuotaStatus(machine, log);
    service.#unsubscribe = store.subscribe((events) => {
      for (const namespace of new Set(events.map(({ key }) => namespaceOf(key)))) if (namespace !== undefined && quotasOf(machine, namespace).length > 0) service.#queue.addAfter(namespace, gatherMs);
    });
    for (const quota of quotasOf(machine, '')) service.#queue.add(quota.metadata.namespace ?? '');
    service.#running = service.#run();
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    this.#stop.abort();
    this.#queue.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const namespace = await this.#queue.take(this.#stop.signal);
      if (namespace === undefined) return;
      try {
        for (const quota of quotasOf(this.#machine, namespace)) await this.#update(quota, namespace);
        this.#queue.forget(namespace);
      } catch (error) {
        this.#queue.retry(namespace);
        if (!this.#stop.signal.aborted) this.#log.warn('could not count a quota', { namespace, err: error });
      } finally {
        this.#queue.done(namespace);
      }
    }
  }

  async #update(quota: Quota, namespace: string): Promise<void> {
    const hard = quota.spec?.hard ?? {};
    const total = totalUsage(this.#machine, quota, namespace);
    const status = { hard, used: Object.fromEntries(Object.entries(hard).map(([name, limit]) => [name, showAmount(total.get(name) ?? 0n, limit)])) };
    if (isDeepStrictEqual(quota.status, status)) return;
    const kind = this.#machine.kinds.find('', 'v1', resources.resourceQuotas.plural);
    if (kind === undefined) return;
    const write: WriteOptions = { dryRun: false, fieldValidation: 'Ignore', fieldManager: 'gantry', warnings: [] };
    try {
      await modifyObject(this.#machine, kind, { namespace, name: quota.metadata.name }, (object) => ({ ...object, status }), { part: 'status' }, write);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }
}

/** The namespace in a key like `/core/pods/default/a`; undefined for what is in none. */
function namespaceOf(key: string): string | undefined {
  const parts = key.split('/');
  return parts.length === 5 ? parts[3] : undefined;
}
