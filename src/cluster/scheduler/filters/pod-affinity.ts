import type { k8s } from '../../../api/mod.ts';
import { countByDomain, domainOf, prepareTerm, type PreparedTerm } from '../affinity-terms.ts';
import type { NodeState, Pod } from '../cluster-state.ts';
import type { Filter, NodeCheck, Surroundings } from './filter.ts';

/** Required pod affinity, required anti-affinity, and the required anti-affinity of the pods that run already. */
export const podAffinityFilter: Filter = {
  name: 'pod-affinity',
  isHelpedByEviction: true,
  prepare: (pod, nodes, surroundings) => {
    const checks = [
      affinityCheck(pod, requiredTerms(pod.spec?.affinity?.podAffinity).map((term) => prepareTerm(term, pod, surroundings)), nodes),
      antiAffinityCheck(requiredTerms(pod.spec?.affinity?.podAntiAffinity).map((term) => prepareTerm(term, pod, surroundings)), nodes),
      existingCheck(pod, nodes, surroundings),
    ].filter((check) => check !== undefined);
    if (checks.length === 0) return undefined;
    return (node) => {
      for (const check of checks) {
        const reason = check(node);
        if (reason !== undefined) return reason;
      }
      return undefined;
    };
  },
};

function requiredTerms(affinity: k8s.PodAffinity | k8s.PodAntiAffinity | undefined): k8s.PodAffinityTerm[] {
  return affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

function affinityCheck(pod: Pod, terms: readonly PreparedTerm[], nodes: readonly NodeState[]): NodeCheck | undefined {
  if (terms.length === 0) return undefined;
  const counted = terms.map((term) => ({ term, counts: countByDomain(nodes, term.topologyKey, (other) => terms.every((one) => one.matches(other))) }));
  const isAnywhere = counted.some(({ counts }) => [...counts.values()].some((count) => count > 0));
  // The first of a group that wants to be together has to start somewhere.
  const isFirst = !isAnywhere && terms.every((term) => term.matches(pod));
  return (node) => {
    const isMet = counted.every(({ term, counts }) => {
      const domain = domainOf(node, term.topologyKey);
      return domain !== undefined && (isFirst || (counts.get(domain) ?? 0) > 0);
    });
    return isMet ? undefined : "node(s) didn't match pod affinity rules";
  };
}

function antiAffinityCheck(terms: readonly PreparedTerm[], nodes: readonly NodeState[]): NodeCheck | undefined {
  if (terms.length === 0) return undefined;
  const counted = terms.map((term) => ({ term, counts: countByDomain(nodes, term.topologyKey, (other) => term.matches(other)) }));
  return (node) => (counted.some(({ term, counts }) => (counts.get(domainOf(node, term.topologyKey) ?? '') ?? 0) > 0) ? "node(s) didn't match pod anti-affinity rules" : undefined);
}

/** Domains that pods with an anti-affinity keep this pod out of. */
function existingCheck(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings): NodeCheck | undefined {
  const closed = new Map<string, Set<string>>();
  for (const node of nodes) {
    for (const other of node.repellingPods.values()) {
      for (const term of requiredTerms(other.spec?.affinity?.podAntiAffinity)) {
        const domain = domainOf(node, term.topologyKey);
        if (domain === undefined || !prepareTerm(term, other, surroundings).matches(pod)) continue;
        closed.set(term.topologyKey, (closed.get(term.topologyKey) ?? new Set()).add(domain));
      }
    }
  }
  if (closed.size === 0) return undefined;
  return (node) => ([...closed].some(([key, domains]) => domains.has(domainOf(node, key) ?? '')) ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined);
}
