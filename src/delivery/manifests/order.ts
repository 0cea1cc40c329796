import type { ManifestObject } from './parse-manifests.ts';

/** What others need comes first: places, definitions, rights, configuration, addresses, then what runs, then what steers it. */
const order: readonly (readonly string[])[] = [
  ['Namespace'],
  ['CustomResourceDefinition', 'PriorityClass', 'StorageClass'],
  ['ResourceQuota', 'LimitRange', 'NetworkPolicy'],
  ['ServiceAccount', 'ClusterRole', 'Role', 'ClusterRoleBinding', 'RoleBinding'],
  ['ConfigMap', 'Secret', 'PersistentVolume', 'PersistentVolumeClaim'],
  ['Service'],
  ['Pod', 'ReplicaSet', 'Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'],
  ['HorizontalPodAutoscaler', 'PodDisruptionBudget', 'Ingress', 'HTTPRoute'],
];

/** The objects in the order in which they are applied; kinds of custom definitions come last, and the given order stays within a rank. */
export function inApplyOrder<T extends Pick<ManifestObject, 'kind'>>(objects: readonly T[]): T[] {
  const rank = ({ kind }: T): number => {
    const index = order.findIndex((kinds) => kinds.includes(kind));
    return index < 0 ? order.length : index;
  };
  return objects.toSorted((a, b) => rank(a) - rank(b));
}
