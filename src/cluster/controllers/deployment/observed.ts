import type { k8s, Stored } from '../../../api/mod.ts';
import type { Claim } from '../ownership/claim.ts';

export type Deployment = Stored<k8s.Deployment> & { spec: k8s.DeploymentSpec };
export type ReplicaSet = Stored<k8s.ReplicaSet>;

export interface ObservedDeployment {
  readonly deployment: Deployment;
  readonly claim: Claim<k8s.ReplicaSet>;
  /** uids of ReplicaSets that have a pod which has not finished; only filled for strategy Recreate. */
  readonly runningReplicaSets: ReadonlySet<string>;
  readonly nowMs: number;
}

export type DeploymentAction =
  | { type: 'adopt'; replicaSet: ReplicaSet }
  | { type: 'release'; replicaSet: ReplicaSet }
  | { type: 'create'; replicaSet: k8s.ReplicaSet & { metadata: k8s.ObjectMeta; spec: k8s.ReplicaSetSpec } }
  /** Replaces the ReplicaSet; fails with `conflict` when what was decided on is no longer current. */
  | { type: 'update'; replicaSet: ReplicaSet; scaled?: { from: number; to: number } }
  | { type: 'delete'; replicaSet: ReplicaSet }
  | { type: 'annotate'; annotations: Record<string, string> };

/** The replicas a ReplicaSet is asked for. */
export function sizeOf(replicaSet: k8s.ReplicaSet): number {
  return replicaSet.spec?.replicas ?? 1;
}

export function totalSize(replicaSets: readonly k8s.ReplicaSet[]): number {
  return replicaSets.reduce((sum, replicaSet) => sum + sizeOf(replicaSet), 0);
}

export function totalAvailable(replicaSets: readonly k8s.ReplicaSet[]): number {
  return replicaSets.reduce((sum, { status }) => sum + (status?.availableReplicas ?? 0), 0);
}

export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  return a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : a.metadata.creationTimestamp > b.metadata.creationTimestamp ? 1 : a.metadata.name < b.metadata.name ? -1 : 1;
}
