import { type k8s, nodeSelectorMatches, quantityValue, selectorMatches, type Stored } from '../../../api/mod.ts';
import type { Volume, VolumeClaim } from './observed.ts';

/** The smallest free volume that is all the claim asks for; on `node`, where one was chosen. */
export function findVolume(claim: VolumeClaim, volumes: readonly Volume[], node: Stored<k8s.Node> | undefined): Volume | undefined {
  const fitting = volumes.filter((volume) => isFree(volume) && fits(claim, volume) && isOn(volume, node));
  return fitting.toSorted((a, b) => sizeOf(a) - sizeOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}

/** Whether the volume's class, modes, size and labels are what the claim asks for. */
export function fits({ spec }: VolumeClaim, volume: Volume): boolean {
  if ((spec.storageClassName ?? '') !== (volume.spec.storageClassName ?? '')) return false;
  if ((spec.volumeMode ?? 'Filesystem') !== (volume.spec.volumeMode ?? 'Filesystem')) return false;
  if (!(spec.accessModes ?? []).every((mode) => volume.spec.accessModes?.includes(mode) === true)) return false;
  if (spec.selector !== undefined && !selectorMatches(spec.selector, volume.metadata.labels)) return false;
  return sizeOf(volume) >= quantityValue(spec.resources?.requests?.['storage'] ?? '0');
}

function isFree({ metadata, spec, status }: Volume): boolean {
  return metadata.deletionTimestamp === undefined && spec.claimRef === undefined && (status?.phase === undefined || status.phase === 'Available' || status.phase === 'Pending');
}

function isOn({ spec }: Volume, node: Stored<k8s.Node> | undefined): boolean {
  return node === undefined || spec.nodeAffinity?.required === undefined || nodeSelectorMatches(spec.nodeAffinity.required, node);
}

function sizeOf({ spec }: Volume): number {
  return quantityValue(spec.capacity?.['storage'] ?? '0');
}
