import type { KubeClient } from '../../../client/mod.ts';
import type { PodUsage } from './pod-groups.ts';
import { toAmount } from './replica-count.ts';

/** metrics.k8s.io/v1beta1 PodMetrics, as far as it is used. */
interface PodMetrics {
  metadata: { name: string; labels?: Record<string, string> };
  timestamp: string;
  /** A Go duration such as `15s` or `1m0s`. */
  window: string;
  containers: { name: string; usage: Record<string, string> }[];
}

export type UsageReader = (resource: string, container?: string) => ReadonlyMap<string, PodUsage>;

/** The current usage of a namespace's pods, by pod name. `unavailable` when no metrics are served. */
export async function readPodUsage(client: KubeClient, namespace: string, signal: AbortSignal): Promise<UsageReader> {
  const list = (await client.request('GET', `/apis/metrics.k8s.io/v1beta1/namespaces/${encodeURIComponent(namespace)}/pods`, undefined, signal)) as { items?: PodMetrics[] };
  return (resource, container) => new Map((list.items ?? []).flatMap((pod) => {
    const usage = usageOf(pod, resource, container);
    return usage === undefined ? [] : [[pod.metadata.name, usage]];
  }));
}

/** Undefined when the pod, or one of its containers, was not measured. */
function usageOf({ containers, timestamp, window }: PodMetrics, resource: string, container: string | undefined): PodUsage | undefined {
  const counted = containers.filter(({ name }) => container === undefined || name === container);
  if (counted.length === 0) return undefined;
  let value = 0;
  for (const { usage } of counted) {
    const quantity = usage[resource];
    if (quantity === undefined) return undefined;
    value += toAmount(resource, quantity);
  }
  return { value, atMs: Date.parse(timestamp), windowMs: parseDurationMs(window) };
}

const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** A Go duration in milliseconds; 0 for what is none. */
export function parseDurationMs(text: string): number {
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) total += Number(amount) * (unitsMs[unit ?? ''] ?? 0);
  return total;
}

