import { defaultFilters } from './choose-node.ts';
import { type NodeState, type Pod, withoutPods } from './cluster-state.ts';
import type { Filter, Surroundings } from './filters/filter.ts';

export interface Preemption {
  readonly nodeName: string;
  readonly victims: readonly Pod[];
}

/** How many nodes are tried; preemption is rare and each try looks at the whole cluster. */
const maxCandidates = 100;

/**
 * Which less important pods would have to leave which node so that the pod fits: as few and as unimportant ones as possible.
 * Undefined when that helps nowhere or when the pod's preemptionPolicy is Never.
 */
export function planPreemption(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, filters: readonly Filter[] = defaultFilters): Preemption | undefined {
  if (pod.spec?.preemptionPolicy === 'Never') return undefined;
  const unhelped = filters.filter(({ isHelpedByEviction }) => !isHelpedByEviction).flatMap((filter) => filter.prepare(pod, nodes, surroundings) ?? []);
  const candidates = nodes.filter((node) => lessImportant(pod, node).length > 0 && unhelped.every((check) => check(node) === undefined)).slice(0, maxCandidates);
  const options = candidates.flatMap((node): Preemption[] => {
    const victims = victimsOn(node, pod, nodes, surroundings, filters);
    return victims === undefined ? [] : [{ nodeName: node.node.metadata.name, victims }];
  });
  return options.toSorted(compareCost)[0];
}

/** Takes all less important pods away and gives back those without which the pod still fits, the most important first. */
function victimsOn(node: NodeState, pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, filters: readonly Filter[]): Pod[] | undefined {
  const fitsWithout = (victims: readonly Pod[]): boolean => {
    const emptied = withoutPods(node, victims);
    const others = nodes.map((other) => (other === node ? emptied : other));
    return filters.every((filter) => filter.prepare(pod, others, surroundings)?.(emptied) === undefined);
  };
  let victims = lessImportant(pod, node).toSorted((a, b) => priorityOf(b) - priorityOf(a) || (startOf(a) < startOf(b) ? -1 : 1));
  if (!fitsWithout(victims)) return undefined;
  for (const candidate of victims) {
    const fewer = victims.filter((victim) => victim !== candidate);
    if (fitsWithout(fewer)) victims = fewer;
  }
  return victims;
}

/** Pods on their way out count too: it is enough to wait for them. */
function lessImportant(pod: Pod, node: NodeState): Pod[] {
  return [...node.pods.values()].filter((other) => priorityOf(other) < priorityOf(pod));
}

/** The lowest highest priority, then the lowest sum, then the fewest, then those that started last. */
function compareCost(a: Preemption, b: Preemption): number {
  const highest = ({ victims }: Preemption): number => Math.max(...victims.map(priorityOf), Number.MIN_SAFE_INTEGER);
  const sum = ({ victims }: Preemption): number => victims.reduce((total, victim) => total + priorityOf(victim), 0);
  const earliest = ({ victims }: Preemption): string => victims.map(startOf).toSorted()[0] ?? '';
  return highest(a) - highest(b) || sum(a) - sum(b) || a.victims.length - b.victims.length || (earliest(a) > earliest(b) ? -1 : 1);
}

function priorityOf({ spec }: Pod): number {
  return spec?.priority ?? 0;
}

function startOf({ status, metadata }: Pod): string {
  return status?.startTime ?? metadata.creationTimestamp;
}
