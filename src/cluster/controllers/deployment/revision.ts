import type { k8s } from '../../../api/mod.ts';
import type { Deployment, ReplicaSet } from './observed.ts';

/** What `kubectl rollout history` and `undo` read. */
export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const revisionHistoryAnnotation = 'deployment.kubernetes.io/revision-history';
/** What the last scaling aimed at; proportional scaling compares with it. */
export const desiredReplicasAnnotation = 'deployment.kubernetes.io/desired-replicas';
export const maxReplicasAnnotation = 'deployment.kubernetes.io/max-replicas';

/** Annotations of a Deployment that mean nothing on a ReplicaSet. */
const notCopied = new Set(['kubectl.kubernetes.io/last-applied-configuration', revisionAnnotation, revisionHistoryAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation]);

/** The revision of a ReplicaSet, counting from 1; 0 when it has none. */
export function revisionOf(object: k8s.ReplicaSet): number {
  const revision = Number(object.metadata?.annotations?.[revisionAnnotation] ?? '0');
  return Number.isSafeInteger(revision) ? revision : 0;
}

/** The revision that the new ReplicaSet has to have: one more than all others. */
export function nextRevision(oldReplicaSets: readonly ReplicaSet[]): number {
  return Math.max(0, ...oldReplicaSets.map(revisionOf)) + 1;
}

/** The annotations of the Deployment's current ReplicaSet; a revision it had before is kept in its history. */
export function annotationsForNew(deployment: Deployment, current: Record<string, string> | undefined, revision: number): Record<string, string> {
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !notCopied.has(name));
  const annotations = { ...current, ...Object.fromEntries(copied) };
  const previous = Number(annotations[revisionAnnotation] ?? '0');
  if (previous >= revision) return annotations;
  if (previous > 0) annotations[revisionHistoryAnnotation] = [...(annotations[revisionHistoryAnnotation]?.split(',') ?? []), String(previous)].join(',');
  return { ...annotations, [revisionAnnotation]: String(revision) };
}

/** The annotations that say what a scaling aims at. */
export function sizeAnnotations(deployment: Deployment, maxSurge: number): Record<string, string> {
  const replicas = deployment.spec.replicas ?? 1;
  return { [desiredReplicasAnnotation]: String(replicas), [maxReplicasAnnotation]: String(replicas + maxSurge) };
}

/** An annotation that holds a count. */
export function countAnnotation(object: k8s.ReplicaSet, name: string): number | undefined {
  const text = object.metadata?.annotations?.[name];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
