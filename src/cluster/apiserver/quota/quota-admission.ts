import { type k8s, parseQuantity } from '../../../api/mod.ts';
import { objectForbidden } from '../errors.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import type { AdmissionCheck, AdmissionRequest } from '../operations/admission.ts';
import type { Machine } from '../operations/machine.ts';
import { isInScope } from './quota-scopes.ts';
import { addTo, type Quota, quotasOf, showAmount, totalUsage } from './quota-totals.ts';
import { missingAmounts, type Usage, usageOf } from './quota-usage.ts';

/** What writes that are under way will use, beside what is stored: many at once must not all fit into the same room. */
type Reservations = Map<string, Set<{ readonly kind: Kind; readonly object: ApiObject; readonly more: Usage }>>;

/** Refuses what would use more of a namespace than its ResourceQuotas allow. `machine` is known when the first write comes. */
export function quotaCheck(machine: () => Machine): AdmissionCheck {
  const reservations: Reservations = new Map();
  return (request) => {
    const { kind, object, part } = request;
    if (object === undefined || part !== 'main' || !kind.type.isNamespaced || object.metadata.deletionTimestamp !== undefined) return;
    const namespace = object.metadata.namespace ?? '';
    const quotas = quotasOf(machine(), namespace).filter((quota) => isInScope(quota, kind, object));
    if (quotas.length === 0) return;
    const more = growth(request, object);
    for (const quota of quotas) checkQuota(machine(), reservations, request, object, quota, more);
    if (more.size > 0) reserve(reservations, namespace, request, object, more);
  };
}

/** What the write uses beyond what the object used before. */
function growth({ kind, old }: AdmissionRequest, object: ApiObject): Usage {
  // Not remembered: the object may still change before it is stored.
  const now = usageOf(kind, { ...object });
  const before = old === undefined ? new Map<string, bigint>() : usageOf(kind, old);
  return new Map([...now].map(([name, amount]) => [name, amount - (before.get(name) ?? 0n)] as const).filter(([, amount]) => amount > 0n));
}

function checkQuota(machine: Machine, reservations: Reservations, { kind, old }: AdmissionRequest, object: ApiObject, quota: Quota, more: Usage): void {
  const hard = quota.spec?.hard ?? {};
  const { name, namespace = '' } = object.metadata;
  if (kind.type.group === '' && kind.type.plural === 'pods' && old === undefined) demandAmounts(kind, name, quota, object as k8s.Pod, Object.keys(hard));
  const concerned = Object.keys(hard).filter((resource) => (more.get(resource) ?? 0n) > 0n).toSorted();
  if (concerned.length === 0) return;
  const used = new Map(totalUsage(machine, quota, namespace));
  for (const reserved of reservations.get(namespace) ?? []) if (isInScope(quota, reserved.kind, reserved.object)) addTo(used, reserved.more);
  const exceeded = concerned.filter((resource) => (used.get(resource) ?? 0n) + (more.get(resource) ?? 0n) > parseQuantity(hard[resource] ?? '0').nano);
  if (exceeded.length === 0) return;
  const list = (amount: (resource: string) => string): string => exceeded.map((resource) => `${resource}=${amount(resource)}`).join(',');
  const shown = (usage: Usage) => (resource: string): string => showAmount(usage.get(resource) ?? 0n, hard[resource] ?? '0');
  throw objectForbidden(kind.type, name, `exceeded quota: ${quota.metadata.name}, requested: ${list(shown(more))}, used: ${list(shown(used))}, limited: ${list((resource) => hard[resource] ?? '0')}`);
}

/** A quota of CPU or memory needs pods to say how much they want. */
function demandAmounts(kind: Kind, name: string, quota: Quota, { spec }: k8s.Pod, limited: readonly string[]): void {
  const missing = missingAmounts(spec, limited);
  if (missing.size === 0) return;
  const list = [...missing].map(([resource, containers]) => `${resource} for: ${containers.join(',')}`);
  throw objectForbidden(kind.type, name, `failed quota: ${quota.metadata.name}: must specify ${list.join('; ')}`);
}

function reserve(reservations: Reservations, namespace: string, request: AdmissionRequest, object: ApiObject, more: Usage): void {
  const list = reservations.get(namespace) ?? new Set();
  reservations.set(namespace, list);
  const entry = { kind: request.kind, object, more };
  list.add(entry);
  request.onFinished(() => {
    list.delete(entry);
    if (list.size === 0) reservations.delete(namespace);
  });
}
