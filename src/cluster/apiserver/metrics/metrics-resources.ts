import { canonicalQuantity, isFields, matchesLabels, type LabelRequirement, parseLabelSelector, resources } from '../../../api/mod.ts';
import { badRequest, methodNotAllowed, objectNotFound } from '../errors.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { ageColumn, nameColumn } from '../kinds/columns.ts';
import type { ApiObject } from '../kinds/kind.ts';
import type { VirtualResource } from '../kinds/virtual.ts';
import { listObjects, type Machine } from '../operations/machine.ts';
import type { MetricsSource, NodeUsage, PodUsage } from '../ports.ts';
import { sendJson } from '../requests/respond.ts';

const group = 'metrics.k8s.io';
const version = 'v1beta1';
const apiVersion = `${group}/${version}`;

/** metrics.k8s.io: the current use of nodes and pods, for `kubectl top` and the autoscaler. */
export function metricsResources(machine: Machine, source: MetricsSource): VirtualResource[] {
  const base = { group, version, verbs: ['get', 'list'] } as const;
  return [
    { ...base, plural: 'nodes', singular: '', kind: 'NodeMetrics', isNamespaced: false, serve: (exchange) => serveNodes(machine, source, exchange) },
    { ...base, plural: 'pods', singular: '', kind: 'PodMetrics', isNamespaced: true, serve: (exchange) => servePods(machine, source, exchange) },
  ];
}

async function serveNodes(machine: Machine, source: MetricsSource, exchange: Exchange): Promise<void> {
  const labels = labelsOf(machine, resources.nodes, '');
  const usages = (await source.nodes(exchange.signal)).filter(({ name }) => labels.has(name));
  await answer(exchange, 'NodeMetrics', usages.map((usage) => nodeMetrics(usage, labels.get(usage.name))), `nodes.${group}`);
}

async function servePods(machine: Machine, source: MetricsSource, exchange: Exchange): Promise<void> {
  const { namespace } = exchange.info;
  const labels = labelsOf(machine, resources.pods, namespace);
  const usages = (await source.pods(namespace === '' ? undefined : namespace, exchange.signal)).filter((usage) => labels.has(`${usage.namespace}/${usage.name}`));
  await answer(exchange, 'PodMetrics', usages.map((usage) => podMetrics(usage, labels.get(`${usage.namespace}/${usage.name}`))), `pods.${group}`);
}

type Labels = Record<string, string> | undefined;

/** Only what still exists is reported, with the labels it has now. */
function labelsOf(machine: Machine, type: typeof resources.nodes | typeof resources.pods, namespace: string): Map<string, Labels> {
  return new Map(
    [...listObjects(machine, type, namespace)].map(({ metadata }) => [type.isNamespaced ? `${metadata.namespace ?? ''}/${metadata.name}` : metadata.name, metadata.labels]),
  );
}

interface Metrics { readonly metadata: { name: string; namespace?: string; labels?: Labels }; readonly [field: string]: unknown }

async function answer({ request, response, info, query }: Exchange, kind: string, found: readonly Metrics[], resource: string): Promise<void> {
  if (info.subresource !== '') throw methodNotAllowed();
  if (info.verb === 'get') {
    const one = found.find(({ metadata }) => metadata.name === info.name);
    if (one === undefined) throw objectNotFound({ group, plural: resource.split('.')[0] ?? '', kind }, info.name);
    return sendJson(request, response, 200, { kind, apiVersion, ...one });
  }
  if (info.verb !== 'list') throw methodNotAllowed();
  const wanted = selectorOf(query);
  const items = found.filter(({ metadata }) => matchesLabels(wanted, metadata.labels));
  if ((request.headers.accept ?? '').includes('as=Table')) return sendJson(request, response, 200, tableOf(items));
  await sendJson(request, response, 200, { kind: `${kind}List`, apiVersion, metadata: {}, items });
}

function selectorOf(query: URLSearchParams): LabelRequirement[] {
  try {
    return parseLabelSelector(query.get('labelSelector') ?? '');
  } catch (error) {
    throw badRequest(`unable to parse labelSelector: ${error instanceof Error ? error.message : ''}`, error);
  }
}

function nodeMetrics(usage: NodeUsage, labels: Labels): Metrics {
  return { metadata: metadataOf({ name: usage.name }, usage.time, labels), timestamp: usage.time, window: windowText(usage.windowMs), usage: usageOf(usage) };
}

function podMetrics(usage: PodUsage, labels: Labels): Metrics {
  const containers = usage.containers.map((container) => ({ name: container.name, usage: usageOf(container) }));
  return { metadata: metadataOf({ name: usage.name, namespace: usage.namespace }, usage.time, labels), timestamp: usage.time, window: windowText(usage.windowMs), containers };
}

function metadataOf(place: { name: string; namespace?: string }, time: string, labels: Labels): Metrics['metadata'] & { creationTimestamp: string } {
  return { ...place, creationTimestamp: time, ...(labels === undefined ? {} : { labels }) };
}

function usageOf({ cpuNanocores, memoryBytes }: { cpuNanocores: bigint; memoryBytes: number }): { cpu: string; memory: string } {
  return { cpu: `${cpuNanocores}n`, memory: canonicalQuantity(`${Math.ceil(memoryBytes / 1024)}Ki`) };
}

function windowText(windowMs: number): string {
  return `${windowMs / 1000}s`;
}

/** `kubectl get pods.metrics.k8s.io`. */
function tableOf(items: readonly Metrics[]): unknown {
  const columns = [nameColumn, ageColumn];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: {},
    columnDefinitions: [
      { name: 'Name', type: 'string', format: 'name', description: nameColumn.description, priority: 0 },
      { name: 'CPU', type: 'string', format: '', description: 'Current CPU use.', priority: 0 },
      { name: 'Memory', type: 'string', format: '', description: 'Current memory use.', priority: 0 },
    ],
    rows: items.map((item) => ({ cells: [columns[0]?.cell(item as unknown as ApiObject, 0), ...totals(item)], object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: item.metadata } })),
  };
}

function totals(item: Metrics): [string, string] {
  const usages = Array.isArray(item['containers']) ? (item['containers'] as { usage: { cpu: string; memory: string } }[]).map(({ usage }) => usage) : [];
  const own = isFields(item['usage']) ? [item['usage'] as { cpu: string; memory: string }] : usages;
  const cpu = own.reduce((sum, usage) => sum + BigInt(usage.cpu.replace('n', '')), 0n);
  return [canonicalQuantity(`${cpu}n`), own.map(({ memory }) => memory).join('+')];
}
