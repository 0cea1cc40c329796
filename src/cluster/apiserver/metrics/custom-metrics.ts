import { type k8s, matchesLabels, parseLabelSelector, resources, selectorMatches } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { badRequest, methodNotAllowed } from '../errors.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { type ApiObject, apiVersionOfKind } from '../kinds/kind.ts';
import type { DiscoveredResource, VirtualResource } from '../kinds/virtual.ts';
import { listObjects, type Machine } from '../operations/machine.ts';
import type { CustomMetricsSource, PodMetric } from '../ports.ts';
import { sendJson } from '../requests/respond.ts';

const group = 'custom.metrics.k8s.io';
const versions = ['v1beta2', 'v1beta1'] as const;

/** What a metric can be asked of: pods themselves, and what stands for a set of pods. */
const subjects = ['pods', 'services', 'deployments.apps', 'replicasets.apps', 'statefulsets.apps', 'daemonsets.apps', 'jobs.batch'] as const;

/** custom.metrics.k8s.io: metrics that pods make themselves, of each pod, or added up for what selects them. */
export function customMetricsResources(machine: Machine, source: CustomMetricsSource): VirtualResource[] {
  return versions.flatMap((version) =>
    [...subjects, 'metrics'].map((plural, index): VirtualResource => ({
      ...{ group, version, plural, singular: '', kind: 'MetricValueList', isNamespaced: true, verbs: ['get'] },
      // All of them are told once: `pods/http_requests_per_second` is what a client looks for.
      discovered: () => (index === 0 ? discovered(version, source) : []),
      serve: (exchange) => serve(machine, source, exchange),
    })),
  );
}

function discovered(version: string, source: CustomMetricsSource): DiscoveredResource[] {
  return source.names().flatMap((metric) =>
    [...subjects.map((subject) => `${subject}/${metric}`), `namespaces/${metric}`].map((plural) => ({
      ...{ group, version, plural, singular: '', kind: 'MetricValueList', verbs: ['get'], shortNames: [], categories: [], subresources: [] },
      isNamespaced: !plural.startsWith('namespaces/'),
    })),
  );
}

async function serve(machine: Machine, source: CustomMetricsSource, exchange: Exchange): Promise<void> {
  const { info, query, request, response } = exchange;
  const { namespace, plural, name, version } = info;
  const metric = plural === 'metrics' ? name : info.subresource;
  if (info.verb !== 'get' || metric === '' || info.rest !== '' || (plural === 'metrics' && info.subresource !== '')) throw methodNotAllowed();
  const labels = selectorOf(query, 'labelSelector');
  const metricLabels = selectorOf(query, 'metricLabelSelector');
  const samples = source.metrics(namespace).filter((sample) => sample.metric === metric && matchesLabels(metricLabels, sample.labels));
  const pods = [...listObjects(machine, resources.pods, namespace)];
  const found = subjectsOf(machine, plural, namespace, name).filter(({ object }) => name !== '*' || matchesLabels(labels, object.metadata.labels));
  const items = found.flatMap(({ object, apiVersion }) => {
    const own = samplesOf(object, plural, pods, samples);
    return own.length === 0 ? [] : [metricValue(version, metric, query.get('metricLabelSelector') ?? '', { kind: object.kind, namespace, name: object.metadata.name, apiVersion }, own)];
  });
  if (items.length === 0) throw new GantryError('not-found', `the server could not find the metric ${metric} for ${plural === 'metrics' ? 'namespaces' : plural}${name === '*' || plural === 'metrics' ? '' : ` ${name}`}`);
  await sendJson(request, response, 200, { kind: 'MetricValueList', apiVersion: `${group}/${version}`, metadata: {}, items });
}

interface Subject { readonly object: ApiObject; readonly apiVersion: string }

function subjectsOf(machine: Machine, plural: string, namespace: string, name: string): Subject[] {
  if (plural === 'metrics') return [...listObjects(machine, resources.namespaces, '')].filter(({ metadata }) => metadata.name === namespace).map((object) => ({ object, apiVersion: '/v1' }));
  const [resource = '', ...groupParts] = plural.split('.');
  const kind = machine.kinds.findStored(groupParts.join('.'), resource);
  if (kind === undefined) return [];
  const apiVersion = kind.type.group === '' ? '/v1' : apiVersionOfKind(kind);
  return [...listObjects(machine, kind.type, namespace)].filter(({ metadata }) => name === '*' || metadata.name === name).map((object) => ({ object, apiVersion }));
}

/** The samples of a pod, or of the pods that an object selects. A Service selects by a plain map. */
function samplesOf(object: ApiObject, plural: string, pods: readonly ApiObject[], samples: readonly PodMetric[]): PodMetric[] {
  if (plural === 'pods') return samples.filter(({ pod }) => pod === object.metadata.name);
  if (plural === 'metrics') return [...samples];
  const { selector } = (object.spec ?? {}) as { selector?: k8s.LabelSelector | Record<string, string> };
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  const labelSelector = plural === 'services' ? { matchLabels: selector as Record<string, string> } : (selector as k8s.LabelSelector);
  const names = new Set(pods.filter(({ metadata }) => selectorMatches(labelSelector, metadata.labels)).map(({ metadata }) => metadata.name));
  return samples.filter(({ pod }) => names.has(pod));
}

function metricValue(version: string, metric: string, selector: string, describedObject: Record<string, string>, samples: readonly PodMetric[]): unknown {
  const milli = Math.round(samples.reduce((sum, { value }) => sum + value, 0) * 1000);
  const windowMs = Math.max(...samples.map((sample) => sample.windowMs));
  const requirements = parseLabelSelector(selector);
  const matchExpressions = requirements.map(({ key, operator, values }) => ({ key, operator: operatorNames[operator], ...(values.length === 0 ? {} : { values }) }));
  const named = matchExpressions.length === 0 ? {} : { selector: { matchExpressions } };
  return {
    describedObject,
    ...(version === 'v1beta1' ? { metricName: metric, ...named } : { metric: { name: metric, ...named } }),
    timestamp: samples[0]?.time,
    ...(windowMs === 0 ? {} : version === 'v1beta1' ? { window: Math.round(windowMs / 1000) } : { windowSeconds: Math.round(windowMs / 1000) }),
    value: milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`,
  };
}

const operatorNames = { in: 'In', notin: 'NotIn', exists: 'Exists', absent: 'DoesNotExist', gt: 'Gt', lt: 'Lt' } as const;

function selectorOf(query: URLSearchParams, parameter: string): ReturnType<typeof parseLabelSelector> {
  try {
    return parseLabelSelector(query.get(parameter) ?? '');
  } catch (error) {
    throw badRequest(`unable to parse ${parameter}: ${error instanceof Error ? error.message : ''}`, error);
  }
}
