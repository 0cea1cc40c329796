import type { ContainerRecord, EndpointStatus, NetworkRecord } from '../types.ts';
import type { DnsConfig } from './etc-files.ts';
import type { NamedAddresses, NameSource } from './name-server.ts';

/**
 * Names of containers on user-defined networks, as Docker answers them: to a container, the names, aliases and short ids of the running
 * containers with which it shares such a network.
 */
export class ContainerNames implements NameSource {
  readonly #containers: () => readonly ContainerRecord[];
  readonly #networks: () => readonly NetworkRecord[];
  readonly #hostDns: () => DnsConfig;

  constructor(containers: () => readonly ContainerRecord[], networks: () => readonly NetworkRecord[], hostDns: () => DnsConfig) {
    this.#containers = containers;
    this.#networks = networks;
    this.#hostDns = hostDns;
  }

  addressesOf(name: string, askerId: string): NamedAddresses | undefined {
    const neighbours = this.#neighbours(askerId);
    const linked = this.#links(askerId, name).flatMap(({ network, container }) => neighbours.filter(({ names, endpoint }) => names.includes(container.toLowerCase()) && (endpoint.networkId === network || endpoint.networkName === network)));
    const found = (linked.length > 0 ? linked : neighbours.filter(({ names }) => names.includes(name))).map(({ endpoint }) => endpoint);
    if (found.length === 0) return undefined;
    return { ipv4: found.map(({ ipv4Address }) => ipv4Address), ipv6: found.flatMap(({ ipv6 }) => (ipv6 === undefined ? [] : [ipv6.address])) };
  }

  nameOf(address: string, askerId: string): string | undefined {
    const found = this.#neighbours(askerId).find(({ endpoint }) => endpoint.ipv4Address === address || endpoint.ipv6?.address === address);
    return found === undefined ? undefined : `${found.container}.${found.endpoint.networkName}`;
  }

  /** The asker's own resolvers or the host's, read anew each time; none when all its networks are internal. */
  upstreams(askerId: string): readonly string[] {
    const asker = this.#find(askerId);
    const internal = new Set(this.#networks().filter(({ spec }) => spec.isInternal).map(({ id }) => id));
    if (asker === undefined || asker.status.endpoints.every(({ networkId }) => internal.has(networkId))) return [];
    return asker.spec.dns.servers.length > 0 ? asker.spec.dns.servers : this.#hostDns().servers;
  }

  #find(id: string): ContainerRecord | undefined {
    return this.#containers().find((container) => container.id === id);
  }

  /** What the asker's links mean by the name. */
  #links(askerId: string, name: string): { network: string; container: string }[] {
    const network = this.#find(askerId)?.spec.network;
    const endpoints = network?.mode === 'bridge' ? network.endpoints : [];
    return endpoints.flatMap((endpoint) => (endpoint.links ?? []).filter(({ alias }) => alias.toLowerCase() === name).map(({ container }) => ({ network: endpoint.network, container })));
  }

  #neighbours(askerId: string): { names: string[]; container: string; endpoint: EndpointStatus }[] {
    const userNetworks = new Set(this.#networks().filter(({ kind }) => kind === 'user').map(({ id }) => id));
    const shared = new Set(this.#find(askerId)?.status.endpoints.map(({ networkId }) => networkId).filter((id) => userNetworks.has(id)));
    return this.#containers().flatMap(({ id, spec, status }) =>
      status.endpoints
        .filter(({ networkId }) => shared.has(networkId))
        .map((endpoint) => ({
          names: [spec.name, ...endpoint.aliases, id.slice(0, 12)].flatMap((name) => [name.toLowerCase(), `${name}.${endpoint.networkName}`.toLowerCase()]),
          container: spec.name,
          endpoint,
        })),
    );
  }
}
