import type { k8s } from '../../../api/mod.ts';

/** The Ready condition, as the node agent reports it. */
export function readyCondition(pod: k8s.Pod): k8s.PodCondition | undefined {
  return pod.status?.conditions?.find(({ type }) => type === 'Ready');
}

export function isReady(pod: k8s.Pod): boolean {
  return readyCondition(pod)?.status === 'True';
}

/** Neither finished nor on its way out: it counts as a replica. */
export function isActive(pod: k8s.Pod): boolean {
  return !isFinished(pod) && pod.metadata?.deletionTimestamp === undefined;
}

export function isFinished(pod: k8s.Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Milliseconds until a ready pod has been ready for `minReadySeconds`; 0 when it has, undefined when it is not ready. */
export function availableInMs(pod: k8s.Pod, minReadySeconds: number, nowMs: number): number | undefined {
  const ready = readyCondition(pod);
  if (ready?.status !== 'True') return undefined;
  if (minReadySeconds === 0) return 0;
  const readyAtMs = Date.parse(ready.lastTransitionTime ?? '');
  return Number.isNaN(readyAtMs) ? undefined : Math.max(0, readyAtMs + minReadySeconds * 1000 - nowMs);
}
