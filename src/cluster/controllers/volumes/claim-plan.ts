import type { k8s } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { fits, findVolume } from './matching.ts';
import { bindCompleted, boundByController, type ClaimAction, claimProtection, noProvisioner, type ObservedClaim, provisionerAnnotation, selectedNode, type Volume, type VolumeClaim } from './observed.ts';

type ClaimPlan = Plan<ClaimAction, k8s.PersistentVolumeClaimStatus>;

/** One step of a claim towards its volume: the volume is reserved first, then named by the claim, then both say so. */
export function planVolumeClaim(observed: ObservedClaim): ClaimPlan {
  const { claim, volumes, isUsed } = observed;
  if (claim.metadata.deletionTimestamp !== undefined) {
    const isProtected = claim.metadata.finalizers?.includes(claimProtection) === true;
    return { actions: isProtected && !isUsed ? [{ type: 'unprotect' }] : [] };
  }
  const { volumeName } = claim.spec;
  if (volumeName !== undefined && volumeName !== '') return planNamed(claim, volumes.find(({ metadata }) => metadata.name === volumeName), volumeName);
  const reserved = volumes.find((volume) => isReservedFor(volume, claim));
  if (reserved !== undefined) return planReserved(claim, reserved);
  return planSearch(observed);
}

function planNamed(claim: VolumeClaim, volume: Volume | undefined, name: string): ClaimPlan {
  const wasBound = claim.metadata.annotations?.[bindCompleted] === 'yes';
  if (volume === undefined) return wasBound ? { actions: tellOnce(claim, 'Lost', 'ClaimLost', `Bound claim has lost its PersistentVolume ${name}. Data on the volume is lost! Cluster intervention needed!`), status: { ...claim.status, phase: 'Lost' } } : pending(claim);
  const { claimRef } = volume.spec;
  if (claimRef?.uid === claim.metadata.uid) return { actions: wasBound ? [] : [{ type: 'bind', volumeName: name, byController: false }], status: boundStatus(claim, volume) };
  const isOurs = claimRef === undefined || isReservedFor(volume, claim);
  if (isOurs && !wasBound) return { actions: [{ type: 'reserve', volume }], status: { ...claim.status, phase: 'Pending' } };
  return wasBound ? { actions: [], status: { ...claim.status, phase: 'Lost' } } : pending(claim);
}

function planReserved(claim: VolumeClaim, volume: Volume): ClaimPlan {
  // Reserved by a person, by name: the claim has to fit all the same.
  if (volume.spec.claimRef?.uid === undefined && !fits(claim, volume)) return pending(claim, 'VolumeMismatch', `Cannot bind to requested volume "${volume.metadata.name}": it does not fit the claim`);
  if (volume.spec.claimRef?.uid === undefined) return { actions: [{ type: 'reserve', volume }], status: { ...claim.status, phase: 'Pending' } };
  return { actions: [{ type: 'bind', volumeName: volume.metadata.name, byController: true }], status: boundStatus(claim, volume) };
}

function planSearch({ claim, volumes, storageClass, node, anyNode }: ObservedClaim): ClaimPlan {
  const className = claim.spec.storageClassName ?? '';
  const isWaiting = storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
  const chosen = claim.metadata.annotations?.[selectedNode];
  if (isWaiting && chosen === undefined) return pending(claim, 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
  const volume = findVolume(claim, volumes, isWaiting ? node : undefined);
  if (volume !== undefined) return { actions: [{ type: 'reserve', volume }], status: { ...claim.status, phase: 'Pending' } };
  if (className === '') return pending(claim, 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set');
  if (storageClass === undefined) return pending(claim, 'ProvisioningFailed', `storageclass.storage.k8s.io "${className}" not found`);
  if (storageClass.provisioner === noProvisioner) return pending(claim, 'FailedBinding', `no persistent volumes available for this claim, and its storage class "${className}" makes none`);
  const annotations = { [provisionerAnnotation]: storageClass.provisioner, ...(chosen === undefined && anyNode !== undefined ? { [selectedNode]: anyNode } : {}) };
  const isTold = Object.entries(annotations).every(([name, value]) => claim.metadata.annotations?.[name] === value);
  const waiting = pending(claim, 'ExternalProvisioning', `Waiting for a volume to be created by the provisioner '${storageClass.provisioner}'`);
  return isTold ? waiting : { ...waiting, actions: [{ type: 'annotate', annotations }, ...waiting.actions] };
}

function pending(claim: VolumeClaim, reason?: string, message?: string): ClaimPlan {
  return { actions: reason === undefined || message === undefined ? [] : [{ type: 'tell', reason, message }], status: { ...claim.status, phase: 'Pending' } };
}

function tellOnce(claim: VolumeClaim, phase: string, reason: string, message: string): ClaimAction[] {
  return claim.status?.phase === phase ? [] : [{ type: 'tell', reason, message }];
}

function boundStatus({ status }: VolumeClaim, { spec }: Volume): k8s.PersistentVolumeClaimStatus {
  return { ...status, phase: 'Bound', accessModes: spec.accessModes, capacity: spec.capacity };
}

function isReservedFor({ spec: { claimRef } }: Volume, { metadata }: VolumeClaim): boolean {
  return claimRef !== undefined && claimRef.name === metadata.name && claimRef.namespace === metadata.namespace && (claimRef.uid === undefined || claimRef.uid === '' || claimRef.uid === metadata.uid);
}

/** The annotations of a claim that is bound. */
export function bindingAnnotations(byController: boolean): Record<string, string> {
  return { [bindCompleted]: 'yes', ...(byController ? { [boundByController]: 'yes' } : {}) };
}
