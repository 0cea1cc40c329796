import { resolve } from '../deployment/fenceposts.ts';
import { revisionLabel } from '../revisions/revisions.ts';
import type { DaemonSet, OnNode, Pod } from './observed.ts';

/** Which pods an update takes, and where it makes new ones beside the old. */
export interface RolloutStep { readonly remove: Pod[]; readonly createOn: string[] }

/** How many nodes may be without the daemon, or have two of it. */
export function limitsOf({ spec }: DaemonSet, wanted: number): { maxUnavailable: number; maxSurge: number } {
  const { maxSurge = 0, maxUnavailable = maxSurge === 0 || maxSurge === '0%' ? 1 : 0 } = spec.updateStrategy?.rollingUpdate ?? {};
  const surge = resolve(maxSurge, wanted, Math.ceil);
  return { maxSurge: surge, maxUnavailable: surge > 0 ? 0 : Math.max(1, resolve(maxUnavailable, wanted, Math.ceil)) };
}

/** One step of a rolling update. A pod that is not available costs nothing; of the others as many go as the limit leaves. */
export function planRollout(set: DaemonSet, places: readonly OnNode[], hash: string, isAvailable: (pod: Pod) => boolean): RolloutStep {
  const wanted = places.filter(({ shouldRun }) => shouldRun);
  const { maxSurge, maxUnavailable } = limitsOf(set, wanted.length);
  const isNew = ({ metadata }: Pod): boolean => metadata.labels?.[revisionLabel] === hash;
  const split = wanted.map((place) => ({ place, newPod: place.pods.find(isNew), oldPod: place.pods.find((pod) => !isNew(pod)) }));
  return maxSurge > 0 ? planSurge(split, maxSurge, isAvailable) : planReplacement(split, maxUnavailable, isAvailable);
}

interface Split { readonly place: OnNode; readonly newPod: Pod | undefined; readonly oldPod: Pod | undefined }

function planReplacement(split: readonly Split[], maxUnavailable: number, isAvailable: (pod: Pod) => boolean): RolloutStep {
  let unavailable = 0;
  const free: Pod[] = [];
  const candidates: Pod[] = [];
  for (const { newPod, oldPod } of split) {
    const pod = newPod ?? oldPod;
    if (pod === undefined || !isAvailable(pod)) unavailable += 1;
    if (newPod !== undefined || oldPod === undefined) continue;
    if (isAvailable(oldPod)) candidates.push(oldPod);
    else free.push(oldPod);
  }
  return { remove: [...free, ...candidates.slice(0, Math.max(0, maxUnavailable - unavailable))], createOn: [] };
}

function planSurge(split: readonly Split[], maxSurge: number, isAvailable: (pod: Pod) => boolean): RolloutStep {
  const remove: Pod[] = [];
  const free: string[] = [];
  const candidates: string[] = [];
  let surging = 0;
  for (const { place, newPod, oldPod } of split) {
    if (oldPod === undefined) continue;
    if (newPod !== undefined) {
      // The old one is kept until its successor serves.
      if (isAvailable(newPod)) remove.push(oldPod);
      else surging += 1;
    } else if (!isAvailable(oldPod)) free.push(place.node);
    else candidates.push(place.node);
  }
  return { remove, createOn: [...free, ...candidates.slice(0, Math.max(0, maxSurge - surging))] };
}
