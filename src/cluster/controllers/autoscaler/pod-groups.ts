import type { k8s, Stored } from '../../../api/mod.ts';
import { readyCondition } from '../pods/readiness.ts';

type Pod = Stored<k8s.Pod>;

/** What one pod used, in millicores or bytes. */
export interface PodUsage { readonly value: number; readonly atMs: number; readonly windowMs: number }

export interface PodGroups {
  /** Pods whose usage counts. */
  readonly ready: Pod[];
  /** Pods that are starting, so that their usage says nothing yet. */
  readonly unready: Pod[];
  /** Pods that should have usage and have none. */
  readonly missing: Pod[];
}

/** CPU of a pod younger than this is only believed when measured after it became ready. */
const cpuInitializationMs = 300_000;
/** A pod that turned unready within this time of its start has never been ready. */
const initialReadinessMs = 30_000;

/** Sorts pods by how far their usage can be believed (Kubernetes "Horizontal Pod Autoscaling", algorithm details). */
export function groupPods(pods: readonly Pod[], usage: ReadonlyMap<string, PodUsage>, resource: string, nowMs: number): PodGroups {
  const groups: PodGroups = { ready: [], unready: [], missing: [] };
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') continue;
    const own = usage.get(pod.metadata.name);
    if ((pod.status?.phase ?? 'Pending') === 'Pending') groups.unready.push(pod);
    else if (own === undefined) groups.missing.push(pod);
    else if (resource === 'cpu' && isStarting(pod, own, nowMs)) groups.unready.push(pod);
    else groups.ready.push(pod);
  }
  return groups;
}

function isStarting(pod: Pod, usage: PodUsage, nowMs: number): boolean {
  const ready = readyCondition(pod);
  const startedAtMs = Date.parse(pod.status?.startTime ?? '');
  if (ready === undefined || Number.isNaN(startedAtMs)) return true;
  const changedAtMs = Date.parse(ready.lastTransitionTime ?? '');
  if (startedAtMs + cpuInitializationMs > nowMs) return ready.status === 'False' || usage.atMs < changedAtMs + usage.windowMs;
  return ready.status === 'False' && startedAtMs + initialReadinessMs > changedAtMs;
}
