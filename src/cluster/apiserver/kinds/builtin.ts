import { type BuiltinSchemas, type k8s, type KubeObject, type ResourceType, resources } from '../../../api/mod.ts';
import { definitionStrategy } from '../custom/definition-strategy.ts';
import { ageSince } from './age.ts';
import { autoscalerV1Conversion } from './autoscaler-v1.ts';
import { autoscalerStrategy } from './autoscaler.ts';
import { cronJobColumns, cronJobWideColumns, jobColumns, jobWideColumns } from './batch-columns.ts';
import { configMapStrategy, secretStrategy } from './config-map.ts';
import { cronJobStrategy } from './cron-job.ts';
import { buildKind, type ColumnOf, entry, type KindEntry } from './define.ts';
import { daemonSetStrategy } from './daemon-set.ts';
import { endpointsColumns, endpointsStrategy } from './endpoints.ts';
import { eventConversion, eventFields, eventStrategy, newerEventFields } from './event.ts';
import { deploymentStrategy } from './deployment.ts';
import { disruptionBudgetStrategy } from './disruption-budget.ts';
import { ingressClassStrategy, ingressStrategy } from './ingress.ts';
import { jobStrategy } from './job.ts';
import type { ApiObject, Kind } from './kind.ts';
import { limitRangeStrategy } from './limit-range.ts';
import { namespaceStrategy } from './namespace.ts';
import { autoscalerColumns, deploymentColumns, endpointSliceColumns, eventColumns, nodeColumns, nodeWideColumns, replicaSetColumns, serviceColumns, serviceWideColumns, workloadWideColumns } from './other-columns.ts';
import { persistentVolumeStrategy } from './persistent-volume.ts';
import { podColumns, podWideColumns } from './pod-columns.ts';
import { podStrategy } from './pod.ts';
import { priorityClassColumns, priorityClassStrategy } from './priority-class.ts';
import { bindingStrategy, clusterRoleStrategy, roleStrategy } from './rbac.ts';
import { replicaSetStrategy } from './replica-set.ts';
import { resourceQuotaColumns, resourceQuotaStrategy } from './resource-quota.ts';
import type { ServiceAllocator } from './service-allocator.ts';
import { serviceStrategy } from './service.ts';
import { controllerRevisionStrategy, endpointSliceStrategy, leaseStrategy, nodeStrategy } from './simple-strategies.ts';
import { statefulSetStrategy } from './stateful-set.ts';
import { storageClassStrategy } from './storage-class.ts';
import { volumeClaimStrategy } from './volume-claim.ts';
import { daemonSetColumns, disruptionBudgetColumns, ingressColumns, persistentVolumeColumns, persistentVolumeWideColumns, revisionColumns, statefulSetColumns, statefulSetWideColumns, storageClassColumns, storageClassName, volumeClaimColumns, volumeClaimWideColumns } from './workload-columns.ts';

const core = 'io.k8s.api.core.v1';
const apps = 'io.k8s.api.apps.v1';
const batch = 'io.k8s.api.batch.v1';
const rbac = 'io.k8s.api.rbac.v1';
const all = ['all'];
const scale = { specReplicas: ['spec', 'replicas'], statusReplicas: ['status', 'replicas'] };

/** The table of built-in kinds: adding one is adding an entry. */
export function builtinEntries(allocator: ServiceAllocator): KindEntry[] {
  return [
    entry({ type: resources.namespaces, schemaPackage: core, shortNames: ['ns'], nameRule: 'label', strategy: namespaceStrategy, hasGeneration: false, columns: [{ name: 'Status', type: 'string', description: 'The status of the namespace', cell: ({ status }) => status?.phase ?? '' }], selectableFields: { 'status.phase': ({ status }) => status?.phase ?? '' }, subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }] }),
    entry({ type: resources.nodes, schemaPackage: core, shortNames: ['no'], hasGeneration: false, strategy: nodeStrategy, columns: nodeColumns, wideColumns: nodeWideColumns, selectableFields: { 'spec.unschedulable': ({ spec }) => String(spec?.unschedulable === true) } }),
    entry({ type: resources.pods, schemaPackage: core, shortNames: ['po'], categories: all, strategy: podStrategy, columns: podColumns, wideColumns: podWideColumns, selectableFields: podFields, subresources: [{ name: 'binding', kind: 'Binding', verbs: ['create'] }, { name: 'ephemeralcontainers', kind: 'Pod', verbs: ['get', 'patch', 'update'] }, { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] }] }),
    entry({ type: resources.services, schemaPackage: core, shortNames: ['svc'], categories: all, nameRule: 'dns1035', hasGeneration: false, strategy: serviceStrategy(allocator), columns: serviceColumns, wideColumns: serviceWideColumns, selectableFields: { 'spec.clusterIP': ({ spec }) => spec?.clusterIP ?? '', 'spec.type': ({ spec }) => spec?.type ?? '' } }),
    entry({ type: resources.configMaps, schemaPackage: core, shortNames: ['cm'], strategy: configMapStrategy, columns: [{ name: 'Data', type: 'integer', description: 'Number of entries.', cell: ({ data = {}, binaryData = {} }) => Object.keys(data).length + Object.keys(binaryData).length }] }),
    entry({
      type: resources.secrets,
      schemaPackage: core,
      strategy: secretStrategy,
      columns: [
        { name: 'Type', type: 'string', description: 'What the secret is for.', cell: ({ type }) => type ?? '' },
        { name: 'Data', type: 'integer', description: 'Number of entries.', cell: ({ data = {} }) => Object.keys(data).length },
      ],
      selectableFields: { type: ({ type }) => type ?? '' },
    }),
    entry({ type: resources.serviceAccounts, schemaPackage: core, shortNames: ['sa'], subresources: [{ name: 'token', group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', verbs: ['create'] }], columns: [{ name: 'Secrets', type: 'string', description: 'Number of secrets.', cell: ({ secrets = [] }) => secrets.length }] }),
    entry({ type: resources.events, schemaPackage: core, shortNames: ['ev'], strategy: eventStrategy, allColumns: eventColumns, selectableFields: eventFields }),
    entry<k8s.EventsEvent>({
      type: { ...resources.events, group: 'events.k8s.io' } as ResourceType<k8s.EventsEvent>,
      schemaPackage: 'io.k8s.api.events.v1',
      schemaName: 'EventsEvent',
      stored: { group: '', version: 'v1', conversion: eventConversion },
      shortNames: ['ev'],
      allColumns: eventColumns.map((column) => ({ ...column, cell: (event, nowMs) => column.cell(eventConversion.toStored(event as unknown as ApiObject) as unknown as k8s.Event, nowMs) })),
      selectableFields: newerEventFields,
    }),
    entry({ type: resources.endpoints, schemaPackage: core, shortNames: ['ep'], deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice', strategy: endpointsStrategy, columns: endpointsColumns }),
    entry({ type: resources.deployments, schemaPackage: apps, shortNames: ['deploy'], categories: all, scale, strategy: deploymentStrategy, columns: deploymentColumns, wideColumns: workloadWideColumns<k8s.Deployment>() }),
    entry({ type: resources.replicaSets, schemaPackage: apps, shortNames: ['rs'], categories: all, scale, strategy: replicaSetStrategy, columns: replicaSetColumns, wideColumns: workloadWideColumns<k8s.ReplicaSet>(), selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) } }),
    entry({ type: resources.statefulSets, schemaPackage: apps, shortNames: ['sts'], categories: all, scale, strategy: statefulSetStrategy, columns: statefulSetColumns, wideColumns: statefulSetWideColumns }),
    entry({ type: resources.daemonSets, schemaPackage: apps, shortNames: ['ds'], categories: all, strategy: daemonSetStrategy, columns: daemonSetColumns, wideColumns: workloadWideColumns<k8s.DaemonSet>() }),
    entry({ type: resources.controllerRevisions, schemaPackage: apps, strategy: controllerRevisionStrategy, columns: revisionColumns }),
    entry({ type: resources.persistentVolumes, schemaPackage: core, shortNames: ['pv'], strategy: persistentVolumeStrategy, hasGeneration: false, columns: persistentVolumeColumns, wideColumns: persistentVolumeWideColumns }),
    entry({ type: resources.persistentVolumeClaims, schemaPackage: core, shortNames: ['pvc'], strategy: volumeClaimStrategy, hasGeneration: false, columns: volumeClaimColumns, wideColumns: volumeClaimWideColumns }),
    entry({ type: resources.storageClasses, schemaPackage: 'io.k8s.api.storage.v1', shortNames: ['sc'], strategy: storageClassStrategy, allColumns: [{ name: 'Name', type: 'string', format: 'name', description: 'Name of the object.', cell: storageClassName }, ...storageClassColumns, { name: 'Age', type: 'string', description: 'Time since it was created.', cell: ({ metadata }, nowMs) => ageSince(metadata?.creationTimestamp, nowMs) }] }),
    entry({ type: resources.podDisruptionBudgets, schemaPackage: 'io.k8s.api.policy.v1', shortNames: ['pdb'], strategy: disruptionBudgetStrategy, columns: disruptionBudgetColumns }),
    entry({ type: resources.ingresses, schemaPackage: 'io.k8s.api.networking.v1', shortNames: ['ing'], strategy: ingressStrategy, columns: ingressColumns }),
    entry({ type: resources.ingressClasses, schemaPackage: 'io.k8s.api.networking.v1', strategy: ingressClassStrategy, columns: [{ name: 'Controller', type: 'string', description: 'Who serves it.', cell: ({ spec }) => spec?.controller ?? '' }, { name: 'Parameters', type: 'string', description: 'Its parameters.', cell: ({ spec }) => spec?.parameters?.name ?? '<none>' }] }),
    entry({ type: resources.jobs, schemaPackage: batch, categories: all, strategy: jobStrategy, columns: jobColumns, wideColumns: jobWideColumns, selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) } }),
    entry({ type: resources.cronJobs, schemaPackage: batch, shortNames: ['cj'], categories: all, strategy: cronJobStrategy, columns: cronJobColumns, wideColumns: cronJobWideColumns }),
    entry({ type: resources.endpointSlices, schemaPackage: 'io.k8s.api.discovery.v1', strategy: endpointSliceStrategy, columns: endpointSliceColumns }),
    entry({ type: resources.leases, schemaPackage: 'io.k8s.api.coordination.v1', strategy: leaseStrategy, columns: [{ name: 'Holder', type: 'string', description: 'Who holds the lease.', cell: ({ spec }) => spec?.holderIdentity ?? '' }] }),
    entry({ type: resources.horizontalPodAutoscalers, schemaPackage: 'io.k8s.api.autoscaling.v2', shortNames: ['hpa'], categories: all, strategy: autoscalerStrategy, columns: autoscalerColumns, hasGeneration: false }),
    entry<k8s.HorizontalPodAutoscaler>({
      type: { ...resources.horizontalPodAutoscalers, version: 'v1' },
      schemaPackage: 'io.k8s.api.autoscaling.v1',
      schemaName: 'HorizontalPodAutoscalerV1',
      stored: { version: 'v2', conversion: autoscalerV1Conversion },
      shortNames: ['hpa'],
      categories: all,
      columns: autoscalerColumns,
      hasGeneration: false,
    }),
    entry({ type: resources.priorityClasses, schemaPackage: 'io.k8s.api.scheduling.v1', shortNames: ['pc'], strategy: priorityClassStrategy, columns: priorityClassColumns }),
    entry({ type: resources.limitRanges, schemaPackage: core, shortNames: ['limits'], strategy: limitRangeStrategy, allColumns: createdColumns }),
    entry({ type: resources.resourceQuotas, schemaPackage: core, shortNames: ['quota'], hasGeneration: false, strategy: resourceQuotaStrategy, columns: resourceQuotaColumns }),
    entry({ type: resources.roles, schemaPackage: rbac, nameRule: 'path', strategy: roleStrategy, allColumns: createdColumns }),
    entry({ type: resources.roleBindings, schemaPackage: rbac, nameRule: 'path', strategy: bindingStrategy(true), columns: [roleColumn], wideColumns: subjectColumns }),
    entry({ type: resources.clusterRoles, schemaPackage: rbac, nameRule: 'path', strategy: clusterRoleStrategy, allColumns: createdColumns }),
    entry({ type: resources.clusterRoleBindings, schemaPackage: rbac, nameRule: 'path', strategy: bindingStrategy(false), columns: [roleColumn], wideColumns: subjectColumns }),
    entry({
      type: resources.customResourceDefinitions,
      schemaPackage: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
      shortNames: ['crd', 'crds'],
      categories: ['api-extensions'],
      strategy: definitionStrategy,
      allColumns: createdColumns,
    }),
  ];
}

/** For kinds that show when they were made instead of their age. */
const createdColumns: readonly ColumnOf<KubeObject>[] = [
  { name: 'Name', type: 'string', format: 'name', description: 'Name of the object.', cell: ({ metadata }) => metadata?.name ?? '' },
  { name: 'Created At', type: 'date', description: 'When it was created.', cell: ({ metadata }) => metadata?.creationTimestamp ?? '' },
];

const roleColumn: ColumnOf<k8s.RoleBinding> = { name: 'Role', type: 'string', description: 'What is given.', cell: ({ roleRef }) => `${roleRef.kind}/${roleRef.name}` };

const subjectColumns: readonly ColumnOf<k8s.RoleBinding>[] = (['User', 'Group', 'ServiceAccount'] as const).map((kind) => ({
  name: `${kind}s`,
  type: 'string',
  priority: 1,
  description: 'To whom it is given.',
  cell: ({ subjects = [] }) => subjects.filter((subject) => subject.kind === kind).map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name)).join(', '),
}));

const podFields = {
  'spec.nodeName': ({ spec }: k8s.Pod): string => spec?.nodeName ?? '',
  'spec.restartPolicy': ({ spec }: k8s.Pod): string => spec?.restartPolicy ?? '',
  'spec.schedulerName': ({ spec }: k8s.Pod): string => spec?.schedulerName ?? '',
  'spec.serviceAccountName': ({ spec }: k8s.Pod): string => spec?.serviceAccountName ?? '',
  'spec.hostNetwork': ({ spec }: k8s.Pod): string => String(spec?.hostNetwork === true),
  'status.phase': ({ status }: k8s.Pod): string => status?.phase ?? '',
  'status.podIP': ({ status }: k8s.Pod): string => status?.podIP ?? '',
  'status.nominatedNodeName': ({ status }: k8s.Pod): string => status?.nominatedNodeName ?? '',
};

/** All built-in kinds. */
export function builtinKinds(schemas: BuiltinSchemas, allocator: ServiceAllocator): Kind[] {
  return builtinEntries(allocator).map((given) => buildKind(given, schemas));
}
