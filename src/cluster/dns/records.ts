import type { k8s, Stored } from '../../api/mod.ts';
import { clusterTtlSeconds } from './config.ts';

/** What the records are made from: caches of the API. */
export interface ClusterNames {
  service(namespace: string, name: string): Stored<k8s.Service> | undefined;
  slicesOf(namespace: string, service: string): Stored<k8s.EndpointSlice>[];
  hasNamespace(name: string): boolean;
  serviceOfAddress(ip: string): Stored<k8s.Service> | undefined;
  /** Slices with an endpoint of this address. */
  slicesOfAddress(ip: string): readonly Stored<k8s.EndpointSlice>[];
}

export type DnsRecord =
  | { type: 'A' | 'AAAA' | 'CNAME' | 'PTR'; name: string; ttl: number; data: string }
  | { type: 'SRV'; name: string; ttl: number; data: { priority: number; weight: number; port: number; target: string } }
  | { type: 'TXT'; name: string; ttl: number; data: string };

/** `forward`: not a name of the cluster. `missing`: NXDOMAIN. An empty `records` is NODATA: the name exists, not with this type. */
export type Lookup = { kind: 'forward' } | { kind: 'missing' } | { kind: 'found'; records: DnsRecord[]; additional: DnsRecord[] };

/** One host behind a headless service. */
interface Host { label: string; address: string; ports: k8s.EndpointPort[] }

const missing: Lookup = { kind: 'missing' };

/**
 * Answers a question about the cluster (Kubernetes DNS specification 1.1). `name` is what was asked, without a final dot, in any case;
 * answers repeat it as asked.
 */
export function lookup(names: ClusterNames, domain: string, name: string, type: string): Lookup {
  const labels = name.toLowerCase().split('.');
  const reverse = reverseAddress(labels);
  if (reverse !== undefined) return lookupAddress(names, domain, name, reverse, type);
  const suffix = domain.split('.');
  if (labels.slice(-suffix.length).join('.') !== domain) return { kind: 'forward' };
  const rest = labels.slice(0, -suffix.length);
  const kind = rest.at(-1);
  if (rest.length === 0) return found([]);
  if (rest.length === 1 && kind === 'dns-version') return found(type === 'TXT' ? [{ type: 'TXT', name, ttl: clusterTtlSeconds, data: '1.1.0' }] : []);
  // What only stands between other names exists, without records (RFC 8020).
  if (rest.length === 1 && (kind === 'svc' || kind === 'pod')) return found([]);
  if (kind === 'svc') return lookupService(names, domain, name, rest.slice(0, -1), type);
  if (kind === 'pod') return lookupPod(names, name, rest.slice(0, -1), type);
  return missing;
}

function found(records: DnsRecord[], additional: DnsRecord[] = []): Lookup {
  return { kind: 'found', records, additional };
}

/** `1-2-3-4.NAMESPACE.pod.DOMAIN` is the address it spells. */
function lookupPod(names: ClusterNames, name: string, labels: readonly string[], type: string): Lookup {
  const [dashed, namespace] = labels.length === 1 ? [undefined, labels[0]] : labels;
  if (labels.length === 1 && names.hasNamespace(namespace ?? '')) return found([]);
  if (namespace === undefined || labels.length > 2 || !names.hasNamespace(namespace)) return missing;
  const address = (dashed ?? '').replaceAll('-', '.');
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return missing;
  return found(type === 'A' ? [addressRecord(name, address)] : []);
}

function lookupService(names: ClusterNames, domain: string, name: string, labels: readonly string[], type: string): Lookup {
  const namespace = labels.at(-1);
  if (namespace === undefined || !names.hasNamespace(namespace)) return missing;
  if (labels.length === 1) return found([]);
  const service = names.service(namespace, labels.at(-2) ?? '');
  if (service === undefined) return missing;
  const inner = labels.slice(0, -2);
  if (service.spec?.type === 'ExternalName') {
    if (inner.length > 0) return missing;
    return found([{ type: 'CNAME', name, ttl: clusterTtlSeconds, data: service.spec.externalName ?? '' }]);
  }
  const hosts = isHeadless(service) ? hostsOf(names, service) : undefined;
  const serviceName = `${service.metadata.name}.${namespace}.svc.${domain}`;
  if (inner.length === 0) return found(addressesOf(service, hosts).map((address) => addressRecord(name, address)).filter((record) => record.type === type));
  if (inner.length === 1 && hasPorts(service, hosts, inner[0] ?? '')) return found([]);
  if (inner.length === 1) return lookupHost(hosts, name, inner[0] ?? '', type);
  if (inner.length === 2) return lookupPort(service, hosts, serviceName, name, inner, type);
  return missing;
}

/** Whether the label is `_tcp` or `_udp` and the Service has a named port of it. */
function hasPorts({ spec }: k8s.Service, hosts: readonly Host[] | undefined, label: string): boolean {
  const ports: readonly { name?: string; protocol?: string }[] = hosts === undefined ? (spec?.ports ?? []) : hosts.flatMap((host) => host.ports);
  return ports.some(({ name = '', protocol = 'TCP' }) => name !== '' && `_${protocol.toLowerCase()}` === label);
}

function isHeadless(service: k8s.Service): boolean {
  return service.spec?.clusterIP === 'None';
}

function addressesOf(service: k8s.Service, hosts: readonly Host[] | undefined): string[] {
  if (hosts !== undefined) return [...new Set(hosts.map(({ address }) => address))];
  return service.spec?.clusterIPs ?? (service.spec?.clusterIP === undefined ? [] : [service.spec.clusterIP]);
}

/** Endpoints that get a name: the ready ones, or all where the service publishes addresses that are not ready. */
function hostsOf(names: ClusterNames, service: Stored<k8s.Service>): Host[] {
  const isPublished = (endpoint: k8s.Endpoint): boolean => service.spec?.publishNotReadyAddresses === true || endpoint.conditions?.ready !== false;
  return names.slicesOf(service.metadata.namespace ?? '', service.metadata.name).flatMap(({ endpoints = [], ports = [] }) =>
    endpoints.filter(isPublished).flatMap(({ addresses, hostname }) => addresses.map((address) => ({ label: labelOf(hostname, address), address, ports }))),
  );
}

/** What a host is called below its Service: as its pod wants, else as its address. */
function labelOf(hostname: string | undefined, address: string): string {
  return hostname ?? address.replaceAll(/[.:]/g, '-');
}

function lookupHost(hosts: readonly Host[] | undefined, name: string, label: string, type: string): Lookup {
  const matching = hosts?.filter((host) => host.label === label) ?? [];
  if (matching.length === 0) return missing;
  return found(matching.map(({ address }) => addressRecord(name, address)).filter((record) => record.type === type));
}

/** `_PORT._PROTOCOL.SERVICE…`: one SRV for a cluster address, one for each host of a headless service. */
function lookupPort(service: k8s.Service, hosts: readonly Host[] | undefined, serviceName: string, name: string, [port, protocol]: readonly string[], type: string): Lookup {
  const matches = (candidate: { name?: string; protocol?: string }): boolean => `_${candidate.name ?? ''}` === port && `_${(candidate.protocol ?? 'TCP').toLowerCase()}` === protocol;
  const targets: { target: string; port: number; addresses: string[] }[] =
    hosts === undefined
      ? (service.spec?.ports ?? []).filter(matches).map((one) => ({ target: serviceName, port: one.port, addresses: addressesOf(service, undefined) }))
      : hosts.flatMap((host) => host.ports.filter(matches).map((one) => ({ target: `${host.label}.${serviceName}`, port: one.port ?? 0, addresses: [host.address] })));
  if (targets.length === 0) return missing;
  if (type !== 'SRV') return found([]);
  const weight = Math.max(1, Math.floor(100 / targets.length));
  return found(
    targets.map(({ target, port: number }) => ({ type: 'SRV', name, ttl: clusterTtlSeconds, data: { priority: 0, weight, port: number, target } })),
    targets.flatMap(({ target, addresses }) => addresses.map((address) => addressRecord(target, address))),
  );
}

/** Addresses of Services, and of hosts behind headless ones, have names back; others are forwarded. */
function lookupAddress(names: ClusterNames, domain: string, name: string, address: string, type: string): Lookup {
  const service = names.serviceOfAddress(address);
  const data = service === undefined ? hostNames(names, domain, address) : [`${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${domain}`];
  if (data.length === 0) return { kind: 'forward' };
  return found(type === 'PTR' ? data.map((one) => ({ type: 'PTR', name, ttl: clusterTtlSeconds, data: one })) : []);
}

function hostNames(names: ClusterNames, domain: string, address: string): string[] {
  const all = names.slicesOfAddress(address).flatMap(({ metadata }) => {
    const namespace = metadata.namespace ?? '';
    const service = names.service(namespace, metadata.labels?.['kubernetes.io/service-name'] ?? '');
    if (service === undefined || !isHeadless(service)) return [];
    return hostsOf(names, service).filter((host) => host.address === address).map(({ label }) => `${label}.${service.metadata.name}.${namespace}.svc.${domain}`);
  });
  return [...new Set(all)].toSorted();
}

/** The IPv4 address of `4.3.2.1.in-addr.arpa`, or undefined. */
function reverseAddress(labels: readonly string[]): string | undefined {
  if (labels.length !== 6 || labels.slice(4).join('.') !== 'in-addr.arpa') return undefined;
  return labels.slice(0, 4).toReversed().join('.');
}

function addressRecord(name: string, address: string): DnsRecord {
  return { type: address.includes(':') ? 'AAAA' : 'A', name, ttl: clusterTtlSeconds, data: address };
}
