import type { k8s } from '../../../api/mod.ts';

/** What a pod can be told to look at anew. */
export type ConfigKind = 'ConfigMap' | 'Secret' | 'PersistentVolumeClaim';

/** Whether the pod's volumes or variables name that ConfigMap, Secret or claim. */
export function usesConfig(spec: k8s.PodSpec | undefined, kind: ConfigKind, name: string): boolean {
  if (spec === undefined) return false;
  if (kind === 'PersistentVolumeClaim') return (spec.volumes ?? []).some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === name);
  const isMeant = (ref: { name?: string; secretName?: string } | undefined): boolean => ref !== undefined && (ref.secretName ?? ref.name) === name;
  const inVolumes = (spec.volumes ?? []).some(
    (volume) =>
      isMeant(kind === 'ConfigMap' ? volume.configMap : volume.secret) ||
      (volume.projected?.sources ?? []).some((source) => isMeant(kind === 'ConfigMap' ? source.configMap : source.secret)),
  );
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  const inVariables = containers.some(
    ({ env = [], envFrom = [] }) =>
      env.some(({ valueFrom }) => isMeant(kind === 'ConfigMap' ? valueFrom?.configMapKeyRef : valueFrom?.secretKeyRef)) ||
      envFrom.some((from) => isMeant(kind === 'ConfigMap' ? from.configMapRef : from.secretRef)),
  );
  return inVolumes || inVariables || (kind === 'Secret' && (spec.imagePullSecrets ?? []).some(isMeant));
}
