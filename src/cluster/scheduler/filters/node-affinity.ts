import { type k8s, type LabelRequirement, matchesLabels } from '../../../api/mod.ts';
import type { NodeState } from '../cluster-state.ts';
import type { Filter } from './filter.ts';

/** nodeSelector and required node affinity. */
export const nodeAffinityFilter: Filter = {
  name: 'node-affinity',
  isHelpedByEviction: false,
  prepare: ({ spec }) => {
    const selector = Object.entries(spec?.nodeSelector ?? {}).map(([key, value]): LabelRequirement => ({ key, operator: 'in', values: [value] }));
    const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    if (selector.length === 0 && required === undefined) return undefined;
    const terms = required?.nodeSelectorTerms.map(prepareTerm);
    return (state) => {
      const matches = matchesLabels(selector, state.node.metadata.labels) && (terms === undefined || terms.some((matchesTerm) => matchesTerm(state)));
      return matches ? undefined : "node(s) didn't match Pod's node affinity/selector";
    };
  },
};

const operators = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: 'absent', Gt: 'gt', Lt: 'lt' } as const;

/** Whether a node meets all expressions of one term; a term without any matches nothing. */
export function prepareTerm(term: k8s.NodeSelectorTerm): (state: NodeState) => boolean {
  const labels = (term.matchExpressions ?? []).map(toRequirement);
  const fields = (term.matchFields ?? []).map(toRequirement);
  if (labels.length + fields.length === 0) return () => false;
  return ({ node }) => matchesLabels(labels, node.metadata.labels) && matchesLabels(fields, { 'metadata.name': node.metadata.name });
}

function toRequirement({ key, operator, values }: k8s.NodeSelectorRequirement): LabelRequirement {
  return { key, operator: operators[operator as keyof typeof operators] ?? 'absent', values: values ?? [] };
}
