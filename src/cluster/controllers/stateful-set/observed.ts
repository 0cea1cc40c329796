import type { k8s, Stored } from '../../../api/mod.ts';
import type { Claim } from '../ownership/claim.ts';
import type { RevisionAction } from '../revisions/revision-control.ts';
import type { Revision } from '../revisions/revisions.ts';

export type Pod = Stored<k8s.Pod>;
export type VolumeClaim = Stored<k8s.PersistentVolumeClaim>;
export type StatefulSet = Stored<k8s.StatefulSet> & { spec: k8s.StatefulSetSpec };

export interface ObservedStatefulSet {
  readonly set: StatefulSet;
  readonly claim: Claim<k8s.Pod>;
  readonly revisions: readonly Revision[];
  /** Of the namespace, by name. */
  readonly volumeClaims: ReadonlyMap<string, VolumeClaim>;
  readonly pendingCreations: number;
  readonly pendingDeletions: ReadonlySet<string>;
  readonly nowMs: number;
}

export type StatefulSetAction =
  | RevisionAction
  | { type: 'adopt'; pod: Pod }
  | { type: 'release'; pod: Pod }
  | { type: 'create-claim'; claim: k8s.PersistentVolumeClaim }
  | { type: 'own-claim'; claim: VolumeClaim; owners: k8s.OwnerReference[] }
  | { type: 'create'; pods: k8s.Pod[] }
  | { type: 'delete'; pods: Pod[] }
  | { type: 'tell'; eventType: 'Normal' | 'Warning'; reason: string; message: string };

/** The number at the end of a pod's name; undefined when the name is not of this set. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const rest = pod.metadata.name.startsWith(prefix) ? pod.metadata.name.slice(prefix.length) : '';
  return /^\d+$/.test(rest) ? Number(rest) : undefined;
}

export function startOf({ spec }: StatefulSet): number {
  return spec.ordinals?.start ?? 0;
}
