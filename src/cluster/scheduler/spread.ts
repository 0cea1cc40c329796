import { type k8s, type LabelRequirement, matchesLabels, requirementsOf } from '../../api/mod.ts';
import { countByDomain, domainOf } from './affinity-terms.ts';
import type { NodeState, Pod } from './cluster-state.ts';
import { nodeAffinityFilter } from './filters/node-affinity.ts';
import type { Surroundings } from './filters/filter.ts';
import { taintsFilter } from './filters/taints.ts';

export interface PreparedSpread {
  readonly constraint: k8s.TopologySpreadConstraint;
  /** Pods that count, by domain; only domains with nodes that the pod could use. */
  readonly counts: ReadonlyMap<string, number>;
  /** Whether the pod itself counts where it lands. */
  readonly isSelfCounted: boolean;
}

/** The pod's topology spread constraints of one kind with the counts they compare. */
export function prepareSpread(pod: Pod, whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway', nodes: readonly NodeState[], surroundings: Surroundings): PreparedSpread[] {
  const constraints = (pod.spec?.topologySpreadConstraints ?? []).filter((constraint) => constraint.whenUnsatisfiable === whenUnsatisfiable);
  return constraints.map((constraint) => {
    const requirements = selectorOf(constraint, pod);
    const isCounted = ({ metadata }: Pod): boolean => requirements !== undefined && metadata.namespace === pod.metadata.namespace && metadata.deletionTimestamp === undefined && matchesLabels(requirements, metadata.labels);
    const eligible = nodes.filter((node) => constraints.every(({ topologyKey }) => domainOf(node, topologyKey) !== undefined) && isEligible(constraint, pod, node, nodes, surroundings));
    return { constraint, counts: countByDomain(eligible, constraint.topologyKey, isCounted), isSelfCounted: requirements !== undefined && matchesLabels(requirements, pod.metadata.labels) };
  });
}

function selectorOf({ labelSelector, matchLabelKeys = [] }: k8s.TopologySpreadConstraint, { metadata }: Pod): LabelRequirement[] | undefined {
  const own = matchLabelKeys.flatMap((key): LabelRequirement[] => (metadata.labels?.[key] === undefined ? [] : [{ key, operator: 'in', values: [metadata.labels[key]] }]));
  const requirements = requirementsOf(labelSelector);
  return requirements === undefined ? undefined : [...requirements, ...own];
}

/** Nodes that the pod cannot use anyway do not count, if the policies say so (default: affinity yes, taints no). */
function isEligible({ nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' }: k8s.TopologySpreadConstraint, pod: Pod, node: NodeState, nodes: readonly NodeState[], surroundings: Surroundings): boolean {
  if (nodeAffinityPolicy === 'Honor' && nodeAffinityFilter.prepare(pod, nodes, surroundings)?.(node) !== undefined) return false;
  return nodeTaintsPolicy !== 'Honor' || taintsFilter.prepare(pod, nodes, surroundings)?.(node) === undefined;
}
