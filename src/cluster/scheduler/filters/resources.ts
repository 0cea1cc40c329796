import { podRequests } from '../pod-requests.ts';
import type { Filter } from './filter.ts';

/** What the pod requests must be left of the node's allocatable. A resource that a node does not name is one it has none of. */
export const resourcesFilter: Filter = {
  name: 'resources',
  prepare: (pod) => {
    const requests = [...podRequests(pod)].filter(([, amount]) => amount > 0);
    return ({ allocatable, requested }) => {
      for (const [name, amount] of requests) {
        const free = (allocatable.get(name) ?? 0) - (requested.get(name) ?? 0);
        if (amount > free) return name === 'pods' ? 'Too many pods' : `Insufficient ${name}`;
      }
      return undefined;
    };
  },
};
