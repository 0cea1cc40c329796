import type { k8s } from '../../../../api/mod.ts';
import type { AccessRequest } from '../authorizer.ts';

/** Whether one rule of a role allows a request (Kubernetes RBAC documentation, "Referring to resources"). */
export function ruleAllows(rule: k8s.PolicyRule, request: AccessRequest): boolean {
  if (!hasOrAll(rule.verbs, request.verb)) return false;
  if (!request.isResource) return (rule.nonResourceURLs ?? []).some((url) => url === '*' || url === request.path || (url.endsWith('*') && request.path.startsWith(url.slice(0, -1))));
  const { group, plural, subresource, name } = request;
  const names = rule.resourceNames ?? [];
  return hasOrAll(rule.apiGroups ?? [], group) && (rule.resources ?? []).some((resource) => resourceMatches(resource, plural, subresource)) && (names.length === 0 || (name !== '' && names.includes(name)));
}

function hasOrAll(list: readonly string[], wanted: string): boolean {
  return list.includes('*') || list.includes(wanted);
}

function resourceMatches(rule: string, plural: string, subresource: string): boolean {
  if (rule === '*') return true;
  if (subresource === '') return rule === plural;
  return rule === `${plural}/${subresource}` || rule === `*/${subresource}`;
}

/** The smallest grants a rule consists of, each as a rule of its own. */
function atoms(rule: k8s.PolicyRule): k8s.PolicyRule[] {
  const verbs = rule.verbs.map((verb) => [verb]);
  if ((rule.nonResourceURLs ?? []).length > 0) return verbs.flatMap((verb) => (rule.nonResourceURLs ?? []).map((url) => ({ verbs: verb, nonResourceURLs: [url] })));
  const names = rule.resourceNames ?? [];
  return verbs.flatMap((verb) =>
    (rule.apiGroups ?? []).flatMap((group) =>
      (rule.resources ?? []).flatMap((resource) => (names.length === 0 ? [undefined] : names).map((name) => ({ verbs: verb, apiGroups: [group], resources: [resource], ...(name === undefined ? {} : { resourceNames: [name] }) }))),
    ),
  );
}

/** The grants among `wanted` that are not contained in `held`. */
export function missingGrants(held: readonly k8s.PolicyRule[], wanted: readonly k8s.PolicyRule[]): k8s.PolicyRule[] {
  return wanted.flatMap(atoms).filter((atom) => !held.some((rule) => contains(rule, atom)));
}

function contains(rule: k8s.PolicyRule, atom: k8s.PolicyRule): boolean {
  const covers = (list: readonly string[] | undefined, items: readonly string[] | undefined): boolean => (items ?? []).every((item) => hasOrAll(list ?? [], item));
  if (!covers(rule.verbs, atom.verbs)) return false;
  if (atom.nonResourceURLs !== undefined) return atom.nonResourceURLs.every((url) => (rule.nonResourceURLs ?? []).some((own) => own === '*' || own === url || (own.endsWith('*') && url.startsWith(own.slice(0, -1)))));
  const names = rule.resourceNames ?? [];
  const hasName = names.length === 0 || (atom.resourceNames !== undefined && atom.resourceNames.every((name) => names.includes(name)));
  return hasName && covers(rule.apiGroups, atom.apiGroups) && (atom.resources ?? []).every((wanted) => (rule.resources ?? []).some((own) => own === '*' || own === wanted || (own.startsWith('*/') && wanted.endsWith(own.slice(1)))));
}

/** A rule as messages show it. */
export function showRule({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: k8s.PolicyRule): string {
  const parts = Object.entries({ APIGroups: apiGroups, Resources: resources, ResourceNames: resourceNames, NonResourceURLs: nonResourceURLs, Verbs: verbs });
  return `{${parts.flatMap(([name, list]) => (list === undefined ? [] : [`${name}:[${list.map((item) => JSON.stringify(item)).join(', ')}]`])).join(', ')}}`;
}
