import type { k8s, Stored } from '../../../api/mod.ts';

export type VolumeClaim = Stored<k8s.PersistentVolumeClaim> & { spec: k8s.PersistentVolumeClaimSpec };
export type Volume = Stored<k8s.PersistentVolume> & { spec: k8s.PersistentVolumeSpec };
export type StorageClass = Stored<k8s.StorageClass>;

export const claimProtection = 'kubernetes.io/pvc-protection';
export const volumeProtection = 'kubernetes.io/pv-protection';
/** Written by the scheduler when a pod that uses the claim has found its node. */
export const selectedNode = 'volume.kubernetes.io/selected-node';
/** Tells provisioners that a claim waits for them. */
export const provisionerAnnotation = 'volume.kubernetes.io/storage-provisioner';
/** Who made a volume, and so who removes it. */
export const provisionedBy = 'pv.kubernetes.io/provisioned-by';
export const bindCompleted = 'pv.kubernetes.io/bind-completed';
export const boundByController = 'pv.kubernetes.io/bound-by-controller';
export const noProvisioner = 'kubernetes.io/no-provisioner';

export interface ObservedClaim {
  readonly claim: VolumeClaim;
  readonly volumes: readonly Volume[];
  readonly storageClass: StorageClass | undefined;
  /** The node that the scheduler chose for its first pod. */
  readonly node: Stored<k8s.Node> | undefined;
  /** A node to provision on where nobody waits for a pod. */
  readonly anyNode: string | undefined;
  /** Whether a pod that has not ended uses it. */
  readonly isUsed: boolean;
}

export type ClaimAction =
  | { type: 'unprotect' }
  /** Reserves the volume for the claim; fails when somebody else was quicker. */
  | { type: 'reserve'; volume: Volume }
  | { type: 'bind'; volumeName: string; byController: boolean }
  | { type: 'annotate'; annotations: Record<string, string> }
  | { type: 'tell'; reason: string; message: string };

export interface ObservedVolume {
  readonly volume: Volume;
  /** What its claimRef names, if it exists. */
  readonly claim: VolumeClaim | undefined;
}

export type VolumeAction =
  | { type: 'unprotect' }
  /** The claim seems to be gone: asked again before anything is given up. */
  | { type: 'release' };
