import { isTaintTolerated, type k8s, prepareNodeTerm } from '../../api/mod.ts';
import { countByDomain, domainOf, prepareTerm as preparePodTerm } from './affinity-terms.ts';
import type { NodeState, Pod } from './cluster-state.ts';
import type { Surroundings } from './filters/filter.ts';
import { taintsOf } from './filters/taints.ts';
import { podRequests } from './pod-requests.ts';
import { prepareSpread } from './spread.ts';

/** How much a node would suit a pod, 0 to 100, and how much that counts. */
export interface Score {
  readonly name: string;
  readonly weight: number;
  prepare(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings): ((node: NodeState) => number) | undefined;
}

/** Where more CPU and memory would stay free is better, so that load spreads. */
const leastAllocated: Score = {
  name: 'least-allocated',
  weight: 1,
  prepare: (pod) => {
    const requests = podRequests(pod);
    return ({ allocatable, requested }) => {
      const shares = ['cpu', 'memory'].map((name) => {
        const capacity = allocatable.get(name) ?? 0;
        const free = capacity - (requested.get(name) ?? 0) - (requests.get(name) ?? 0);
        return capacity === 0 ? 0 : Math.max(0, free) / capacity;
      });
      return (100 * shares.reduce((sum, share) => sum + share, 0)) / shares.length;
    };
  },
};

/** The opposite: the fuller node is better, so that others stay empty. */
const mostAllocated: Score = {
  name: 'most-allocated',
  weight: 4,
  prepare: (pod, nodes, surroundings) => {
    const rate = leastAllocated.prepare(pod, nodes, surroundings);
    return rate === undefined ? undefined : (node) => 100 - rate(node);
  },
};

const preferredNodeAffinity: Score = {
  name: 'preferred-node-affinity',
  weight: 2,
  prepare: ({ spec }) => {
    const preferences = (spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, preference }) => ({ weight, matches: prepareNodeTerm(preference) }));
    const total = preferences.reduce((sum, { weight }) => sum + weight, 0);
    if (total === 0) return undefined;
    return (node) => (100 * preferences.reduce((sum, { weight, matches }) => sum + (matches(node.node) ? weight : 0), 0)) / total;
  },
};

/** Nodes with fewer PreferNoSchedule taints that the pod does not tolerate. */
const preferredTaints: Score = {
  name: 'preferred-taints',
  weight: 3,
  prepare: ({ spec }) => (node) => {
    const disliked = taintsOf(node).filter((taint) => taint.effect === 'PreferNoSchedule' && !isTaintTolerated(spec?.tolerations, taint));
    return 100 / (1 + disliked.length);
  },
};

/** Pods of one owner are better on different nodes. */
const spreadOwner: Score = {
  name: 'spread-owner',
  weight: 2,
  prepare: (pod) => {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;
    if (owner === undefined) return undefined;
    const isSibling = ({ metadata }: Pod): boolean => metadata.ownerReferences?.some(({ uid }) => uid === owner) === true;
    return ({ pods }) => 100 / (1 + [...pods.values()].filter(isSibling).length);
  },
};

/** Preferred pod affinity and anti-affinity: the pod's own, and that of the pods that run already towards it. */
const preferredPodAffinity: Score = {
  name: 'preferred-pod-affinity',
  weight: 2,
  prepare: (pod, nodes, surroundings) => {
    const points = new Map<string, number>();
    const addPoints = (key: string, domain: string, amount: number): void => void points.set(`${key}=${domain}`, (points.get(`${key}=${domain}`) ?? 0) + amount);
    for (const { weight, podAffinityTerm } of preferencesOf(pod)) {
      const term = preparePodTerm(podAffinityTerm, pod, surroundings);
      for (const [domain, count] of countByDomain(nodes, term.topologyKey, (other) => term.matches(other))) if (count > 0) addPoints(term.topologyKey, domain, weight * count);
    }
    for (const node of nodes) {
      for (const other of node.pods.values()) {
        for (const { weight, podAffinityTerm } of preferencesOf(other)) {
          const domain = domainOf(node, podAffinityTerm.topologyKey);
          if (domain !== undefined && preparePodTerm(podAffinityTerm, other, surroundings).matches(pod)) addPoints(podAffinityTerm.topologyKey, domain, weight);
        }
      }
    }
    if (points.size === 0) return undefined;
    const total = (node: NodeState): number => [...points].reduce((sum, [domain, amount]) => sum + (isIn(node, domain) ? amount : 0), 0);
    return normalized(nodes, total);
  },
};

/** Anti-affinity is a preference with a negative weight. */
function preferencesOf({ spec }: Pod): k8s.WeightedPodAffinityTerm[] {
  const near = spec?.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const far = spec?.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return [...near, ...far.map(({ weight, podAffinityTerm }) => ({ weight: -weight, podAffinityTerm }))];
}

function isIn(node: NodeState, keyAndDomain: string): boolean {
  const equals = keyAndDomain.indexOf('=');
  return domainOf(node, keyAndDomain.slice(0, equals)) === keyAndDomain.slice(equals + 1);
}

/** Topology spread constraints with ScheduleAnyway: emptier domains are better. */
const preferredSpread: Score = {
  name: 'preferred-spread',
  weight: 2,
  prepare: (pod, nodes, surroundings) => {
    const spreads = prepareSpread(pod, 'ScheduleAnyway', nodes, surroundings);
    if (spreads.length === 0) return undefined;
    const crowd = (node: NodeState): number => spreads.reduce((sum, { constraint, counts }) => sum + (counts.get(domainOf(node, constraint.topologyKey) ?? '') ?? 0) / constraint.maxSkew, 0);
    return normalized(nodes, (node) => -crowd(node));
  },
};

/** Maps the lowest of the nodes' values to 0 and the highest to 100. */
function normalized(nodes: readonly NodeState[], value: (node: NodeState) => number): (node: NodeState) => number {
  const values = nodes.map(value);
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  return (node) => (highest === lowest ? 0 : (100 * (value(node) - lowest)) / (highest - lowest));
}

export const defaultScores: readonly Score[] = [leastAllocated, preferredNodeAffinity, preferredTaints, spreadOwner, preferredPodAffinity, preferredSpread];

/** For clusters whose nodes are to be filled one after the other. What pods ask for themselves still counts. */
export const packingScores: readonly Score[] = [mostAllocated, preferredNodeAffinity, preferredTaints, preferredPodAffinity, preferredSpread];
