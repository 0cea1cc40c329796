import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import type { k8s } from '../../api/mod.ts';
import type { MetricsSource, NodeDialer, NodeUsage, PodUsage } from '../../cluster/apiserver/mod.ts';
import { type Clock, formatError, GantryError, type Logger, parseWith, type Service, withTimeout } from '../../kernel/mod.ts';

/** How often every node is asked unless told otherwise; a rate is the difference of two answers. */
const defaultPeriodMs = 5_000;
const sampleTimeoutMs = 4_000;
/** Rates over less time than this are noise. */
const minWindowMs = 1_000;

const counter = z.string().regex(/^\d+$/).transform(BigInt);
const statsAnswer = z.object({
  node: z.object({ time: z.string(), cpuNanoseconds: counter, memoryBytes: z.number() }),
  containers: z.array(
    z.object({ podUid: z.string(), namespace: z.string(), pod: z.string(), name: z.string(), time: z.string(), cpuNanoseconds: counter, workingSetBytes: z.number() }),
  ),
});

type Sample = z.output<typeof statsAnswer>;

/** Use of nodes and pods from samples of the agents' `/stats`. Run it as a service; it answers from the newest two samples. */
export class StatsMetricsSource implements MetricsSource, Service {
  readonly name = 'metrics';
  readonly #nodes: () => readonly k8s.Node[];
  readonly #dialer: NodeDialer;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #periodMs: number;
  readonly #samples = new Map<string, { older: Sample | undefined; newer: Sample }>();

  constructor(nodes: () => readonly k8s.Node[], dialer: NodeDialer, clock: Clock, log: Logger, periodMs = defaultPeriodMs) {
    this.#nodes = nodes;
    this.#dialer = dialer;
    this.#clock = clock;
    this.#log = log;
    this.#periodMs = periodMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const names = this.#nodes().flatMap(({ metadata }) => (metadata?.name === undefined ? [] : [metadata.name]));
      for (const name of this.#samples.keys()) if (!names.includes(name)) this.#samples.delete(name);
      await Promise.all(names.map((name) => this.#sample(name, withTimeout(signal, sampleTimeoutMs))));
      await this.#clock.sleep(this.#periodMs, signal).catch(() => undefined);
    }
  }

  async nodes(): Promise<NodeUsage[]> {
    return [...this.#samples].flatMap(([name, { older, newer }]) => {
      const rate = rateOf(older?.node, newer.node);
      return rate === undefined ? [] : [{ name, time: newer.node.time, windowMs: rate.windowMs, cpuNanocores: rate.cpuNanocores, memoryBytes: newer.node.memoryBytes }];
    });
  }

  async pods(namespace: string | undefined): Promise<PodUsage[]> {
    const pods = new Map<string, PodUsage>();
    for (const { older, newer } of this.#samples.values()) {
      for (const container of newer.containers) {
        if (namespace !== undefined && container.namespace !== namespace) continue;
        const before = older?.containers.find(({ podUid, name }) => podUid === container.podUid && name === container.name);
        const rate = rateOf(before, container);
        if (rate === undefined) continue;
        const pod = pods.get(container.podUid) ?? { namespace: container.namespace, name: container.pod, time: container.time, windowMs: rate.windowMs, containers: [] };
        pod.containers.push({ name: container.name, cpuNanocores: rate.cpuNanocores, memoryBytes: container.workingSetBytes });
        pods.set(container.podUid, pod);
      }
    }
    return [...pods.values()];
  }

  async #sample(node: string, signal: AbortSignal): Promise<void> {
    try {
      const newer = await fetchStats(this.#dialer, node, signal);
      const older = this.#samples.get(node)?.newer;
      this.#samples.set(node, { older, newer });
    } catch (error) {
      // Old figures are worse than none: an autoscaler would act on them.
      this.#samples.delete(node);
      this.#log.debug('no statistics of the node', { node, error: formatError(error) });
    }
  }
}

interface Reading { readonly time: string; readonly cpuNanoseconds: bigint }

/** CPU use between two readings in billionths of a core; undefined when there are not two, or the counter began anew. */
export function rateOf(older: Reading | undefined, newer: Reading): { windowMs: number; cpuNanocores: bigint } | undefined {
  if (older === undefined) return undefined;
  const windowMs = Math.round(Date.parse(newer.time) - Date.parse(older.time));
  if (windowMs < minWindowMs || newer.cpuNanoseconds < older.cpuNanoseconds) return undefined;
  return { windowMs, cpuNanocores: ((newer.cpuNanoseconds - older.cpuNanoseconds) * 1000n) / BigInt(windowMs) };
}

async function fetchStats(dialer: NodeDialer, node: string, signal: AbortSignal): Promise<Sample> {
  const connection = await dialer.connect(node, signal);
  try {
    const body = await new Promise<Buffer>((resolve, reject) => {
      const call = request({ path: '/stats', headers: { host: node, connection: 'close' }, createConnection: () => connection, signal }, (response) => {
        if (response.statusCode !== 200) reject(new GantryError('unavailable', `the agent of node ${node} answered ${response.statusCode ?? 0}`));
        else buffer(response).then(resolve, reject);
      });
      call.once('error', reject);
      call.end();
    });
    return parseWith(statsAnswer, JSON.parse(body.toString()), `statistics of node ${node}`);
  } finally {
    connection.destroy();
  }
}
