import { type k8s, type LabelRequirement, matchesLabels, requirementsOf } from '../../api/mod.ts';
import type { NodeState, Pod } from './cluster-state.ts';
import type { Surroundings } from './filters/filter.ts';

/** A pod (anti-)affinity term of one pod, ready to be asked. */
export interface PreparedTerm {
  readonly topologyKey: string;
  matches(other: Pod): boolean;
}

/** Which other pods a term of `owner` means: its label selector within its namespaces (default: the owner's own). */
export function prepareTerm(term: k8s.PodAffinityTerm, owner: Pod, surroundings: Surroundings): PreparedTerm {
  const requirements = selectorOf(term, owner);
  const isInNamespaces = namespacesOf(term, owner, surroundings);
  return {
    topologyKey: term.topologyKey,
    matches: ({ metadata }) => requirements !== undefined && isInNamespaces(metadata.namespace ?? '') && matchesLabels(requirements, metadata.labels),
  };
}

/** `matchLabelKeys` means pods with the owner's own value of a label, `mismatchLabelKeys` those with another. */
function selectorOf({ labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] }: k8s.PodAffinityTerm, { metadata }: Pod): LabelRequirement[] | undefined {
  const requirements = requirementsOf(labelSelector);
  const own = (keys: readonly string[], operator: 'in' | 'notin'): LabelRequirement[] =>
    keys.flatMap((key) => (metadata.labels?.[key] === undefined ? [] : [{ key, operator, values: [metadata.labels[key]] }]));
  return requirements === undefined ? undefined : [...requirements, ...own(matchLabelKeys, 'in'), ...own(mismatchLabelKeys, 'notin')];
}

function namespacesOf({ namespaces = [], namespaceSelector }: k8s.PodAffinityTerm, owner: Pod, surroundings: Surroundings): (namespace: string) => boolean {
  const selector = requirementsOf(namespaceSelector);
  if (namespaces.length === 0 && selector === undefined) return (namespace) => namespace === owner.metadata.namespace;
  return (namespace) => namespaces.includes(namespace) || (selector !== undefined && matchesLabels(selector, surroundings.namespaceLabels(namespace)));
}

/** The node's value of a topology label. */
export function domainOf({ node }: NodeState, topologyKey: string): string | undefined {
  return node.metadata.labels?.[topologyKey];
}

/** How many pods that `matches` accepts are in each domain of the topology. */
export function countByDomain(nodes: readonly NodeState[], topologyKey: string, matches: (pod: Pod) => boolean): Map<string, number> {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const domain = domainOf(node, topologyKey);
    if (domain === undefined) continue;
    let count = 0;
    for (const pod of node.pods.values()) if (matches(pod)) count += 1;
    counts.set(domain, (counts.get(domain) ?? 0) + count);
  }
  return counts;
}
