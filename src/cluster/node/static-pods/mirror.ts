import { createHash } from 'node:crypto';
import type { k8s, Stored } from '../../../api/mod.ts';

/** Kubernetes' annotations of pods from files ("Create static Pods"); the mirror's value names the pod on the node. */
export const annotations = { hash: 'kubernetes.io/config.hash', source: 'kubernetes.io/config.source', mirror: 'kubernetes.io/config.mirror' } as const;

/** What the node runs for a manifest. Name and uid follow from node, file and content: after a restart it is the same pod. */
export function toStaticPod(manifest: k8s.Pod, file: string, nodeName: string): Stored<k8s.Pod> {
  const { metadata = {}, spec = { containers: [] } } = manifest;
  const uid = createHash('md5').update(JSON.stringify([nodeName, file, metadata, spec])).digest('hex');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name: `${metadata.name ?? ''}-${nodeName}`,
      namespace: metadata.namespace ?? 'default',
      uid,
      resourceVersion: '',
      creationTimestamp: '',
      annotations: { ...metadata.annotations, [annotations.hash]: uid, [annotations.source]: 'file' },
    },
    // No taint drives it away: it belongs to this node.
    spec: { ...spec, nodeName, tolerations: [...(spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }] },
  };
}

/** What stands for it in the API. It is owned by its node. */
export function toMirrorPod({ metadata, spec }: Stored<k8s.Pod>, node: Stored<k8s.Node>): k8s.Pod {
  const { name, namespace, labels } = metadata;
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node.metadata.name, uid: node.metadata.uid, controller: true }];
  const noted = { ...metadata.annotations, [annotations.mirror]: metadata.uid };
  return { metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }), annotations: noted, ownerReferences }, ...(spec === undefined ? {} : { spec }) };
}

/** The pod on the node that the object stands for, by the object's own word; undefined for ordinary pods. */
export function mirroredUid(pod: k8s.Pod): string | undefined {
  return pod.metadata?.annotations?.[annotations.mirror];
}

/** What of the cluster the pod needs, if anything: a static pod runs without one. */
export function clusterReference({ spec }: k8s.Pod): string | undefined {
  if ((spec?.serviceAccountName ?? '') !== '') return 'spec.serviceAccountName';
  if ((spec?.imagePullSecrets?.length ?? 0) > 0) return 'spec.imagePullSecrets';
  for (const [index, { secret, configMap, persistentVolumeClaim, projected }] of (spec?.volumes ?? []).entries()) {
    if (secret !== undefined || configMap !== undefined || persistentVolumeClaim !== undefined) return `spec.volumes[${index}]`;
    if (projected?.sources?.some((source) => source.secret !== undefined || source.configMap !== undefined || source.serviceAccountToken !== undefined) === true) return `spec.volumes[${index}].projected`;
  }
  for (const { name, env, envFrom } of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    const isNamed = env?.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined || valueFrom?.configMapKeyRef !== undefined) === true;
    if (isNamed || (envFrom?.length ?? 0) > 0) return `the environment of container ${name}`;
  }
  return undefined;
}
