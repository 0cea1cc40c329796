import type { k8s, Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { toTimestamp } from '../conditions.ts';
import { resolve } from '../deployment/fenceposts.ts';
import { isFinished, isReady } from '../pods/readiness.ts';

type Pod = Stored<k8s.Pod>;

export interface ObservedBudget {
  readonly budget: Stored<k8s.PodDisruptionBudget> & { spec: k8s.PodDisruptionBudgetSpec };
  readonly pods: readonly Pod[];
  /** How many pods the workloads behind them want together; undefined when a pod has none that can be asked. */
  readonly wanted: number | undefined;
  readonly nowMs: number;
}

/** An eviction that was allowed and whose pod stays is forgotten after this time. */
const disruptionTtlMs = 120_000;

/** How many of the pods may be evicted now. */
export function planBudget({ budget, pods, wanted, nowMs }: ObservedBudget): Plan<never, k8s.PodDisruptionBudgetStatus> {
  const { spec, status = {}, metadata } = budget;
  const living = pods.filter((pod) => !isFinished(pod));
  const needsScale = spec.maxUnavailable !== undefined || (typeof spec.minAvailable === 'string');
  if (needsScale && wanted === undefined) return { actions: [], status: failed(status, metadata.generation, nowMs) };
  const expectedPods = needsScale ? (wanted ?? 0) : living.length;
  const desiredHealthy = Math.max(0, spec.maxUnavailable === undefined ? resolve(spec.minAvailable ?? 1, expectedPods, Math.ceil) : expectedPods - resolve(spec.maxUnavailable, expectedPods, Math.ceil));
  const disruptedPods = stillDisrupted(status.disruptedPods ?? {}, living, nowMs);
  const isCounted = (pod: Pod): boolean => pod.metadata.deletionTimestamp === undefined && isReady(pod) && disruptedPods[pod.metadata.name] === undefined;
  const currentHealthy = living.filter(isCounted).length;
  const disruptionsAllowed = expectedPods === 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  const waits = Object.values(disruptedPods).map((at) => Date.parse(at) + disruptionTtlMs - nowMs);
  return {
    actions: [],
    status: {
      observedGeneration: metadata.generation,
      expectedPods,
      desiredHealthy,
      currentHealthy,
      disruptionsAllowed,
      disruptedPods: Object.keys(disruptedPods).length === 0 ? undefined : disruptedPods,
      conditions: withCondition(status.conditions, disruptionsAllowed > 0 ? 'True' : 'False', disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods', '', metadata.generation, nowMs),
    },
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.max(0, Math.min(...waits)) }),
  };
}

/** Those that were allowed to go and are still there, unasked. */
function stillDisrupted(before: Record<string, string>, living: readonly Pod[], nowMs: number): Record<string, string> {
  const waiting = new Map(living.map((pod) => [pod.metadata.name, pod]));
  return Object.fromEntries(Object.entries(before).filter(([name, at]) => {
    const pod = waiting.get(name);
    return pod !== undefined && pod.metadata.deletionTimestamp === undefined && Date.parse(at) + disruptionTtlMs > nowMs && pod.metadata.creationTimestamp <= at;
  }));
}

/** What cannot be counted is not to be disturbed. */
function failed(status: k8s.PodDisruptionBudgetStatus, generation: number | undefined, nowMs: number): k8s.PodDisruptionBudgetStatus {
  return { ...status, observedGeneration: generation, expectedPods: status.expectedPods ?? 0, desiredHealthy: status.desiredHealthy ?? 0, currentHealthy: status.currentHealthy ?? 0, disruptionsAllowed: 0, conditions: withCondition(status.conditions, 'False', 'SyncFailed', 'a pod has no controller whose size is known: use a whole number for minAvailable', generation, nowMs) };
}

function withCondition(conditions: readonly k8s.Condition[] | undefined, status: string, reason: string, message: string, observedGeneration: number | undefined, nowMs: number): k8s.Condition[] {
  const before = conditions?.find(({ type }) => type === 'DisruptionAllowed');
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : toTimestamp(nowMs);
  return [...(conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed'), { type: 'DisruptionAllowed', status, reason, message, lastTransitionTime, ...(observedGeneration === undefined ? {} : { observedGeneration }) }];
}
