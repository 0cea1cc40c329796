import type { k8s, Stored } from '../../api/mod.ts';

/** One port of one service and where its connections go. */
export interface ServicePlan {
  /** `namespace/name:port/protocol`: what names of chains are made from. */
  key: string;
  protocol: 'tcp' | 'udp';
  /** Addresses (cluster and external) and the port at which clients ask. */
  addresses: string[];
  port: number;
  /** 0 when there is none. */
  nodePort: number;
  /** The port on every address of the node; 0 unless the Service is balanced here. */
  balancerPort: number;
  /** Endpoints for clients inside the cluster, and for those that come by node port. They differ by traffic policy. */
  endpoints: Endpoint[];
  nodePortEndpoints: Endpoint[];
  /** Seconds a client stays with its endpoint; 0 without session affinity. */
  affinitySeconds: number;
}

export interface Endpoint { address: string; port: number }

const serviceNameLabel = 'kubernetes.io/service-name';
const defaultAffinitySeconds = 10_800;

/** What earlier plans were made from, so that a Service that did not change keeps its plans: the same objects. */
export type KnownPlans = Map<string, { readonly service: Stored<k8s.Service>; readonly slices: readonly Stored<k8s.EndpointSlice>[]; readonly plans: readonly ServicePlan[] }>;

/**
 * Which connections go where on the node. Services without an address of their own (headless, ExternalName) are left to DNS.
 * Depends on nothing but its arguments; `known` only spares work and is brought up to date.
 */
export function planServices(services: readonly Stored<k8s.Service>[], slices: readonly Stored<k8s.EndpointSlice>[], nodeName: string, known: KnownPlans = new Map()): ServicePlan[] {
  const slicesByService = Map.groupBy(slices, ({ metadata }) => `${metadata.namespace ?? ''}/${metadata.labels?.[serviceNameLabel] ?? ''}`);
  const seen = new Set<string>();
  const plans = services
    .filter(({ spec }) => spec?.type !== 'ExternalName' && spec?.clusterIP !== undefined && spec.clusterIP !== '' && spec.clusterIP !== 'None')
    .flatMap((service) => {
      const key = `${service.metadata.namespace ?? ''}/${service.metadata.name}`;
      const own = slicesByService.get(key) ?? [];
      seen.add(key);
      const before = known.get(key);
      if (before?.service === service && before.slices.length === own.length && before.slices.every((slice, index) => slice === own[index])) return before.plans;
      const made = (service.spec?.ports ?? []).flatMap((port) => planPort(service, port, own, nodeName));
      known.set(key, { service, slices: own, plans: made });
      return made;
    });
  for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
  return plans.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function planPort(service: Stored<k8s.Service>, port: k8s.ServicePort, slices: readonly k8s.EndpointSlice[], nodeName: string): ServicePlan[] {
  const { spec = {}, metadata } = service;
  const protocol = (port.protocol ?? 'TCP').toLowerCase();
  // The API server refuses SCTP; an object of an older version is not served rather than served wrongly.
  if (protocol !== 'tcp' && protocol !== 'udp') return [];
  const candidates = slices.flatMap((slice) => candidatesOf(slice, port));
  const local = candidates.filter((candidate) => candidate.nodeName === nodeName);
  return [
    {
      key: `${metadata.namespace ?? ''}/${metadata.name}:${port.name ?? port.port}/${protocol}`,
      protocol,
      addresses: [...(spec.clusterIPs ?? [spec.clusterIP ?? '']), ...(spec.externalIPs ?? [])].filter((address) => !address.includes(':')),
      port: port.port,
      nodePort: port.nodePort ?? 0,
      balancerPort: hasBalancerPort(service, port, protocol) ? port.port : 0,
      endpoints: usable(spec.internalTrafficPolicy === 'Local' ? local : candidates),
      nodePortEndpoints: usable(spec.externalTrafficPolicy === 'Local' ? local : candidates),
      affinitySeconds: spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? defaultAffinitySeconds) : 0,
    },
  ];
}

/** What the status says was given; a Service that is still pending, or that somebody else balances, has no ports here. */
function hasBalancerPort({ spec, status }: k8s.Service, port: k8s.ServicePort, protocol: string): boolean {
  const isOurs = spec?.type === 'LoadBalancer' && (spec.loadBalancerClass === undefined || spec.loadBalancerClass === 'gantry.dev/host-ports');
  return isOurs && (status?.loadBalancer?.ingress ?? []).some(({ ports }) => ports?.some((given) => given.port === port.port && given.protocol.toLowerCase() === protocol) === true);
}

interface Candidate extends Endpoint { isReady: boolean; isServing: boolean; isTerminating: boolean; nodeName: string | undefined }

function candidatesOf(slice: k8s.EndpointSlice, port: k8s.ServicePort): Candidate[] {
  if (slice.addressType !== 'IPv4') return [];
  const target = slice.ports?.find(({ name, protocol }) => (name ?? '') === (port.name ?? '') && (protocol ?? 'TCP') === (port.protocol ?? 'TCP'));
  if (target?.port === undefined) return [];
  const number = target.port;
  return (slice.endpoints ?? []).flatMap(({ addresses, conditions, nodeName }) =>
    addresses.slice(0, 1).map((address) => ({
      address,
      port: number,
      isReady: conditions?.ready !== false,
      isServing: conditions?.serving !== false,
      isTerminating: conditions?.terminating === true,
      nodeName,
    })),
  );
}

/** The ready endpoints; where there is none, those that end but still serve (KEP-1669), so that a restart loses nothing. */
function usable(candidates: readonly Candidate[]): Endpoint[] {
  const ready = candidates.filter(({ isReady, isTerminating }) => isReady && !isTerminating);
  const chosen = ready.length > 0 ? ready : candidates.filter(({ isServing, isTerminating }) => isServing && isTerminating);
  const unique = new Map(chosen.map(({ address, port }) => [`${address}:${port}`, { address, port }]));
  return [...unique.values()].toSorted((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1));
}
