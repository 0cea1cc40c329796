import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration } from './kubernetes/types.gen.ts';
import { type LabelRequirement, matchesLabels } from './selectors.ts';

const operators = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: 'absent', Gt: 'gt', Lt: 'lt' } as const;

/** One expression of a node selector term as a requirement on labels. */
export function toRequirement({ key, operator, values }: NodeSelectorRequirement): LabelRequirement {
  return { key, operator: operators[operator as keyof typeof operators] ?? 'absent', values: values ?? [] };
}

/** Whether a node meets all expressions of one term; a term without any matches nothing. */
export function prepareNodeTerm(term: NodeSelectorTerm): (node: Node) => boolean {
  const labels = (term.matchExpressions ?? []).map(toRequirement);
  const fields = (term.matchFields ?? []).map(toRequirement);
  if (labels.length + fields.length === 0) return () => false;
  return ({ metadata }) => matchesLabels(labels, metadata?.labels) && matchesLabels(fields, { 'metadata.name': metadata?.name ?? '' });
}

/** Whether one of the selector's terms matches the node. */
export function nodeSelectorMatches(selector: NodeSelector, node: Node): boolean {
  return selector.nodeSelectorTerms.some((term) => prepareNodeTerm(term)(node));
}

/** Whether nodeSelector and required node affinity of a pod let it run on the node. */
export function podSelectsNode({ nodeSelector, affinity }: PodSpec, node: Node): boolean {
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const isSelected = Object.entries(nodeSelector ?? {}).every(([key, value]) => node.metadata?.labels?.[key] === value);
  return isSelected && (required === undefined || nodeSelectorMatches(required, node));
}

/** Whether one of the tolerations matches the taint (Kubernetes "Taints and Tolerations"). */
export function isTaintTolerated(tolerations: readonly Toleration[] | undefined, taint: Pick<Taint, 'key' | 'value' | 'effect'>): boolean {
  return (tolerations ?? []).some(({ effect, key, operator, value }) => {
    if (effect !== undefined && effect !== '' && effect !== taint.effect) return false;
    if (key !== undefined && key !== '' && key !== taint.key) return false;
    if (operator === 'Exists') return true;
    return (key ?? '') !== '' && (value ?? '') === (taint.value ?? '');
  });
}
