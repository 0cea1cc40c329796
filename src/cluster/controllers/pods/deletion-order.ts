import type { k8s, Stored } from '../../../api/mod.ts';
import { isReady, readyCondition } from './readiness.ts';

type Pod = Stored<k8s.Pod>;

const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * The pods in the order in which a scale-down takes them: unassigned, then pending, not ready, cheap by the annotation
 * `controller.kubernetes.io/pod-deletion-cost`, on nodes with most of their siblings, ready for a shorter time, restarted
 * more often, younger. (Kubernetes `ActivePodsWithRanks`.)
 */
export function inDeletionOrder(pods: readonly Pod[]): Pod[] {
  const siblings = new Map<string, number>();
  for (const { spec } of pods) if (spec?.nodeName !== undefined) siblings.set(spec.nodeName, (siblings.get(spec.nodeName) ?? 0) + 1);
  const ranks = new Map(pods.map((pod) => [pod, rankOf(pod, siblings)]));
  return pods.toSorted((a, b) => compare(ranks.get(a) ?? [], ranks.get(b) ?? []) || (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** Smaller goes first, the first difference decides. */
function rankOf(pod: Pod, siblings: ReadonlyMap<string, number>): number[] {
  const node = pod.spec?.nodeName;
  return [
    node === undefined || node === '' ? 0 : 1,
    phaseRank[pod.status?.phase ?? 'Pending'] ?? 1,
    isReady(pod) ? 1 : 0,
    deletionCost(pod),
    -(siblings.get(node ?? '') ?? 0),
    -(isReady(pod) ? timeOf(readyCondition(pod)?.lastTransitionTime) : 0),
    -Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount)),
    -timeOf(pod.metadata.creationTimestamp),
  ];
}

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, at) => value !== b[at]);
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? '0';
  return /^-?\d+$/.test(text) ? Number(text) : 0;
}

function timeOf(timestamp: string | undefined): number {
  const time = Date.parse(timestamp ?? '');
  return Number.isNaN(time) ? 0 : time;
}
