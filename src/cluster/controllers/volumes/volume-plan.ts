import type { k8s } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { type ObservedVolume, provisionedBy, type Volume, type VolumeAction, volumeProtection } from './observed.ts';

/** One step of a volume: what it says of itself follows its claim. A volume is never given up because a cache is behind. */
export function planVolume({ volume, claim }: ObservedVolume): Plan<VolumeAction, k8s.PersistentVolumeStatus> {
  const { claimRef } = volume.spec;
  const isHeld = claim !== undefined && claim.metadata.uid === claimRef?.uid;
  if (volume.metadata.deletionTimestamp !== undefined && !isHeld && volume.metadata.finalizers?.includes(volumeProtection) === true) return { actions: [{ type: 'unprotect' }] };
  if (claimRef?.uid === undefined || claimRef.uid === '') return { actions: [], status: phase(volume, 'Available') };
  if (isHeld) return { actions: [], status: phase(volume, claim.spec.volumeName === volume.metadata.name ? 'Bound' : (volume.status?.phase ?? 'Available')) };
  if (volume.status?.phase === 'Released' || volume.status?.phase === 'Failed') return { actions: [], status: settled(volume) };
  return { actions: [{ type: 'release' }] };
}

/** Whoever made a volume removes it; nobody does where nobody made it. */
function settled(volume: Volume): k8s.PersistentVolumeStatus {
  const isStuck = volume.spec.persistentVolumeReclaimPolicy === 'Delete' && volume.metadata.annotations?.[provisionedBy] === undefined;
  return isStuck ? { ...volume.status, phase: 'Failed', reason: 'VolumeFailedDelete', message: 'nothing in this cluster made this volume, so nothing can delete it: remove its data and the object by hand' } : (volume.status ?? {});
}

function phase({ status }: Volume, name: string): k8s.PersistentVolumeStatus {
  return { ...status, phase: name };
}
