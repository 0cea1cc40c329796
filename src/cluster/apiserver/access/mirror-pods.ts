import type { k8s } from '../../../api/mod.ts';
import { mirrorAnnotation } from '../kinds/pod.ts';

/**
 * What is wrong with a pod that a node makes: it makes only those that stand for its own static pods, and they may lay hands on nothing
 * of the cluster's (Kubernetes, "Using Node Authorization", NodeRestriction).
 */
export function mirrorProblem({ metadata, spec }: k8s.Pod, node: string): string | undefined {
  if (metadata?.annotations?.[mirrorAnnotation] === undefined) return 'a node can only create mirror pods';
  if (spec?.nodeName !== node) return `node "${node}" can only create pods with spec.nodeName set to itself`;
  const reference = apiReference(spec);
  return reference === undefined ? undefined : `a mirror pod may not reference ${reference}`;
}

/** What of the cluster's a pod asks for, if anything: a node must not reach secrets by making pods that name them. */
function apiReference(spec: k8s.PodSpec): string | undefined {
  if ((spec.serviceAccountName ?? '') !== '') return 'service accounts';
  if ((spec.imagePullSecrets?.length ?? 0) > 0) return 'secrets';
  for (const { secret, configMap, persistentVolumeClaim, projected } of spec.volumes ?? []) {
    if (secret !== undefined || projected?.sources?.some((source) => source.secret !== undefined) === true) return 'secrets';
    if (configMap !== undefined || projected?.sources?.some((source) => source.configMap !== undefined) === true) return 'configmaps';
    if (projected?.sources?.some((source) => source.serviceAccountToken !== undefined) === true) return 'service accounts';
    if (persistentVolumeClaim !== undefined) return 'persistentvolumeclaims';
  }
  for (const { env, envFrom } of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (env?.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined) === true || envFrom?.some(({ secretRef }) => secretRef !== undefined) === true) return 'secrets';
    if (env?.some(({ valueFrom }) => valueFrom?.configMapKeyRef !== undefined) === true || envFrom?.some(({ configMapRef }) => configMapRef !== undefined) === true) return 'configmaps';
  }
  return undefined;
}
