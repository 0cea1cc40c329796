import { type LabelRequirement, matchesLabels, prepareNodeTerm } from '../../../api/mod.ts';
import type { Filter } from './filter.ts';

/** nodeSelector and required node affinity. */
export const nodeAffinityFilter: Filter = {
  name: 'node-affinity',
  isHelpedByEviction: false,
  prepare: ({ spec }) => {
    const selector = Object.entries(spec?.nodeSelector ?? {}).map(([key, value]): LabelRequirement => ({ key, operator: 'in', values: [value] }));
    const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    if (selector.length === 0 && required === undefined) return undefined;
    const terms = required?.nodeSelectorTerms.map(prepareNodeTerm);
    return ({ node }) => {
      const matches = matchesLabels(selector, node.metadata.labels) && (terms === undefined || terms.some((matchesTerm) => matchesTerm(node)));
      return matches ? undefined : "node(s) didn't match Pod's node affinity/selector";
    };
  },
};
