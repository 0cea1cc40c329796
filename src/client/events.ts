import { hostname } from 'node:os';
import { type k8s, type KubeObject, resources, type Stored } from '../api/mod.ts';
import { formatError, isError, type Logger, randomHex, systemClock, withTimeout } from '../kernel/mod.ts';
import type { KubeClient } from './client.ts';

export type EventType = 'Normal' | 'Warning';

/** One kind of happening to one object, as it is stored. */
interface Series {
  readonly event: k8s.Event & { metadata: { name: string; namespace: string } };
  count: number;
  writtenCount: number;
  isWriting: boolean;
  lastAtMs: number;
}

/** A repeat within this time counts up the stored event; later it is a new one. */
const seriesTtlMs = 10 * 60_000;
const maxSeries = 2_000;
const writeTimeoutMs = 10_000;

/**
 * Writes core/v1 Events about objects. Recording never waits and never fails: an event that cannot be written is dropped.
 * The same type, reason and message about the same object is one Event whose count grows; repeats during a write are written together.
 */
export class EventRecorder implements AsyncDisposable {
  readonly #client: KubeClient;
  readonly #component: string;
  readonly #host: string;
  readonly #log: Logger;
  readonly #series = new Map<string, Series>();
  readonly #writes = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  /** `component` is what `kubectl describe` shows under From; `host` is the node for node agents. */
  constructor(client: KubeClient, component: string, log: Logger, host: string = hostname()) {
    this.#client = client;
    this.#component = component;
    this.#host = host;
    this.#log = log;
  }

  normal(object: KubeObject, reason: string, message: string): void {
    this.record(object, 'Normal', reason, message);
  }

  warning(object: KubeObject, reason: string, message: string): void {
    this.record(object, 'Warning', reason, message);
  }

  /** `object` needs apiVersion, kind, name and uid, as objects of the client and of informers have. `fieldPath` names a part such as `spec.containers{web}`. */
  record(object: KubeObject, type: EventType, reason: string, message: string, fieldPath?: string): void {
    if (this.#stop.signal.aborted) return;
    const key = JSON.stringify([object.metadata?.uid, fieldPath, type, reason, message]);
    const now = systemClock.now();
    let series = this.#series.get(key);
    if (series === undefined || now - series.lastAtMs > seriesTtlMs) {
      series = { event: this.#newEvent(object, type, reason, message, fieldPath), count: 0, writtenCount: 0, isWriting: false, lastAtMs: now };
    }
    series.count += 1;
    series.lastAtMs = now;
    // Re-inserting keeps the map in the order of last use.
    this.#series.delete(key);
    this.#series.set(key, series);
    this.#evict();
    if (!series.isWriting) this.#start(series);
  }

  /** Resolves when everything recorded so far is written or given up. */
  async flush(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes);
  }

  /** Gives pending writes their time limit to finish, then refuses more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    this.#stop.abort();
  }

  #start(series: Series): void {
    const write = this.#write(series).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  async #write(series: Series): Promise<void> {
    series.isWriting = true;
    try {
      while (series.writtenCount < series.count) {
        const count = series.count;
        await this.#writeOnce(series, count, withTimeout(this.#stop.signal, writeTimeoutMs));
        series.writtenCount = count;
      }
    } catch (error) {
      this.#log.debug('event dropped', { reason: series.event.reason, error: formatError(error) });
    } finally {
      series.isWriting = false;
    }
  }

  async #writeOnce(series: Series, count: number, signal: AbortSignal): Promise<void> {
    const { event } = series;
    const lastTimestamp = toSeconds(series.lastAtMs);
    if (series.writtenCount > 0) {
      try {
        await this.#client.patch(resources.events, event.metadata, { type: 'merge', body: { count, lastTimestamp } }, signal);
        return;
      } catch (error) {
        // The server forgets events after a while; then this one starts anew.
        if (!isError(error, 'not-found')) throw error;
      }
    }
    await this.#client.create<k8s.Event>(resources.events, { ...event, count, lastTimestamp }, signal);
  }

  #newEvent(object: KubeObject, type: EventType, reason: string, message: string, fieldPath: string | undefined): Series['event'] {
    const { name, namespace, uid, resourceVersion } = (object as Stored<KubeObject>).metadata;
    return {
      metadata: { name: `${name}.${randomHex(8)}`, namespace: namespace ?? 'default' },
      involvedObject: { apiVersion: object.apiVersion, kind: object.kind, name, namespace, uid, resourceVersion, fieldPath },
      type,
      reason,
      message: message.slice(0, 1024),
      source: { component: this.#component, host: this.#host },
      reportingComponent: this.#component,
      reportingInstance: this.#host,
      firstTimestamp: toSeconds(systemClock.now()),
    };
  }

  #evict(): void {
    for (const key of this.#series.keys()) {
      if (this.#series.size <= maxSeries) return;
      this.#series.delete(key);
    }
  }
}

/** RFC 3339 with seconds, the form of metav1.Time. */
function toSeconds(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
