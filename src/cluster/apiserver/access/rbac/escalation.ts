import { isDeepStrictEqual } from 'node:util';
import { type k8s, resources } from '../../../../api/mod.ts';
import { objectForbidden } from '../../errors.ts';
import type { AdmissionCheck, AdmissionRequest } from '../../operations/admission.ts';
import type { Authorizer } from '../authorizer.ts';
import { systemMasters, type User } from '../user.ts';
import type { RbacAuthorizer } from './rbac-authorizer.ts';
import { missingGrants, showRule } from './rules.ts';

const { group } = resources.roles;

/** Nobody gives, by a role or a binding, what they do not have themselves, unless they may `escalate` or `bind`. */
export function escalationCheck(authorizer: Authorizer, rbac: RbacAuthorizer): AdmissionCheck {
  return (request) => {
    const { kind, user, object, old } = request;
    if (kind.type.group !== group || user === undefined || object === undefined || user.groups.includes(systemMasters)) return;
    const isRole = kind.type.plural === resources.roles.plural || kind.type.plural === resources.clusterRoles.plural;
    if (isRole) checkRole(authorizer, rbac, request, user, object, old);
    else checkBinding(authorizer, rbac, request, user, object as unknown as k8s.RoleBinding, old as unknown as k8s.RoleBinding | undefined);
  };
}

function checkRole(authorizer: Authorizer, rbac: RbacAuthorizer, request: AdmissionRequest, user: User, role: k8s.ClusterRole, old: k8s.ClusterRole | undefined): void {
  if (old !== undefined && isDeepStrictEqual(role.rules, old.rules) && isDeepStrictEqual(role.aggregationRule, old.aggregationRule)) return;
  if (may(authorizer, user, 'escalate', request, request.object?.metadata.name ?? '')) return;
  // What an aggregated role will hold is not known, so only those who hold everything may make one.
  const wanted = role.aggregationRule === undefined ? (role.rules ?? []) : [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];
  refuseMissing(rbac, request, user, wanted);
}

function checkBinding(authorizer: Authorizer, rbac: RbacAuthorizer, request: AdmissionRequest, user: User, binding: k8s.RoleBinding, old: k8s.RoleBinding | undefined): void {
  if (old !== undefined && isDeepStrictEqual(binding.subjects, old.subjects)) return;
  const { roleRef } = binding;
  const plural = roleRef.kind === 'ClusterRole' ? resources.clusterRoles.plural : resources.roles.plural;
  const access = { isResource: true, verb: 'bind', group, version: 'v1', namespace: request.object?.metadata.namespace ?? '', plural, subresource: '', name: roleRef.name, path: '' };
  if (authorizer.authorize(user, access).isAllowed) return;
  refuseMissing(rbac, request, user, rbac.rulesOfRole(roleRef, request.object?.metadata.namespace ?? '') ?? [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]);
}

function may(authorizer: Authorizer, user: User, verb: string, { kind, object }: AdmissionRequest, name: string): boolean {
  return authorizer.authorize(user, { isResource: true, verb, group, version: 'v1', namespace: object?.metadata.namespace ?? '', plural: kind.type.plural, subresource: '', name, path: '' }).isAllowed;
}

function refuseMissing(rbac: RbacAuthorizer, { kind, object }: AdmissionRequest, user: User, wanted: readonly k8s.PolicyRule[]): void {
  const missing = missingGrants(rbac.held(user, object?.metadata.namespace ?? ''), wanted);
  if (missing.length === 0) return;
  const groups = user.groups.map((name) => JSON.stringify(name)).join(' ');
  throw objectForbidden(kind.type, object?.metadata.name ?? '', `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${missing.map(showRule).join('\n')}`);
}
