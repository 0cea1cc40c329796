import { type k8s, resources } from '../../../../api/mod.ts';
import { listObjects, type Machine } from '../../operations/machine.ts';
import type { AccessRequest, AccessRules, Authorizer, Decision } from '../authorizer.ts';
import type { User } from '../user.ts';
import { ruleAllows } from './rules.ts';

/** What one binding gives: in one namespace, or everywhere when it is empty. */
interface Grant { readonly namespace: string; readonly rules: readonly k8s.PolicyRule[]; readonly reason: string }

const kinds = [resources.roles, resources.roleBindings, resources.clusterRoles, resources.clusterRoleBindings];

/** Role-based access control: what a user may do is what the bindings of the user and their groups give. Nothing can be denied. */
export class RbacAuthorizer implements Authorizer, Disposable {
  readonly #machine: Machine;
  readonly #unlisten: (() => void)[];
  /** By `User:name` and `Group:name`; made anew after a change of any role or binding. */
  #grants: Map<string, Grant[]> | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#unlisten = kinds.map(({ group, plural }) => machine.objects.listen(`/${group}/${plural}/`, () => (this.#grants = undefined)));
  }

  authorize(user: User, request: AccessRequest): Decision {
    for (const grant of this.#grantsOf(user)) {
      if (grant.namespace !== '' && (!request.isResource || grant.namespace !== request.namespace)) continue;
      if (grant.rules.some((rule) => ruleAllows(rule, request))) return { isAllowed: true, reason: grant.reason };
    }
    return { isAllowed: false, reason: '' };
  }

  /** All rules that hold for a user in a namespace; in none when it is empty. */
  held(user: User, namespace: string): k8s.PolicyRule[] {
    return this.#grantsOf(user).flatMap((grant) => (grant.namespace === '' || grant.namespace === namespace ? grant.rules : []));
  }

  rulesOf(user: User, namespace: string): AccessRules {
    const held = this.held(user, namespace);
    return {
      resourceRules: held.filter(({ resources = [] }) => resources.length > 0).map(({ verbs, apiGroups = [], resources = [], resourceNames }) => ({ verbs, apiGroups, resources, ...(resourceNames === undefined ? {} : { resourceNames }) })),
      nonResourceRules: held.filter(({ nonResourceURLs = [] }) => nonResourceURLs.length > 0).map(({ verbs, nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
    };
  }

  /** The rules of the role that a binding names; undefined when there is no such role. */
  rulesOfRole(roleRef: k8s.RoleRef, namespace: string): readonly k8s.PolicyRule[] | undefined {
    const prefix = roleRef.kind === 'ClusterRole' ? `/${resources.clusterRoles.group}/${resources.clusterRoles.plural}/` : `/${resources.roles.group}/${resources.roles.plural}/${namespace}/`;
    const role = this.#machine.objects.get(prefix + roleRef.name)?.object as k8s.ClusterRole | undefined;
    return role === undefined ? undefined : (role.rules ?? []);
  }

  [Symbol.dispose](): void {
    for (const stop of this.#unlisten) stop();
  }

  #grantsOf(user: User): Grant[] {
    const grants = (this.#grants ??= this.#collect());
    return [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)].flatMap((key) => grants.get(key) ?? []);
  }

  #collect(): Map<string, Grant[]> {
    const grants = new Map<string, Grant[]>();
    for (const type of [resources.clusterRoleBindings, resources.roleBindings]) {
      for (const object of listObjects(this.#machine, type, '')) {
        const { metadata, roleRef, subjects = [] } = object as unknown as k8s.RoleBinding & typeof object;
        const namespace = metadata.namespace ?? '';
        const rules = this.rulesOfRole(roleRef, namespace);
        if (rules === undefined) continue;
        const grant: Grant = { namespace, rules, reason: `RBAC: allowed by ${type.kind} "${namespace === '' ? '' : `${metadata.name}/${namespace}`}${namespace === '' ? metadata.name : ''}" of ${roleRef.kind} "${roleRef.name}"` };
        for (const subject of subjects) add(grants, keyOfSubject(subject, namespace), grant);
      }
    }
    return grants;
  }
}

function add(grants: Map<string, Grant[]>, key: string, grant: Grant): void {
  const list = grants.get(key);
  if (list === undefined) grants.set(key, [grant]);
  else list.push(grant);
}

function keyOfSubject({ kind, name, namespace }: k8s.RbacSubject, own: string): string {
  return kind === 'ServiceAccount' ? `User:system:serviceaccount:${namespace ?? own}:${name}` : `${kind}:${name}`;
}
