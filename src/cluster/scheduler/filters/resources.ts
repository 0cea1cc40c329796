import { podRequests } from '../pod-requests.ts';
import type { Filter } from './filter.ts';

/** What the pod requests must be left of the node's allocatable. A resource that a node does not name is one it has none of. Room kept for pods that are at least as important counts as taken. */
export const resourcesFilter: Filter = {
  name: 'resources',
  isHelpedByEviction: true,
  prepare: (pod) => {
    const requests = [...podRequests(pod)].filter(([, amount]) => amount > 0);
    const priority = pod.spec?.priority ?? 0;
    return ({ allocatable, requested, nominated }) => {
      const rivals = [...nominated.values()].filter((other) => other.pod.metadata.uid !== pod.metadata.uid && (other.pod.spec?.priority ?? 0) >= priority);
      for (const [name, amount] of requests) {
        const kept = rivals.reduce((sum, rival) => sum + (rival.requests.get(name) ?? 0), 0);
        const free = (allocatable.get(name) ?? 0) - (requested.get(name) ?? 0) - kept;
        if (amount > free) return name === 'pods' ? 'Too many pods' : `Insufficient ${name}`;
      }
      return undefined;
    };
  },
};
