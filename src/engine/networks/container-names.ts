import type { ContainerRecord, NetworkRecord } from '../types.ts';
import { readHostDns } from './etc-files.ts';
import type { NameSource } from './name-server.ts';

/**
 * Names of containers on user-defined networks, as Docker answers them: to a container, the names, aliases and short ids of the running
 * containers with which it shares such a network.
 */
export class ContainerNames implements NameSource {
  readonly #containers: () => readonly ContainerRecord[];
  readonly #networks: () => readonly NetworkRecord[];

  constructor(containers: () => readonly ContainerRecord[], networks: () => readonly NetworkRecord[]) {
    this.#containers = containers;
    this.#networks = networks;
  }

  addressesOf(name: string, askerIp: string): readonly string[] | undefined {
    const found = this.#neighbours(askerIp).filter(({ names }) => names.includes(name)).map(({ address }) => address);
    return found.length === 0 ? undefined : found;
  }

  nameOf(address: string, askerIp: string): string | undefined {
    const found = this.#neighbours(askerIp).find((neighbour) => neighbour.address === address);
    return found === undefined ? undefined : `${found.container}.${found.network}`;
  }

  /** The asker's own resolvers or the host's, read anew each time; none when all its networks are internal. */
  upstreams(askerIp: string): readonly string[] {
    const asker = this.#ownerOf(askerIp);
    const internal = new Set(this.#networks().filter(({ spec }) => spec.isInternal).map(({ id }) => id));
    if (asker === undefined || asker.status.endpoints.every(({ networkId }) => internal.has(networkId))) return [];
    return asker.spec.dns.servers.length > 0 ? asker.spec.dns.servers : readHostDns().servers;
  }

  /** Endpoints on networks that are gone do not count: a container that is being removed may still hold one with the address of another. */
  #ownerOf(address: string): ContainerRecord | undefined {
    const existing = new Set(this.#networks().map(({ id }) => id));
    return this.#containers().find(({ status }) => status.endpoints.some(({ ipv4Address, networkId }) => ipv4Address === address && existing.has(networkId)));
  }

  #neighbours(askerIp: string): { address: string; names: string[]; container: string; network: string }[] {
    const userNetworks = new Set(this.#networks().filter(({ kind }) => kind === 'user').map(({ id }) => id));
    const all = this.#containers();
    const asker = this.#ownerOf(askerIp);
    const shared = new Set(asker?.status.endpoints.map(({ networkId }) => networkId).filter((id) => userNetworks.has(id)));
    return all.flatMap(({ id, spec, status }) =>
      status.endpoints
        .filter(({ networkId }) => shared.has(networkId))
        .map((endpoint) => ({
          address: endpoint.ipv4Address,
          names: [spec.name, ...endpoint.aliases, id.slice(0, 12)].flatMap((name) => [name.toLowerCase(), `${name}.${endpoint.networkName}`.toLowerCase()]),
          container: spec.name,
          network: endpoint.networkName,
        })),
    );
  }
}
