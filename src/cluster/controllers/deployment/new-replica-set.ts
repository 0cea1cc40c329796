import { isDeepStrictEqual } from 'node:util';
import { type k8s, resources } from '../../../api/mod.ts';
import { controllerReference } from '../ownership/claim.ts';
import { fencepostsOf } from './fenceposts.ts';
import { byAge, type Deployment, type ReplicaSet, sizeOf, totalSize } from './observed.ts';
import { annotationsForNew, nextRevision, sizeAnnotations } from './revision.ts';
import { isSameTemplate, templateHash, templateHashLabel } from './template-hash.ts';

/** The ReplicaSet whose template is the Deployment's; of several the oldest, so that everyone agrees. */
export function findNewReplicaSet(deployment: Deployment, replicaSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return replicaSets.filter(({ spec }) => isSameTemplate(spec?.template, deployment.spec.template)).toSorted(byAge)[0];
}

/** The ReplicaSet to create for the current template, sized as far as the surge allows. Its name is its template's hash, so a second creation is refused. */
export function newReplicaSet(deployment: Deployment, oldReplicaSets: readonly ReplicaSet[]): k8s.ReplicaSet & { metadata: k8s.ObjectMeta; spec: k8s.ReplicaSetSpec } {
  const { spec } = deployment;
  const hash = templateHash(spec.template, deployment.status?.collisionCount ?? 0);
  const labels = { ...spec.template.metadata?.labels, [templateHashLabel]: hash };
  const annotations = { ...annotationsForNew(deployment, {}, nextRevision(oldReplicaSets)), ...sizeAnnotations(deployment, fencepostsOf(spec).maxSurge) };
  return {
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace,
      labels,
      annotations,
      ownerReferences: [controllerReference(resources.deployments, deployment)],
    },
    spec: {
      replicas: newReplicaSetSize(deployment, 0, oldReplicaSets),
      minReadySeconds: spec.minReadySeconds,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [templateHashLabel]: hash } },
      template: { ...spec.template, metadata: { ...spec.template.metadata, labels } },
    },
  };
}

/** How large the new ReplicaSet may be now: up to the wanted number, and all together up to that plus the surge. */
export function newReplicaSetSize(deployment: Deployment, currentSize: number, others: readonly k8s.ReplicaSet[]): number {
  const wanted = deployment.spec.replicas ?? 1;
  if (deployment.spec.strategy?.type === 'Recreate') return wanted;
  const room = wanted + fencepostsOf(deployment.spec).maxSurge - currentSize - totalSize(others);
  return room <= 0 ? currentSize : currentSize + Math.min(room, wanted - currentSize);
}

/** The existing ReplicaSet of the current template as it has to be annotated, or undefined when it already is. */
export function refreshedReplicaSet(deployment: Deployment, replicaSet: ReplicaSet, oldReplicaSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const annotations = annotationsForNew(deployment, replicaSet.metadata.annotations, nextRevision(oldReplicaSets));
  const isSame = isDeepStrictEqual(annotations, replicaSet.metadata.annotations ?? {}) && (replicaSet.spec?.minReadySeconds ?? 0) === (deployment.spec.minReadySeconds ?? 0);
  if (isSame || replicaSet.spec === undefined) return undefined;
  return { ...replicaSet, metadata: { ...replicaSet.metadata, annotations }, spec: { ...replicaSet.spec, minReadySeconds: deployment.spec.minReadySeconds } };
}

/** The ReplicaSet with another size and the annotations of what the scaling aims at; undefined when it has both already. */
export function resized(deployment: Deployment, replicaSet: ReplicaSet, size: number): ReplicaSet | undefined {
  const annotations = { ...replicaSet.metadata.annotations, ...sizeAnnotations(deployment, fencepostsOf(deployment.spec).maxSurge) };
  if (replicaSet.spec === undefined || (sizeOf(replicaSet) === size && isDeepStrictEqual(annotations, replicaSet.metadata.annotations ?? {}))) return undefined;
  return { ...replicaSet, metadata: { ...replicaSet.metadata, annotations }, spec: { ...replicaSet.spec, replicas: size } };
}
