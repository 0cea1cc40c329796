import { isFields, type k8s } from '../../../api/mod.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import { qosClassOf } from '../kinds/pod.ts';

/** Whether a quota counts an object: without scopes every one, with scopes only the pods that match all of them. */
export function isInScope({ spec }: k8s.ResourceQuota, kind: Kind, object: ApiObject): boolean {
  const scopes = spec?.scopes ?? [];
  const expressions = spec?.scopeSelector?.matchExpressions ?? [];
  if (scopes.length + expressions.length === 0) return true;
  if (kind.type.group !== '' || kind.type.plural !== 'pods') return false;
  const pod = object as k8s.Pod;
  return scopes.every((scope) => hasScope(pod, { scopeName: scope, operator: 'Exists' })) && expressions.every((expression) => hasScope(pod, expression));
}

function hasScope({ spec }: k8s.Pod, { scopeName, operator, values = [] }: k8s.ScopedResourceSelectorRequirement): boolean {
  switch (scopeName) {
    case 'Terminating':
      return spec?.activeDeadlineSeconds !== undefined;
    case 'NotTerminating':
      return spec?.activeDeadlineSeconds === undefined;
    case 'BestEffort':
      return spec !== undefined && qosClassOf(spec) === 'BestEffort';
    case 'NotBestEffort':
      return spec !== undefined && qosClassOf(spec) !== 'BestEffort';
    case 'PriorityClass':
      return matchesClass(spec?.priorityClassName ?? '', operator, values);
    case 'CrossNamespacePodAffinity':
      return hasCrossNamespaceAffinity(spec?.affinity);
    default:
      return false;
  }
}

function matchesClass(name: string, operator: string, values: readonly string[]): boolean {
  switch (operator) {
    case 'In':
      return values.includes(name);
    case 'NotIn':
      return !values.includes(name);
    case 'DoesNotExist':
      return name === '';
    default:
      return name !== '';
  }
}

function hasCrossNamespaceAffinity(affinity: k8s.Affinity | undefined): boolean {
  const terms = [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((side) => [...(side?.requiredDuringSchedulingIgnoredDuringExecution ?? []), ...(side?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm)]);
  return terms.some((term) => (term.namespaces?.length ?? 0) > 0 || isFields(term.namespaceSelector));
}
