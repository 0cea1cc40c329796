import type { k8s } from '../../api/mod.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const counted = ['cpu', 'memory'];

/** Kubernetes, "Pod Quality of Service Classes". Defaulting has copied limits to missing requests; it is repeated here for static pods. */
export function qosClassOf(spec: k8s.PodSpec): QosClass {
  const all = [...(spec.initContainers ?? []), ...spec.containers].map(({ resources }) => resources ?? {});
  const isGiven = (quantity: string | undefined): boolean => quantity !== undefined && !/^0+(\.0+)?[A-Za-z]*$/.test(quantity);
  const asksAnything = all.some(({ requests, limits }) => counted.some((name) => isGiven(requests?.[name]) || isGiven(limits?.[name])));
  if (!asksAnything) return 'BestEffort';
  const isGuaranteed = all.every(({ requests, limits }) =>
    counted.every((name) => isGiven(limits?.[name]) && (requests?.[name] ?? limits?.[name]) === limits?.[name]),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
