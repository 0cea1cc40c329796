import type { k8s } from '../../../api/mod.ts';

/** Whether the pod's volumes or variables name that ConfigMap or Secret. */
export function usesConfig(spec: k8s.PodSpec | undefined, kind: 'ConfigMap' | 'Secret', name: string): boolean {
  if (spec === undefined) return false;
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
