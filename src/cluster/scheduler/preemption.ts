import { type k8s, selectorMatches } from '../../api/mod.ts';
import { defaultFilters } from './choose-node.ts';
import { type NodeState, type Pod, withoutPods } from './cluster-state.ts';
import type { Filter, Surroundings } from './filters/filter.ts';

export interface Preemption {
  readonly nodeName: string;
  readonly victims: readonly Pod[];
  /** The victims whose PodDisruptionBudgets would not let them go. */
  readonly violations: number;
}

/** How many nodes are tried; preemption is rare and each try looks at the whole cluster. */
const maxCandidates = 100;

/**
 * Which less important pods would have to leave which node so that the pod fits: as few and as unimportant ones as possible.
 * Budgets are kept where there is a choice, and broken where there is none (Kubernetes, "PodDisruptionBudget is supported, but not guaranteed").
 * Undefined when that helps nowhere or when the pod's preemptionPolicy is Never.
 */
export function planPreemption(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, budgets: readonly k8s.PodDisruptionBudget[] = [], filters: readonly Filter[] = defaultFilters): Preemption | undefined {
  if (pod.spec?.preemptionPolicy === 'Never') return undefined;
  const unhelped = filters.filter(({ isHelpedByEviction }) => !isHelpedByEviction).flatMap((filter) => filter.prepare(pod, nodes, surroundings) ?? []);
  const candidates = nodes.filter((node) => lessImportant(pod, node).length > 0 && unhelped.every((check) => check(node) === undefined)).slice(0, maxCandidates);
  const options = candidates.flatMap((node): Preemption[] => {
    const victims = victimsOn(node, pod, nodes, surroundings, { filters, budgets });
    return victims === undefined ? [] : [{ nodeName: node.node.metadata.name, victims, violations: violatingOf(victims, budgets).size }];
  });
  return options.toSorted(compareCost)[0];
}

interface Rules { readonly filters: readonly Filter[]; readonly budgets: readonly k8s.PodDisruptionBudget[] }

/** Takes all less important pods away and gives back those without which the pod still fits: first those that a budget protects, then the most important. */
function victimsOn(node: NodeState, pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, { filters, budgets }: Rules): Pod[] | undefined {
  const fitsWithout = (victims: readonly Pod[]): boolean => {
    const emptied = withoutPods(node, victims);
    const others = nodes.map((other) => (other === node ? emptied : other));
    return filters.every((filter) => filter.prepare(pod, others, surroundings)?.(emptied) === undefined);
  };
  let victims = lessImportant(pod, node).toSorted((a, b) => priorityOf(b) - priorityOf(a) || (startOf(a) < startOf(b) ? -1 : 1));
  if (!fitsWithout(victims)) return undefined;
  const isProtected = violatingOf(victims, budgets);
  for (const candidate of victims.toSorted((a, b) => Number(isProtected.has(b)) - Number(isProtected.has(a)))) {
    const fewer = victims.filter((victim) => victim !== candidate);
    if (fitsWithout(fewer)) victims = fewer;
  }
  return victims;
}

/** Those of the pods that are too many for a budget, when they leave in this order. A pod that is on its way out costs nothing more. */
function violatingOf(pods: readonly Pod[], budgets: readonly k8s.PodDisruptionBudget[]): ReadonlySet<Pod> {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const violating = new Set<Pod>();
  for (const pod of pods) {
    const { namespace, labels, deletionTimestamp, name } = pod.metadata;
    if (deletionTimestamp !== undefined) continue;
    for (const [budget, allowed] of left) {
      const isMeant = budget.metadata?.namespace === namespace && selectorMatches(budget.spec?.selector, labels) && budget.status?.disruptedPods?.[name] === undefined;
      if (!isMeant) continue;
      left.set(budget, allowed - 1);
      if (allowed <= 0) violating.add(pod);
    }
  }
  return violating;
}

/** Pods on their way out count too: it is enough to wait for them. */
function lessImportant(pod: Pod, node: NodeState): Pod[] {
  return [...node.pods.values()].filter((other) => priorityOf(other) < priorityOf(pod));
}

/** The fewest broken budgets, then the lowest highest priority, then the lowest sum, then the fewest, then those that started last. */
function compareCost(a: Preemption, b: Preemption): number {
  const highest = ({ victims }: Preemption): number => Math.max(...victims.map(priorityOf), Number.MIN_SAFE_INTEGER);
  const sum = ({ victims }: Preemption): number => victims.reduce((total, victim) => total + priorityOf(victim), 0);
  const earliest = ({ victims }: Preemption): string => victims.map(startOf).toSorted()[0] ?? '';
  return a.violations - b.violations || highest(a) - highest(b) || sum(a) - sum(b) || a.victims.length - b.victims.length || (earliest(a) > earliest(b) ? -1 : 1);
}

function priorityOf({ spec }: Pod): number {
  return spec?.priority ?? 0;
}

function startOf({ status, metadata }: Pod): string {
  return status?.startTime ?? metadata.creationTimestamp;
}
