import type { k8s } from '../../../api/mod.ts';
import type { ColumnOf } from './define.ts';
import { containerColumns, joined, labelsText, selectorText } from './text.ts';

/** StatefulSets. */
export const statefulSetColumns: readonly ColumnOf<k8s.StatefulSet>[] = [{ name: 'Ready', type: 'string', description: 'Number of the pod with ready state.', cell: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}` }];
export const statefulSetWideColumns: readonly ColumnOf<k8s.StatefulSet>[] = containerColumns<k8s.StatefulSet>();

/** DaemonSets. */
export const daemonSetColumns: readonly ColumnOf<k8s.DaemonSet>[] = [
  { name: 'Desired', type: 'integer', description: 'Nodes that should run the daemon pod.', cell: ({ status }) => status?.desiredNumberScheduled ?? 0 },
  { name: 'Current', type: 'integer', description: 'Nodes that run it.', cell: ({ status }) => status?.currentNumberScheduled ?? 0 },
  { name: 'Ready', type: 'integer', description: 'Nodes where it is ready.', cell: ({ status }) => status?.numberReady ?? 0 },
  { name: 'Up-to-date', type: 'integer', description: 'Nodes that run the newest version.', cell: ({ status }) => status?.updatedNumberScheduled ?? 0 },
  { name: 'Available', type: 'integer', description: 'Nodes where it is available.', cell: ({ status }) => status?.numberAvailable ?? 0 },
  { name: 'Node Selector', type: 'string', description: 'Labels of the nodes it runs on.', cell: ({ spec }) => labelsText(spec?.template.spec?.nodeSelector) },
];

/** ControllerRevisions. */
export const revisionColumns: readonly ColumnOf<k8s.ControllerRevision>[] = [
  { name: 'Controller', type: 'string', description: 'What it is a revision of.', cell: ({ metadata }) => metadata?.ownerReferences?.filter(({ controller }) => controller === true).map(({ kind, name, apiVersion }) => `${kind.toLowerCase()}.${apiVersion.split('/')[0] ?? ''}/${name}`)[0] ?? '<none>' },
  { name: 'Revision', type: 'integer', description: 'Its number.', cell: ({ revision }) => revision },
];

const modes: Readonly<Record<string, string>> = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' };
const modesText = (list: readonly string[] | undefined): string => (list ?? []).map((mode) => modes[mode] ?? mode).join(',');

/** PersistentVolumes. */
export const persistentVolumeColumns: readonly ColumnOf<k8s.PersistentVolume>[] = [
  { name: 'Capacity', type: 'string', description: 'Its size.', cell: ({ spec }) => spec?.capacity?.['storage'] ?? '' },
  { name: 'Access Modes', type: 'string', description: 'How it can be mounted.', cell: ({ spec }) => modesText(spec?.accessModes) },
  { name: 'Reclaim Policy', type: 'string', description: 'What becomes of it when its claim goes.', cell: ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? '' },
  { name: 'Status', type: 'string', description: 'Its phase.', cell: ({ metadata, status }) => (metadata?.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating') },
  { name: 'Claim', type: 'string', description: 'The claim that has it.', cell: ({ spec }) => (spec?.claimRef === undefined ? '' : `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}`) },
  { name: 'StorageClass', type: 'string', description: 'Its class.', cell: ({ spec }) => spec?.storageClassName ?? '' },
  { name: 'VolumeAttributesClass', type: 'string', description: 'Its attributes class.', cell: () => '<unset>' },
  { name: 'Reason', type: 'string', description: 'Why it failed.', cell: ({ status }) => status?.reason ?? '' },
];
export const persistentVolumeWideColumns: readonly ColumnOf<k8s.PersistentVolume>[] = [{ name: 'VolumeMode', type: 'string', priority: 1, description: 'Filesystem or Block.', cell: ({ spec }) => spec?.volumeMode ?? '<unset>' }];

/** PersistentVolumeClaims. */
export const volumeClaimColumns: readonly ColumnOf<k8s.PersistentVolumeClaim>[] = [
  { name: 'Status', type: 'string', description: 'Its phase.', cell: ({ metadata, status }) => (metadata?.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating') },
  { name: 'Volume', type: 'string', description: 'The volume it is bound to.', cell: ({ spec }) => spec?.volumeName ?? '' },
  { name: 'Capacity', type: 'string', description: 'Size of the volume.', cell: ({ spec, status }) => (spec?.volumeName === undefined ? '' : (status?.capacity?.['storage'] ?? '')) },
  { name: 'Access Modes', type: 'string', description: 'How it can be mounted.', cell: ({ spec, status }) => (spec?.volumeName === undefined ? '' : modesText(status?.accessModes)) },
  { name: 'StorageClass', type: 'string', description: 'Its class.', cell: ({ spec }) => spec?.storageClassName ?? '' },
  { name: 'VolumeAttributesClass', type: 'string', description: 'Its attributes class.', cell: () => '<unset>' },
];
export const volumeClaimWideColumns: readonly ColumnOf<k8s.PersistentVolumeClaim>[] = [{ name: 'VolumeMode', type: 'string', priority: 1, description: 'Filesystem or Block.', cell: ({ spec }) => spec?.volumeMode ?? '<unset>' }];

/** StorageClasses. */
export const storageClassColumns: readonly ColumnOf<k8s.StorageClass>[] = [
  { name: 'Provisioner', type: 'string', description: 'Who makes its volumes.', cell: ({ provisioner }) => provisioner },
  { name: 'ReclaimPolicy', type: 'string', description: 'What becomes of volumes whose claim goes.', cell: ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete' },
  { name: 'VolumeBindingMode', type: 'string', description: 'When volumes are made.', cell: ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate' },
  { name: 'AllowVolumeExpansion', type: 'string', description: 'Whether volumes can grow.', cell: ({ allowVolumeExpansion }) => String(allowVolumeExpansion === true) },
];

/** The first column of StorageClasses marks the default. */
export function storageClassName({ metadata }: k8s.StorageClass): string {
  return `${metadata?.name ?? ''}${metadata?.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true' ? ' (default)' : ''}`;
}

/** PodDisruptionBudgets. */
export const disruptionBudgetColumns: readonly ColumnOf<k8s.PodDisruptionBudget>[] = [
  { name: 'Min Available', type: 'string', description: 'How many pods must stay.', cell: ({ spec }) => String(spec?.minAvailable ?? 'N/A') },
  { name: 'Max Unavailable', type: 'string', description: 'How many pods may be missing.', cell: ({ spec }) => String(spec?.maxUnavailable ?? 'N/A') },
  { name: 'Allowed Disruptions', type: 'integer', description: 'How many pods may be evicted now.', cell: ({ status }) => status?.disruptionsAllowed ?? 0 },
];

/** Ingresses. */
export const ingressColumns: readonly ColumnOf<k8s.Ingress>[] = [
  { name: 'Class', type: 'string', description: 'Its class.', cell: ({ spec }) => spec?.ingressClassName ?? '<none>' },
  { name: 'Hosts', type: 'string', description: 'Hosts it serves.', cell: ({ spec }) => joined((spec?.rules ?? []).map(({ host }) => host ?? '').filter((host) => host !== ''), 3).replace('<none>', '*') },
  { name: 'Address', type: 'string', description: 'Where it is reached.', cell: ({ status }) => (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '').join(',') },
  { name: 'Ports', type: 'string', description: 'Its ports.', cell: ({ spec }) => ((spec?.tls ?? []).length > 0 ? '80, 443' : '80') },
];

export const wideSelectorColumn = <T extends { spec?: { selector?: k8s.LabelSelector } }>(): ColumnOf<T> => ({ name: 'Selector', type: 'string', priority: 1, description: 'Label selector for pods.', cell: ({ spec }) => selectorText(spec?.selector) });
