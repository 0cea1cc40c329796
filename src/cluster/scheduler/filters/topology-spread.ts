import { domainOf } from '../affinity-terms.ts';
import { prepareSpread } from '../spread.ts';
import type { Filter } from './filter.ts';

/** Topology spread constraints with DoNotSchedule: no domain may be more than maxSkew ahead of the emptiest. */
export const topologySpreadFilter: Filter = {
  name: 'topology-spread',
  isHelpedByEviction: true,
  prepare: (pod, nodes, surroundings) => {
    const spreads = prepareSpread(pod, 'DoNotSchedule', nodes, surroundings).map(({ constraint, counts, isSelfCounted }) => {
      const fewest = counts.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values());
      return { constraint, counts, limit: fewest + constraint.maxSkew - (isSelfCounted ? 1 : 0) };
    });
    if (spreads.length === 0) return undefined;
    return (node) => {
      for (const { constraint, counts, limit } of spreads) {
        const domain = domainOf(node, constraint.topologyKey);
        if (domain === undefined) return "node(s) didn't match pod topology spread constraints (missing required label)";
        if ((counts.get(domain) ?? 0) > limit) return "node(s) didn't match pod topology spread constraints";
      }
      return undefined;
    };
  },
};
