import type { k8s } from '../../../api/mod.ts';
import { ageSince } from './age.ts';
import type { ColumnOf } from './define.ts';
import { containerColumns, joined, labelsText, selectorText } from './text.ts';

/** Deployments. */
export const deploymentColumns: readonly ColumnOf<k8s.Deployment>[] = [
  { name: 'Ready', type: 'string', description: 'Number of the pod with ready state.', cell: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}` },
  { name: 'Up-to-date', type: 'string', description: 'Total number of non-terminated pods targeted by this deployment that have the desired template spec.', cell: ({ status }) => status?.updatedReplicas ?? 0 },
  { name: 'Available', type: 'string', description: 'Total number of available non-terminating pods (ready for at least minReadySeconds).', cell: ({ status }) => status?.availableReplicas ?? 0 },
];

/** The selector of a workload. */
export function selectorColumn<T extends { spec?: { selector?: k8s.LabelSelector } }>(): ColumnOf<T> {
  return { name: 'Selector', type: 'string', priority: 1, description: 'Label selector for pods.', cell: ({ spec }) => selectorText(spec?.selector) };
}

export const workloadWideColumns = <T extends { spec?: { selector?: k8s.LabelSelector; template?: k8s.PodTemplateSpec } }>(): ColumnOf<T>[] => [...containerColumns<T>(), selectorColumn<T>()];

/** ReplicaSets. */
export const replicaSetColumns: readonly ColumnOf<k8s.ReplicaSet>[] = [
  { name: 'Desired', type: 'integer', description: 'Number of desired pods.', cell: ({ spec }) => spec?.replicas ?? 0 },
  { name: 'Current', type: 'integer', description: 'Number of pods that exist.', cell: ({ status }) => status?.replicas ?? 0 },
  { name: 'Ready', type: 'integer', description: 'Number of pods that are ready.', cell: ({ status }) => status?.readyReplicas ?? 0 },
];

/** Services. */
export const serviceColumns: readonly ColumnOf<k8s.Service>[] = [
  { name: 'Type', type: 'string', description: 'How the Service is exposed.', cell: ({ spec }) => spec?.type ?? '' },
  { name: 'Cluster-IP', type: 'string', description: 'IP address of the service.', cell: ({ spec }) => spec?.clusterIP ?? '<none>' },
  { name: 'External-IP', type: 'string', description: 'Addresses from outside.', cell: externalAddresses },
  { name: 'Port(s)', type: 'string', description: 'The list of ports that are exposed by this service.', cell: ({ spec }) => joined(spec?.ports?.map(({ port, nodePort, protocol }) => (nodePort ? `${port}:${nodePort}/${protocol ?? ''}` : `${port}/${protocol ?? ''}`))) },
];

export const serviceWideColumns: readonly ColumnOf<k8s.Service>[] = [{ name: 'Selector', type: 'string', priority: 1, description: 'Labels of the pods that get the traffic.', cell: ({ spec }) => labelsText(spec?.selector) }];

function externalAddresses({ spec, status }: k8s.Service): string {
  const fixed = spec?.externalIPs ?? [];
  if (spec?.type === 'ExternalName') return spec.externalName ?? '<none>';
  if (spec?.type !== 'LoadBalancer') return joined(fixed);
  const given = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '');
  return [...given, ...fixed].length === 0 ? '<pending>' : joined([...given, ...fixed]);
}

/** Nodes. */
export const nodeColumns: readonly ColumnOf<k8s.Node>[] = [
  { name: 'Status', type: 'string', description: 'The status of the node', cell: nodeStatus },
  {
    name: 'Roles',
    type: 'string',
    description: 'The roles of the node',
    cell: ({ metadata }) => joined(Object.keys(metadata?.labels ?? {}).filter((label) => label.startsWith('node-role.kubernetes.io/')).map((label) => label.slice('node-role.kubernetes.io/'.length)).toSorted()),
  },
];

export const nodeWideColumns: readonly ColumnOf<k8s.Node>[] = [
  { name: 'Version', type: 'string', description: 'Version of the node agent.', cell: ({ status }) => status?.nodeInfo?.kubeletVersion ?? '' },
  { name: 'Internal-IP', type: 'string', priority: 1, description: 'Address inside the cluster.', cell: (node) => nodeAddress(node, 'InternalIP') },
  { name: 'External-IP', type: 'string', priority: 1, description: 'Address from outside.', cell: (node) => nodeAddress(node, 'ExternalIP') },
  { name: 'OS-Image', type: 'string', priority: 1, description: 'Operating system.', cell: ({ status }) => status?.nodeInfo?.osImage ?? '<unknown>' },
  { name: 'Kernel-Version', type: 'string', priority: 1, description: 'Kernel of the node.', cell: ({ status }) => status?.nodeInfo?.kernelVersion ?? '<unknown>' },
  { name: 'Container-Runtime', type: 'string', priority: 1, description: 'Container engine of the node.', cell: ({ status }) => status?.nodeInfo?.containerRuntimeVersion ?? '<unknown>' },
];

function nodeStatus({ spec, status }: k8s.Node): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const words = [ready === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady'];
  if (spec?.unschedulable === true) words.push('SchedulingDisabled');
  return words.join(',');
}

function nodeAddress({ status }: k8s.Node, wanted: string): string {
  return status?.addresses?.find(({ type }) => type === wanted)?.address ?? '<none>';
}

/** Events; the frame of name and age does not fit them. */
export const eventColumns: readonly ColumnOf<k8s.Event>[] = [
  { name: 'Last Seen', type: 'string', description: 'Time since it was last seen.', cell: (event, nowMs) => ageSince(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp, nowMs) },
  { name: 'Type', type: 'string', description: 'Normal or Warning.', cell: ({ type }) => type ?? '' },
  { name: 'Reason', type: 'string', description: 'Short reason.', cell: ({ reason }) => reason ?? '' },
  { name: 'Object', type: 'string', description: 'What it is about.', cell: ({ involvedObject }) => `${(involvedObject.kind ?? '').toLowerCase()}/${involvedObject.name ?? ''}` },
  { name: 'Subobject', type: 'string', priority: 1, description: 'Part of the object.', cell: ({ involvedObject }) => involvedObject.fieldPath ?? '' },
  { name: 'Source', type: 'string', priority: 1, description: 'Who reported it.', cell: ({ source, reportingComponent, reportingInstance }) => joined([source?.component ?? reportingComponent ?? '', source?.host ?? reportingInstance ?? ''].filter((part) => part !== '')).replace(',', ', ').replace('<none>', '') },
  { name: 'Message', type: 'string', description: 'What happened.', cell: ({ message }) => (message ?? '').trim() },
  { name: 'First Seen', type: 'string', priority: 1, description: 'Time since it was first seen.', cell: (event, nowMs) => ageSince(event.firstTimestamp ?? event.eventTime, nowMs) },
  { name: 'Count', type: 'string', priority: 1, description: 'How often it was seen.', cell: ({ count, series }) => count ?? series?.count ?? 1 },
  { name: 'Name', type: 'string', format: 'name', priority: 1, description: 'Name of the event.', cell: ({ metadata }) => metadata.name ?? '' },
];

/** HorizontalPodAutoscalers. */
export const autoscalerColumns: readonly ColumnOf<k8s.HorizontalPodAutoscaler>[] = [
  { name: 'Reference', type: 'string', description: 'What is scaled.', cell: ({ spec }) => `${spec?.scaleTargetRef.kind ?? ''}/${spec?.scaleTargetRef.name ?? ''}` },
  { name: 'Targets', type: 'string', description: 'Current and wanted values of the metrics.', cell: (autoscaler) => autoscalerTargets(autoscaler) },
  { name: 'MinPods', type: 'string', description: 'Lower limit of the pods.', cell: ({ spec }) => String(spec?.minReplicas ?? '<unset>') },
  { name: 'MaxPods', type: 'integer', description: 'Upper limit of the pods.', cell: ({ spec }) => spec?.maxReplicas ?? 0 },
  { name: 'Replicas', type: 'integer', description: 'Current number of pods.', cell: ({ status }) => status?.currentReplicas ?? 0 },
];

function autoscalerTargets({ spec, status }: k8s.HorizontalPodAutoscaler): string {
  const texts = (spec?.metrics ?? []).map((metric, index) => targetText(metric, status?.currentMetrics?.[index]));
  return joined(texts, 2);
}

function targetText(metric: k8s.MetricSpec, status: k8s.MetricStatus | undefined): string {
  const source = metric.resource ?? metric.containerResource ?? metric.pods ?? metric.object ?? metric.external;
  const current = (status?.resource ?? status?.containerResource ?? status?.pods ?? status?.object ?? status?.external)?.current;
  const name = metric.resource?.name ?? metric.containerResource?.name;
  const prefix = name === undefined ? '' : `${name}: `;
  if (source?.target.averageUtilization !== undefined) return `${prefix}${current?.averageUtilization === undefined ? '<unknown>' : `${current.averageUtilization}%`}/${source.target.averageUtilization}%`;
  const isAverage = source?.target.averageValue !== undefined;
  return `${prefix}${(isAverage ? current?.averageValue : current?.value) ?? '<unknown>'}/${(isAverage ? source.target.averageValue : source?.target.value) ?? '<auto>'}${isAverage && metric.resource === undefined ? ' (avg)' : ''}`;
}

/** EndpointSlices. */
export const endpointSliceColumns: readonly ColumnOf<k8s.EndpointSlice>[] = [
  { name: 'AddressType', type: 'string', description: 'Type of the addresses.', cell: ({ addressType }) => addressType },
  { name: 'Ports', type: 'string', description: 'Ports of the endpoints.', cell: ({ ports }) => (ports === undefined || ports.length === 0 ? '<unset>' : joined(ports.map(({ port }) => (port === undefined ? '*' : String(port))), 3)) },
  { name: 'Endpoints', type: 'string', description: 'Addresses of the endpoints.', cell: ({ endpoints }) => (endpoints === undefined || endpoints.length === 0 ? '<unset>' : joined(endpoints.flatMap(({ addresses }) => addresses), 3)) },
];
