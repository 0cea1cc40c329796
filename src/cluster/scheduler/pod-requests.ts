import { type k8s, quantityMilliValue, quantityValue } from '../../api/mod.ts';

/** Amounts by resource name: cpu in millicores, everything else in whole units (bytes, devices, pods). */
export type Amounts = ReadonlyMap<string, number>;

export function amountOf(name: string, quantity: string | undefined): number {
  return name === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity);
}

export function amountsOf(quantities: Readonly<Record<string, string>> | undefined): Map<string, number> {
  return new Map(Object.entries(quantities ?? {}).map(([name, quantity]) => [name, amountOf(name, quantity)]));
}

export function addAmounts(target: Map<string, number>, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) target.set(name, (target.get(name) ?? 0) + sign * amount);
}

/**
 * What a pod asks of its node: all containers and sidecars together, or more if one init container (beside the sidecars started
 * before it) needs more; the pod's own requests where it has them; plus its overhead and one of `pods`.
 */
export function podRequests({ spec }: k8s.Pod): Map<string, number> {
  const sidecars = new Map<string, number>();
  const initPeak = new Map<string, number>();
  for (const container of spec?.initContainers ?? []) {
    const own = requestsOf(container);
    const peak = new Map(sidecars);
    addAmounts(peak, own);
    for (const [name, amount] of peak) initPeak.set(name, Math.max(initPeak.get(name) ?? 0, amount));
    if (container.restartPolicy === 'Always') addAmounts(sidecars, own);
  }
  const total = new Map(sidecars);
  for (const container of spec?.containers ?? []) addAmounts(total, requestsOf(container));
  for (const [name, amount] of initPeak) total.set(name, Math.max(total.get(name) ?? 0, amount));
  for (const [name, amount] of amountsOf(spec?.resources?.requests)) total.set(name, amount);
  addAmounts(total, amountsOf(spec?.overhead));
  total.set('pods', 1);
  return total;
}

/** A limit without a request is the request too. */
function requestsOf({ resources }: k8s.Container): Map<string, number> {
  return amountsOf({ ...resources?.limits, ...resources?.requests });
}
