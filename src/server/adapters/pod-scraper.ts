import { request } from 'node:http';
import type { k8s, Stored } from '../../api/mod.ts';
import type { CustomMetricsSource, PodMetric } from '../../cluster/apiserver/mod.ts';
import { type Clock, formatError, GantryError, type Logger, type Service, withTimeout } from '../../kernel/mod.ts';
import { type MetricSample, parseMetricsText } from '../../wire/mod.ts';

/** Annotations by which pods say that they have metrics, as scrapers of the field know them. */
const scrapeAnnotation = 'prometheus.io/scrape';
const portAnnotation = 'prometheus.io/port';
const pathAnnotation = 'prometheus.io/path';

const periodMs = 5_000;
const timeoutMs = 2_000;
/** A namespace that nobody asked about for so long is not scraped any more. */
const interestMs = 120_000;
const maxBytes = 4 * 1024 * 1024;
const maxSamples = 20_000;

type Pod = Stored<k8s.Pod>;

interface Scrape { readonly atMs: number; readonly samples: readonly MetricSample[] }

/** Where a pod's metrics are; undefined when it does not offer any. The port is the annotation's, else the first one of its containers. */
export function metricsAddress({ metadata, spec, status }: Pod): { host: string; port: number; path: string } | undefined {
  const { annotations = {} } = metadata;
  const first = spec?.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  const port = Number(annotations[portAnnotation] ?? first);
  const host = status?.podIP ?? '';
  if (annotations[scrapeAnnotation] !== 'true' || host === '' || status?.phase !== 'Running' || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  const path = annotations[pathAnnotation] ?? '/metrics';
  return { host, port, path: path.startsWith('/') ? path : `/${path}` };
}

/**
 * Metrics of pods' own making, for autoscalers: scraped over HTTP from the pods that offer them by annotation, and only in namespaces
 * that somebody asked about in the last minutes. Gauges count as they are; of counters the growth per second counts, as `…_per_second`.
 */
export class PodScraper implements CustomMetricsSource, Service {
  readonly name = 'pod-scraper';
  readonly #pods: (namespace: string) => readonly Pod[];
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Namespace → when it was asked about last. */
  readonly #wanted = new Map<string, number>();
  /** By uid. */
  readonly #scrapes = new Map<string, { older: Scrape | undefined; newer: Scrape }>();

  constructor(pods: (namespace: string) => readonly Pod[], clock: Clock, log: Logger) {
    this.#pods = pods;
    this.#clock = clock;
    this.#log = log;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = this.#clock.now();
      for (const [namespace, askedMs] of this.#wanted) if (now - askedMs > interestMs) this.#wanted.delete(namespace);
      const pods = [...this.#wanted.keys()].flatMap((namespace) => this.#pods(namespace));
      const uids = new Set(pods.map(({ metadata }) => metadata.uid));
      for (const uid of this.#scrapes.keys()) if (!uids.has(uid)) this.#scrapes.delete(uid);
      await Promise.all(pods.map((pod) => this.#scrape(pod, signal)));
      await this.#clock.sleep(periodMs, signal).catch(() => undefined);
    }
  }

  metrics(namespace: string): PodMetric[] {
    this.#wanted.set(namespace, this.#clock.now());
    return this.#pods(namespace).flatMap(({ metadata }) => {
      const scrapes = this.#scrapes.get(metadata.uid);
      return scrapes === undefined ? [] : toMetrics(metadata.name, scrapes.older, scrapes.newer);
    });
  }

  names(): string[] {
    const found = [...this.#scrapes.values()].flatMap(({ older, newer }) => toMetrics('', older, newer).map(({ metric }) => metric));
    return [...new Set(found)].toSorted();
  }

  /** Reads one pod now. Old figures are worse than none: what cannot be read is forgotten. */
  async #scrape(pod: Pod, signal: AbortSignal): Promise<void> {
    const { uid, name, namespace } = pod.metadata;
    const address = metricsAddress(pod);
    if (address === undefined) return void this.#scrapes.delete(uid);
    try {
      const text = await read(address, withTimeout(signal, timeoutMs));
      const older = this.#scrapes.get(uid)?.newer;
      this.#scrapes.set(uid, { older, newer: { atMs: this.#clock.now(), samples: parseMetricsText(text, maxSamples) } });
    } catch (error) {
      this.#scrapes.delete(uid);
      if (!signal.aborted) this.#log.debug('no metrics of the pod', { namespace, pod: name, error: formatError(error) });
    }
  }
}

/** Pure: what two readings of a pod say. A counter that began anew says nothing until it was read twice. */
export function toMetrics(pod: string, older: Scrape | undefined, newer: Scrape): PodMetric[] {
  const windowMs = older === undefined ? 0 : newer.atMs - older.atMs;
  const keyOf = ({ name, labels }: MetricSample): string => JSON.stringify([name, Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
  const before = new Map(older?.samples.filter(isCounter).map((sample) => [keyOf(sample), sample.value]));
  const base = { pod, time: new Date(newer.atMs).toISOString().replace(/\.\d+Z$/, 'Z') };
  return newer.samples.flatMap((sample): PodMetric[] => {
    if (!isCounter(sample)) return Number.isFinite(sample.value) ? [{ ...base, metric: sample.name, labels: sample.labels, value: sample.value, windowMs: 0 }] : [];
    const had = before.get(keyOf(sample));
    if (had === undefined || windowMs <= 0 || sample.value < had) return [];
    return [{ ...base, metric: `${sample.name.replace(/_total$/, '')}_per_second`, labels: sample.labels, value: ((sample.value - had) * 1000) / windowMs, windowMs }];
  });
}

function isCounter({ type, name }: MetricSample): boolean {
  return type === 'counter' || (type === 'untyped' && name.endsWith('_total'));
}

function read({ host, port, path }: { host: string; port: number; path: string }, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, headers: { accept: 'text/plain;version=0.0.4', connection: 'close' }, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > maxBytes) response.destroy(new GantryError('exhausted', `more than ${maxBytes} bytes of metrics`));
      });
      response.once('error', reject);
      response.once('end', () => (response.statusCode === 200 ? resolve(Buffer.concat(chunks).toString()) : reject(new GantryError('unavailable', `answered ${response.statusCode ?? 0}`))));
    });
    call.once('error', reject);
    call.end();
  });
}
