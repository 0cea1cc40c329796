import { type k8s, quantityMilliValue, quantityValue, type Stored } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { groupPods, type PodUsage } from './pod-groups.ts';

type Pod = Stored<k8s.Pod>;

export interface Measured {
  /** How many replicas this metric asks for. */
  readonly replicas: number;
  readonly status: k8s.MetricStatus;
  /** Names the metric in conditions and events. */
  readonly name: string;
}

/** What is known when replicas are counted. */
export interface MetricInput {
  readonly currentReplicas: number;
  readonly pods: readonly Pod[];
  /** Usage by pod name; of one container when the metric is about one. */
  readonly usageOf: (resource: string, container?: string) => ReadonlyMap<string, PodUsage>;
  /** How far usage may be from the target without a change, as shares, for growing and shrinking. */
  readonly tolerance: { readonly up: number; readonly down: number };
  readonly nowMs: number;
}

/** Replicas for one metric of type Resource or ContainerResource. `unsupported` for others; `unavailable` when nothing could be measured. */
export function measure(metric: k8s.MetricSpec, input: MetricInput): Measured {
  const source = metric.type === 'Resource' ? metric.resource : metric.type === 'ContainerResource' ? metric.containerResource : undefined;
  if (source === undefined) throw new GantryError('unsupported', `metrics of type ${metric.type} are not supported`);
  const container = metric.containerResource?.container;
  const usage = input.usageOf(source.name, container);
  const groups = groupPods(input.pods, usage, source.name, input.nowMs);
  const counted = new Map(groups.ready.map((pod) => [pod.metadata.name, usage.get(pod.metadata.name)?.value ?? 0]));
  if (counted.size === 0) throw new GantryError('unavailable', `unable to get metrics for resource ${source.name}: did not receive metrics for targeted pods (pods might be unready)`);
  const total = sum(counted.values());
  const average = Math.ceil(total / counted.size);
  const percent = source.target.averageUtilization;
  const requests = percent === undefined ? undefined : requestsOf(input.pods, source.name, container);
  const targets: Targets = requests === undefined ? { of: () => rawTarget(source), fallbackOf: () => rawTarget(source) } : utilizationTargets(requests, percent ?? 0);
  const replicas = countReplicas(counted, groups, targets, input);
  const current = { averageValue: formatAmount(source.name, average), ...(requests === undefined ? {} : { averageUtilization: Math.trunc((100 * total) / sum([...counted.keys()].map((name) => requests.get(name) ?? 0))) }) };
  const name = `${source.name} ${container === undefined ? '' : 'container '}resource${requests === undefined ? '' : ' utilization (percentage of request)'}`;
  if (container !== undefined) return { replicas, name, status: { type: 'ContainerResource', containerResource: { name: source.name, container, current } } };
  return { replicas, name, status: { type: 'Resource', resource: { name: source.name, current } } };
}

/** What each pod should use. */
export interface Targets {
  /** What a pod should use. */
  of(name: string): number;
  /** What a pod without usage is taken to use when that would shrink the set: cautious, so that it shrinks less. */
  fallbackOf(name: string): number;
}

function utilizationTargets(requests: ReadonlyMap<string, number>, percent: number): Targets {
  const share = (name: string, of: number): number => ((requests.get(name) ?? 0) * of) / 100;
  return { of: (name) => share(name, percent), fallbackOf: (name) => share(name, Math.max(100, percent)) };
}

/** Usage over target, times the pods that were counted; pods without usage are taken at the value that moves least. */
export function countReplicas(counted: ReadonlyMap<string, number>, groups: { unready: readonly Pod[]; missing: readonly Pod[] }, targets: Targets, { currentReplicas, tolerance }: MetricInput): number {
  const ratioOf = (usage: ReadonlyMap<string, number>): number => sum(usage.values()) / sum([...usage.keys()].map((name) => targets.of(name)));
  const isTolerable = (ratio: number): boolean => ratio >= 1 - tolerance.down && ratio <= 1 + tolerance.up;
  const ratio = ratioOf(counted);
  const grows = ratio > 1;
  const withUnready = grows && groups.unready.length > 0;
  if (!withUnready && groups.missing.length === 0) return isTolerable(ratio) ? currentReplicas : Math.ceil(ratio * counted.size);
  const filled = new Map(counted);
  for (const { metadata } of groups.missing) filled.set(metadata.name, grows ? 0 : targets.fallbackOf(metadata.name));
  if (withUnready) for (const { metadata } of groups.unready) filled.set(metadata.name, 0);
  const cautious = ratioOf(filled);
  if (isTolerable(cautious) || cautious > 1 !== grows) return currentReplicas;
  const replicas = Math.ceil(cautious * filled.size);
  return replicas > currentReplicas === grows ? replicas : currentReplicas;
}

function requestsOf(pods: readonly Pod[], resource: string, container: string | undefined): Map<string, number> {
  const requests = new Map<string, number>();
  for (const { metadata, spec } of pods) {
    const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')].filter(({ name }) => container === undefined || name === container);
    let total = 0;
    for (const { name, resources } of containers) {
      const request = resources?.requests?.[resource] ?? resources?.limits?.[resource];
      if (request === undefined) throw new GantryError('invalid', `missing request for ${resource} in container ${name} of Pod ${metadata.name}`);
      total += toAmount(resource, request);
    }
    requests.set(metadata.name, total);
  }
  return requests;
}

function rawTarget({ name, target }: k8s.ResourceMetricSource): number {
  if (target.averageValue === undefined) throw new GantryError('invalid', `the ${name} metric needs target.averageUtilization or target.averageValue`);
  return toAmount(name, target.averageValue);
}

/** Millicores for cpu, else whole units. */
export function toAmount(resource: string, quantity: string): number {
  return resource === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity);
}

function formatAmount(resource: string, amount: number): string {
  return resource === 'cpu' ? `${amount}m` : String(amount);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
