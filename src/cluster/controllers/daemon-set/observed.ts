import type { k8s, Stored } from '../../../api/mod.ts';
import type { Claim } from '../ownership/claim.ts';
import type { RevisionAction } from '../revisions/revision-control.ts';
import type { Revision } from '../revisions/revisions.ts';

export type Pod = Stored<k8s.Pod>;
export type DaemonSet = Stored<k8s.DaemonSet> & { spec: k8s.DaemonSetSpec };

export interface ObservedDaemonSet {
  readonly set: DaemonSet;
  readonly nodes: readonly Stored<k8s.Node>[];
  readonly claim: Claim<k8s.Pod>;
  readonly revisions: readonly Revision[];
  readonly pendingCreations: number;
  readonly pendingDeletions: ReadonlySet<string>;
  readonly nowMs: number;
}

export type DaemonSetAction =
  | RevisionAction
  | { type: 'adopt'; pod: Pod }
  | { type: 'release'; pod: Pod }
  | { type: 'create'; nodes: string[]; hash: string }
  | { type: 'delete'; pods: Pod[] }
  | { type: 'tell'; reason: string; message: string };

/** A daemon's pods on one node. */
export interface OnNode {
  readonly node: string;
  readonly shouldRun: boolean;
  readonly mayStay: boolean;
  /** Without those on their way out. */
  readonly pods: readonly Pod[];
  readonly leaving: readonly Pod[];
}
