import type * as gantry from './gantry/types.ts';
import type * as gateway from './gateway/types.ts';
import type * as k8s from './kubernetes/types.gen.ts';
import type { KubeObject } from './object.ts';

/** Where a kind is served. `T` ties the kind's TypeScript type to it. */
export interface ResourceType<T extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  /** Never set; it carries `T`. */
  readonly object?: T;
}

function define<T extends KubeObject>(group: string, version: string, plural: string, kind: string, isNamespaced = true): ResourceType<T> {
  return { group, version, plural, kind, isNamespaced };
}

/** The kinds that our own code reads and writes. */
export const resources = {
  namespaces: define<k8s.Namespace>('', 'v1', 'namespaces', 'Namespace', false),
  nodes: define<k8s.Node>('', 'v1', 'nodes', 'Node', false),
  pods: define<k8s.Pod>('', 'v1', 'pods', 'Pod'),
  services: define<k8s.Service>('', 'v1', 'services', 'Service'),
  configMaps: define<k8s.ConfigMap>('', 'v1', 'configmaps', 'ConfigMap'),
  secrets: define<k8s.Secret>('', 'v1', 'secrets', 'Secret'),
  serviceAccounts: define<k8s.ServiceAccount>('', 'v1', 'serviceaccounts', 'ServiceAccount'),
  events: define<k8s.Event>('', 'v1', 'events', 'Event'),
  endpoints: define<k8s.Endpoints>('', 'v1', 'endpoints', 'Endpoints'),
  deployments: define<k8s.Deployment>('apps', 'v1', 'deployments', 'Deployment'),
  replicaSets: define<k8s.ReplicaSet>('apps', 'v1', 'replicasets', 'ReplicaSet'),
  statefulSets: define<k8s.StatefulSet>('apps', 'v1', 'statefulsets', 'StatefulSet'),
  daemonSets: define<k8s.DaemonSet>('apps', 'v1', 'daemonsets', 'DaemonSet'),
  controllerRevisions: define<k8s.ControllerRevision>('apps', 'v1', 'controllerrevisions', 'ControllerRevision'),
  jobs: define<k8s.Job>('batch', 'v1', 'jobs', 'Job'),
  cronJobs: define<k8s.CronJob>('batch', 'v1', 'cronjobs', 'CronJob'),
  podDisruptionBudgets: define<k8s.PodDisruptionBudget>('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  persistentVolumes: define<k8s.PersistentVolume>('', 'v1', 'persistentvolumes', 'PersistentVolume', false),
  persistentVolumeClaims: define<k8s.PersistentVolumeClaim>('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim'),
  storageClasses: define<k8s.StorageClass>('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass', false),
  ingresses: define<k8s.Ingress>('networking.k8s.io', 'v1', 'ingresses', 'Ingress'),
  ingressClasses: define<k8s.IngressClass>('networking.k8s.io', 'v1', 'ingressclasses', 'IngressClass', false),
  gatewayClasses: define<gateway.GatewayClass>('gateway.networking.k8s.io', 'v1', 'gatewayclasses', 'GatewayClass', false),
  gateways: define<gateway.Gateway>('gateway.networking.k8s.io', 'v1', 'gateways', 'Gateway'),
  httpRoutes: define<gateway.HTTPRoute>('gateway.networking.k8s.io', 'v1', 'httproutes', 'HTTPRoute'),
  referenceGrants: define<gateway.ReferenceGrant>('gateway.networking.k8s.io', 'v1beta1', 'referencegrants', 'ReferenceGrant'),
  endpointSlices: define<k8s.EndpointSlice>('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice'),
  leases: define<k8s.Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease'),
  horizontalPodAutoscalers: define<k8s.HorizontalPodAutoscaler>('autoscaling', 'v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler'),
  priorityClasses: define<k8s.PriorityClass>('scheduling.k8s.io', 'v1', 'priorityclasses', 'PriorityClass', false),
  limitRanges: define<k8s.LimitRange>('', 'v1', 'limitranges', 'LimitRange'),
  resourceQuotas: define<k8s.ResourceQuota>('', 'v1', 'resourcequotas', 'ResourceQuota'),
  roles: define<k8s.Role>('rbac.authorization.k8s.io', 'v1', 'roles', 'Role'),
  roleBindings: define<k8s.RoleBinding>('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding'),
  clusterRoles: define<k8s.ClusterRole>('rbac.authorization.k8s.io', 'v1', 'clusterroles', 'ClusterRole', false),
  clusterRoleBindings: define<k8s.ClusterRoleBinding>('rbac.authorization.k8s.io', 'v1', 'clusterrolebindings', 'ClusterRoleBinding', false),
  customResourceDefinitions: define<k8s.CustomResourceDefinition>('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', false),
  repositories: define<gantry.Repository>('gantry.dev', 'v1', 'repositories', 'Repository'),
  workflowRuns: define<gantry.WorkflowRun>('gantry.dev', 'v1', 'workflowruns', 'WorkflowRun'),
  imageBuilds: define<gantry.ImageBuild>('gantry.dev', 'v1', 'imagebuilds', 'ImageBuild'),
  releases: define<gantry.Release>('gantry.dev', 'v1', 'releases', 'Release'),
  registryTokens: define<gantry.RegistryToken>('gantry.dev', 'v1', 'registrytokens', 'RegistryToken', false),
  registryPolicies: define<gantry.RegistryPolicy>('gantry.dev', 'v1', 'registrypolicies', 'RegistryPolicy', false),
  registryUpstreams: define<gantry.RegistryUpstream>('gantry.dev', 'v1', 'registryupstreams', 'RegistryUpstream', false),
} as const;

/** `v1` or `group/version`. */
export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}
