import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { Strategy } from './kind.ts';

const group = 'rbac.authorization.k8s.io';

/** Roles of a namespace. */
export const roleStrategy: Strategy<k8s.Role> = { validate: ({ rules }, errors) => validateRules(rules ?? [], true, errors) };

/** Roles of the cluster. */
export const clusterRoleStrategy: Strategy<k8s.ClusterRole> = { validate: ({ rules }, errors) => validateRules(rules ?? [], false, errors) };

/** Bindings, of a namespace or of the cluster. */
export function bindingStrategy(isNamespaced: boolean): Strategy<k8s.RoleBinding> {
  return {
    defaults({ roleRef, subjects }) {
      if (roleRef !== undefined) roleRef.apiGroup ||= group;
      for (const subject of subjects ?? []) subject.apiGroup ??= subject.kind === 'User' || subject.kind === 'Group' ? group : '';
      for (const subject of subjects ?? []) if (subject.apiGroup === '') delete subject.apiGroup;
    },
    validate({ roleRef, subjects }, errors) {
      const kinds = isNamespaced ? ['ClusterRole', 'Role'] : ['ClusterRole'];
      if (roleRef.apiGroup !== group) errors.unsupported('roleRef.apiGroup', roleRef.apiGroup, [group]);
      if (!kinds.includes(roleRef.kind)) errors.unsupported('roleRef.kind', roleRef.kind, kinds);
      if (roleRef.name === '') errors.required('roleRef.name');
      for (const [index, subject] of (subjects ?? []).entries()) validateSubject(subject, `subjects[${index}]`, isNamespaced, errors);
    },
    validateUpdate({ roleRef }, old, errors) {
      if (!isDeepStrictEqual(roleRef, old.roleRef)) errors.invalid('roleRef', roleRef, 'cannot change roleRef');
    },
  };
}

function validateRules(rules: readonly k8s.PolicyRule[], isNamespaced: boolean, errors: FieldErrors): void {
  for (const [index, { verbs, apiGroups = [], resources = [], nonResourceURLs = [] }] of rules.entries()) {
    const at = `rules[${index}]`;
    if (verbs.length === 0) errors.required(`${at}.verbs`, 'verbs must contain at least one value');
    if (nonResourceURLs.length > 0) {
      if (isNamespaced) errors.invalid(`${at}.nonResourceURLs`, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs');
      if (apiGroups.length + resources.length > 0) errors.invalid(`${at}.nonResourceURLs`, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs');
      continue;
    }
    if (apiGroups.length === 0) errors.required(`${at}.apiGroups`, 'resource rules must supply at least one api group');
    if (resources.length === 0) errors.required(`${at}.resources`, 'resource rules must supply at least one resource');
  }
}

function validateSubject({ kind, name, namespace, apiGroup }: k8s.RbacSubject, at: string, isNamespaced: boolean, errors: FieldErrors): void {
  if (name === '') errors.required(`${at}.name`);
  if (kind === 'ServiceAccount') {
    if (!isNamespaced && (namespace ?? '') === '') errors.required(`${at}.namespace`);
    if ((apiGroup ?? '') !== '') errors.unsupported(`${at}.apiGroup`, apiGroup, ['']);
  } else if (kind !== 'User' && kind !== 'Group') errors.unsupported(`${at}.kind`, kind, ['Group', 'ServiceAccount', 'User']);
  else if (apiGroup !== group) errors.unsupported(`${at}.apiGroup`, apiGroup, [group]);
}
