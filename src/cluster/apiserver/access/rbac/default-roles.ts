import type { k8s } from '../../../../api/mod.ts';

/** An object that the server makes for itself. */
export interface InitialObject { readonly metadata: { readonly name: string; readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> }; readonly [field: string]: unknown }

const rbac = 'rbac.authorization.k8s.io';
const read = ['get', 'list', 'watch'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];

/** What people work with, by API group. */
const workResources: readonly (readonly [group: string, resources: readonly string[]])[] = [
  ['', ['configmaps', 'endpoints', 'persistentvolumeclaims', 'pods', 'replicationcontrollers', 'replicationcontrollers/scale', 'serviceaccounts', 'services']],
  ['apps', ['daemonsets', 'deployments', 'deployments/scale', 'replicasets', 'replicasets/scale', 'statefulsets', 'statefulsets/scale']],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['batch', ['cronjobs', 'jobs']],
  ['policy', ['poddisruptionbudgets']],
  ['networking.k8s.io', ['ingresses', 'networkpolicies']],
  ['gateway.networking.k8s.io', ['gateways', 'httproutes', 'referencegrants']],
  ['gantry.dev', ['repositories', 'workflowruns', 'imagebuilds', 'imagebuilds/log', 'releases']],
];

/** What can only be looked at. */
const viewedResources: readonly (readonly [group: string, resources: readonly string[]])[] = [
  ['', ['bindings', 'events', 'limitranges', 'namespaces', 'namespaces/status', 'pods/log', 'pods/status', 'resourcequotas', 'resourcequotas/status', 'services/status']],
  ['apps', ['controllerrevisions', 'daemonsets/status', 'deployments/status', 'replicasets/status', 'statefulsets/status']],
  ['discovery.k8s.io', ['endpointslices']],
  ['events.k8s.io', ['events']],
  ['metrics.k8s.io', ['pods', 'nodes']],
];

const rules = (table: readonly (readonly [string, readonly string[]])[], verbs: readonly string[]): k8s.PolicyRule[] => table.map(([group, resources]) => ({ apiGroups: [group], resources: [...resources], verbs: [...verbs] }));

function clusterRole(name: string, given: k8s.PolicyRule[], labels: Record<string, string> = {}): InitialObject {
  return { metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels } }, rules: given };
}

const aggregateLabel = (target: string): string => `rbac.authorization.k8s.io/aggregate-to-${target}`;

function aggregated(name: string, labels: Record<string, string> = {}): InitialObject {
  return {
    metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels } },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateLabel(name)]: 'true' } }] },
    rules: [],
  };
}

/** The roles every cluster has (Kubernetes RBAC documentation, "Default roles and role bindings"). */
export const defaultClusterRoles: readonly InitialObject[] = [
  clusterRole('cluster-admin', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }, { nonResourceURLs: ['*'], verbs: ['*'] }]),
  clusterRole('system:discovery', [{ nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/healthz', '/livez', '/openapi', '/openapi/*', '/readyz', '/version', '/version/'], verbs: ['get'] }]),
  clusterRole('system:public-info-viewer', [{ nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'], verbs: ['get'] }]),
  clusterRole('system:basic-user', [
    { apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], verbs: ['create'] },
    { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
  ]),
  clusterRole('system:service-account-issuer-discovery', [{ nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] }]),
  clusterRole('system:auth-delegator', [
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  ]),
  clusterRole('system:aggregate-to-view', rules([...workResources, ...viewedResources], read), { [aggregateLabel('view')]: 'true' }),
  clusterRole(
    'system:aggregate-to-edit',
    [
      ...rules(workResources, write),
      { apiGroups: [''], resources: ['secrets'], verbs: [...read, ...write] },
      { apiGroups: [''], resources: ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'services/proxy'], verbs: [...read, ...write] },
      { apiGroups: [''], resources: ['pods/eviction', 'serviceaccounts/token'], verbs: ['create'] },
      { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['get', 'patch', 'update'] },
      { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['impersonate'] },
      { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: write },
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...read, ...write] },
    ],
    { [aggregateLabel('edit')]: 'true' },
  ),
  clusterRole('system:aggregate-to-admin', [{ apiGroups: [rbac], resources: ['rolebindings', 'roles'], verbs: [...read, ...write] }, { apiGroups: ['authorization.k8s.io'], resources: ['localsubjectaccessreviews'], verbs: ['create'] }], {
    [aggregateLabel('admin')]: 'true',
  }),
  aggregated('view', { [aggregateLabel('edit')]: 'true' }),
  aggregated('edit', { [aggregateLabel('admin')]: 'true' }),
  aggregated('admin'),
];

function binding(name: string, groups: readonly string[], role = name): InitialObject {
  return { metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } }, roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role }, subjects: groups.map((group) => ({ apiGroup: rbac, kind: 'Group', name: group })) };
}

/** Who has them from the start. */
export const defaultClusterRoleBindings: readonly InitialObject[] = [
  binding('cluster-admin', ['system:masters']),
  binding('system:discovery', ['system:authenticated']),
  binding('system:basic-user', ['system:authenticated']),
  binding('system:public-info-viewer', ['system:authenticated', 'system:unauthenticated']),
  binding('system:service-account-issuer-discovery', ['system:serviceaccounts']),
];
