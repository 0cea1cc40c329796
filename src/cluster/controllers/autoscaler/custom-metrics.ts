import { formatLabelSelector, type k8s, quantityMilliValue, requirementsOf, type ResourceType } from '../../../api/mod.ts';
import type { KubeClient } from '../../../client/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { PodUsage } from './pod-groups.ts';

/** custom.metrics.k8s.io/v1beta2 MetricValueList, as far as it is used. */
interface MetricValueList { items?: { describedObject: { name: string }; timestamp: string; windowSeconds?: number; value: string }[] }

/** What was read for one metric of an autoscaler, in thousandths; or why it was not. */
export type CustomReading = { readonly pods: ReadonlyMap<string, PodUsage> } | { readonly value: number } | { readonly error: unknown };

/** Where a kind's objects are found. */
export type TypeFinder = (reference: k8s.CrossVersionObjectReference, signal: AbortSignal) => Promise<ResourceType>;

const root = '/apis/custom.metrics.k8s.io/v1beta2/namespaces';

/** Reads the metrics of types Pods and Object of an autoscaler, by their place in its list. */
export async function readCustomMetrics(client: KubeClient, namespace: string, spec: k8s.HorizontalPodAutoscalerSpec, selector: string, typeOf: TypeFinder, signal: AbortSignal): Promise<ReadonlyMap<number, CustomReading>> {
  const readings = (spec.metrics ?? []).map(async ({ pods, object }, index): Promise<[number, CustomReading][]> => {
    if (pods === undefined && object === undefined) return [];
    try {
      return [[index, pods === undefined ? await readObject(client, namespace, object as k8s.ObjectMetricSource, typeOf, signal) : await readPods(client, namespace, pods.metric, selector, signal)]];
    } catch (error) {
      if (signal.aborted) throw error;
      return [[index, { error }]];
    }
  });
  return new Map((await Promise.all(readings)).flat());
}

async function readPods(client: KubeClient, namespace: string, metric: k8s.MetricIdentifier, selector: string, signal: AbortSignal): Promise<CustomReading> {
  const query = new URLSearchParams({ labelSelector: selector, ...metricQuery(metric) });
  const { items = [] } = await read(client, `${root}/${encodeURIComponent(namespace)}/pods/*/${encodeURIComponent(metric.name)}?${query.toString()}`, signal);
  return { pods: new Map(items.map(({ describedObject, timestamp, windowSeconds = 60, value }) => [describedObject.name, { value: quantityMilliValue(value), atMs: Date.parse(timestamp), windowMs: windowSeconds * 1000 }])) };
}

async function readObject(client: KubeClient, namespace: string, { describedObject, metric }: k8s.ObjectMetricSource, typeOf: TypeFinder, signal: AbortSignal): Promise<CustomReading> {
  const query = new URLSearchParams(metricQuery(metric)).toString();
  const path = describedObject.kind === 'Namespace' ? `metrics/${encodeURIComponent(metric.name)}` : `${await pathOf(describedObject, typeOf, signal)}/${encodeURIComponent(metric.name)}`;
  const { items = [] } = await read(client, `${root}/${encodeURIComponent(namespace)}/${path}${query === '' ? '' : `?${query}`}`, signal);
  const [item] = items;
  if (item === undefined) throw new GantryError('unavailable', `no value of the metric ${metric.name}`);
  return { value: quantityMilliValue(item.value) };
}

async function pathOf(reference: k8s.CrossVersionObjectReference, typeOf: TypeFinder, signal: AbortSignal): Promise<string> {
  const { plural, group } = await typeOf({ ...reference, apiVersion: reference.apiVersion ?? 'v1' }, signal);
  return `${group === '' ? plural : `${plural}.${group}`}/${encodeURIComponent(reference.name)}`;
}

async function read(client: KubeClient, path: string, signal: AbortSignal): Promise<MetricValueList> {
  return (await client.request('GET', path, undefined, signal)) as MetricValueList;
}

function metricQuery({ selector }: k8s.MetricIdentifier): Record<string, string> {
  const text = selector === undefined ? '' : formatLabelSelector(requirementsOf(selector) ?? []);
  return text === '' ? {} : { metricLabelSelector: text };
}
