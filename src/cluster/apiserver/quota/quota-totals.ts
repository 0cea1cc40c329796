import { formatQuantity, type k8s, parseQuantity, resources } from '../../../api/mod.ts';
import { type ApiObject, type Kind, listPrefix } from '../kinds/kind.ts';
import { listObjects, type Machine } from '../operations/machine.ts';
import { isInScope } from './quota-scopes.ts';
import { type Usage, usageOf } from './quota-usage.ts';

export type Quota = k8s.ResourceQuota & ApiObject;

/** The quotas of a namespace. */
export function quotasOf(machine: Machine, namespace: string): Quota[] {
  return [...listObjects(machine, resources.resourceQuotas, namespace)] as Quota[];
}

/** Which kind's objects a quota's resource name counts: `count/jobs.batch`, `pods`, `requests.cpu`. Undefined: none that is served. */
export function kindOfResource(machine: Machine, name: string): Kind | undefined {
  const counted = /^count\/([^.]+)(?:\.(.+))?$/.exec(name);
  if (counted !== null) return machine.kinds.findStored(counted[2] ?? '', counted[1] ?? '');
  if (name.includes('storage') && !name.includes('ephemeral')) return machine.kinds.findStored('', 'persistentvolumeclaims');
  if (name.startsWith('services')) return machine.kinds.findStored('', 'services');
  return machine.kinds.findStored('', name) ?? machine.kinds.findStored('', 'pods');
}

/** What all objects of the namespace use of what a quota limits. */
export function totalUsage(machine: Machine, quota: Quota, namespace: string): Usage {
  const names = Object.keys(quota.spec?.hard ?? {});
  const total = new Map(names.map((name) => [name, 0n]));
  const kinds = new Map(names.flatMap((name) => kindOfResource(machine, name) ?? []).map((kind) => [kind.keyPrefix, kind]));
  for (const kind of kinds.values()) {
    for (const { object } of machine.objects.list(listPrefix(kind, namespace))) if (isInScope(quota, kind, object)) addTo(total, usageOf(kind, object));
  }
  return total;
}

/** Adds the amounts of resources that are in the total already. */
export function addTo(total: Map<string, bigint>, usage: Usage): void {
  for (const [name, amount] of usage) {
    const had = total.get(name);
    if (had !== undefined) total.set(name, had + amount);
  }
}

/** An amount in the notation of the quota's own limit. */
export function showAmount(amount: bigint, like: string): string {
  return formatQuantity({ nano: amount, format: parseQuantity(like).format });
}
