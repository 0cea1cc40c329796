import type { NodeState, Pod } from './cluster-state.ts';
import { prepareTerm } from './filters/node-affinity.ts';
import { isTolerated, taintsOf } from './filters/taints.ts';
import { podRequests } from './pod-requests.ts';

/** How much a node would suit a pod, 0 to 100, and how much that counts. */
export interface Score {
  readonly name: string;
  readonly weight: number;
  prepare(pod: Pod, nodes: readonly NodeState[]): ((node: NodeState) => number) | undefined;
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

const preferredNodeAffinity: Score = {
  name: 'preferred-node-affinity',
  weight: 2,
  prepare: ({ spec }) => {
    const preferences = (spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, preference }) => ({ weight, matches: prepareTerm(preference) }));
    const total = preferences.reduce((sum, { weight }) => sum + weight, 0);
    if (total === 0) return undefined;
    return (node) => (100 * preferences.reduce((sum, { weight, matches }) => sum + (matches(node) ? weight : 0), 0)) / total;
  },
};

/** Nodes with fewer PreferNoSchedule taints that the pod does not tolerate. */
const preferredTaints: Score = {
  name: 'preferred-taints',
  weight: 3,
  prepare: ({ spec }) => (node) => {
    const disliked = taintsOf(node).filter((taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(spec?.tolerations, taint));
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

export const defaultScores: readonly Score[] = [leastAllocated, preferredNodeAffinity, preferredTaints, spreadOwner];
