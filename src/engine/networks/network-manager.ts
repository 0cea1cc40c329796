import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LinkTable, type Nftables, pinNamespaces, removeLink, unpinNamespace, writeSysctl, withinNamespaces } from '../../host/mod.ts';
import { GantryError, isError, type Logger, Mutex, randomHex, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { EventLog } from '../events/event-log.ts';
import type { EnginePaths } from '../paths.ts';
import type { EndpointSpec, EndpointStatus, NetworkRecord, NetworkSpec, PortBinding } from '../types.ts';
import { AddressPool } from './address-pool.ts';
import { setUpNamespace, wireEndpoint } from './endpoints.ts';
import { firewallTable, planFirewall, planPublish, planUnpublish, type Publication } from './firewall.ts';
import { HostPorts } from './host-ports.ts';
import { NameServer, type NameSource } from './name-server.ts';
import { contains, formatCidr, formatIpv4, type Ipv4Range, macOf, nextRange, parseCidr, parseIpv4 } from './ipv4.ts';

export interface NetworkOptions {
  readonly instanceId: string;
  /** Docker's `bridge` network. */
  readonly defaultCidr: string;
  readonly podCidr: string;
  /** Networks that clients make get ranges from here. */
  readonly userCidr: string;
  /** Where ports are published when the caller names no address. */
  readonly publishAddress: string;
}

/** Networks of 256 addresses, or smaller ones so that a small pool has room for eight. */
function userPrefixLength(pool: Ipv4Range): number {
  return Math.min(28, Math.max(24, pool.prefixLength + 3));
}

/** Bridges, addresses, published ports. It knows namespaces and networks, not containers. */
export class NetworkManager implements AsyncDisposable {
  readonly #options: NetworkOptions;
  readonly #paths: EnginePaths;
  readonly #nftables: Nftables;
  readonly #links: LinkTable;
  readonly #events: EventLog;
  readonly #log: Logger;
  readonly #ports = new HostPorts();
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #pools = new Map<string, AddressPool>();
  readonly #publications = new Set<Publication>();
  /** By network id. A network whose address 53 is taken by another program has none. */
  readonly #nameServers = new Map<string, NameServer>();
  readonly #changes = new Mutex();
  #names: NameSource | undefined;

  private constructor(options: NetworkOptions, paths: EnginePaths, nftables: Nftables, events: EventLog, log: Logger) {
    this.#options = options;
    this.#paths = paths;
    this.#nftables = nftables;
    this.#links = LinkTable.open();
    this.#events = events;
    this.#log = log;
  }

  /** Reads the networks and makes the engine's own. Nothing is published until `applyFirewall`. */
  static async open(options: NetworkOptions, paths: EnginePaths, nftables: Nftables, events: EventLog, log: Logger): Promise<NetworkManager> {
    const manager = new NetworkManager(options, paths, nftables, events, log);
    await mkdir(paths.networks, { recursive: true });
    await mkdir(paths.namespaces, { recursive: true });
    for (const record of await readRecords(paths.networks)) manager.#add(record);
    await manager.#ensureOwn('default', 'bridge', options.defaultCidr);
    await manager.#ensureOwn('pod', 'pods', options.podCidr);
    writeSysctl('net.ipv4.ip_forward', '1');
    for (const record of manager.#networks.values()) manager.#ensureBridge(record);
    return manager;
  }

  /** Begins to answer names on the clients' networks, also on those that are made later. */
  async serveNames(names: NameSource): Promise<void> {
    this.#names = names;
    for (const record of this.#networks.values()) await this.#openNameServer(record);
  }

  async #openNameServer(record: NetworkRecord): Promise<void> {
    if (record.kind !== 'user' || this.#names === undefined) return;
    try {
      this.#nameServers.set(record.id, await NameServer.open(record.gateway, this.#names, this.#log));
    } catch (error) {
      this.#log.warn('names are not served on a network: its DNS address is in use', { network: record.spec.name, address: record.gateway, err: error });
    }
  }

  /** Where containers of these endpoints ask for names; undefined: no network of theirs answers names. */
  nameServerOf(endpoints: readonly EndpointStatus[]): string | undefined {
    return endpoints.find(({ networkId }) => this.#nameServers.has(networkId))?.gateway;
  }

  list(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  get(idOrName: string): NetworkRecord {
    const record = this.find(idOrName);
    if (record === undefined) throw new GantryError('not-found', `network ${idOrName} not found`);
    return record;
  }

  find(idOrName: string): NetworkRecord | undefined {
    const all = this.list();
    const exact = this.#networks.get(idOrName) ?? all.find(({ spec }) => spec.name === idOrName);
    if (exact !== undefined) return exact;
    const byPrefix = /^[0-9a-f]+$/.test(idOrName) ? all.filter(({ id }) => id.startsWith(idOrName)) : [];
    return byPrefix.length === 1 ? byPrefix[0] : undefined;
  }

  get podNetwork(): NetworkRecord {
    return this.get('pods');
  }

  /** Networks are made and removed one at a time: a subnet is free only when the bridge and the name server of the one before are gone. */
  create(spec: NetworkSpec): Promise<NetworkRecord> {
    return this.#changes.run(() => this.#create(spec));
  }

  async #create(spec: NetworkSpec): Promise<NetworkRecord> {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(spec.name)) throw new GantryError('invalid', `invalid network name ${JSON.stringify(spec.name)}`);
    if (this.list().some((other) => other.spec.name === spec.name)) throw new GantryError('already-exists', `network with name ${spec.name} already exists`);
    const used = this.list().map(({ subnet }) => parseCidr(subnet));
    const userPool = parseCidr(this.#options.userCidr);
    const subnet = spec.subnet === undefined ? nextRange(userPool, userPrefixLength(userPool), used) : parseCidr(spec.subnet);
    if (subnet.prefixLength > 30) throw new GantryError('invalid', `the subnet ${formatCidr(subnet)} has no room for containers`);
    if (used.some((other) => contains(other, subnet.first) || contains(subnet, other.first))) throw new GantryError('conflict', `the subnet ${formatCidr(subnet)} overlaps another network`);
    const gateway = spec.gateway ?? formatIpv4(subnet.first + 1);
    if (!contains(subnet, parseIpv4(gateway))) throw new GantryError('invalid', `the gateway ${gateway} is not in ${formatCidr(subnet)}`);
    const record = this.#newRecord('user', spec, formatCidr(subnet), gateway);
    await this.#save(record);
    this.#add(record);
    this.#ensureBridge(record);
    this.applyFirewall();
    await this.#openNameServer(record);
    this.#events.publish({ type: 'network', action: 'create', id: record.id, attributes: { name: spec.name, type: 'bridge' } });
    return record;
  }

  /** The caller has checked that nothing uses it. */
  remove(idOrName: string): Promise<void> {
    return this.#changes.run(() => this.#remove(idOrName));
  }

  async #remove(idOrName: string): Promise<void> {
    const record = this.get(idOrName);
    if (record.kind !== 'user') throw new GantryError('forbidden', `${record.spec.name} is a pre-defined network and cannot be removed`);
    this.#networks.delete(record.id);
    this.#pools.delete(record.id);
    this.applyFirewall();
    await this.#nameServers.get(record.id)?.[Symbol.asyncDispose]();
    this.#nameServers.delete(record.id);
    await removeLink(record.bridgeName);
    await rm(join(this.#paths.networks, `${record.id}.json`), { force: true });
    this.#events.publish({ type: 'network', action: 'destroy', id: record.id, attributes: { name: record.spec.name, type: 'bridge' } });
  }

  /** File of a new pinned network namespace with its loopback up. */
  createNamespace(name: string): string {
    const file = this.namespaceFile(name);
    unpinNamespace(file);
    pinNamespaces({ net: file }, setUpNamespace);
    return file;
  }

  /** Takes over a namespace that was made and pinned elsewhere: in a user namespace. */
  adoptNamespace(name: string): string {
    const file = this.namespaceFile(name);
    withinNamespaces({ net: file }, setUpNamespace);
    return file;
  }

  namespaceFile(name: string): string {
    return join(this.#paths.namespaces, `net-${name}`);
  }

  /** The kernel takes the interfaces away with the namespace. */
  removeNamespace(name: string): void {
    unpinNamespace(this.namespaceFile(name));
  }

  /** Takes an address and joins the namespace to the network. The first endpoint of a namespace carries the default route. */
  connect(namespaceFile: string, endpoint: EndpointSpec, interfaceName: string, hasDefaultRoute: boolean): EndpointStatus {
    const network = this.get(endpoint.network);
    const pool = this.#pool(network.id);
    const address = pool.take(endpoint.ipv4Address);
    try {
      const isPod = network.kind === 'pod';
      const prefixLength = isPod ? 32 : parseCidr(network.subnet).prefixLength;
      const macAddress = endpoint.macAddress ?? macOf(address);
      wireEndpoint(this.#links, {
        namespaceFile,
        bridgeName: network.bridgeName,
        linkPrefix: `${this.#linkPrefix}v`,
        interfaceName,
        address,
        prefixLength,
        macAddress,
        gateway: hasDefaultRoute && !network.spec.isInternal ? network.gateway : undefined,
      });
      return {
        networkId: network.id,
        networkName: network.spec.name,
        ipv4Address: address,
        prefixLength,
        gateway: network.gateway,
        macAddress,
        interfaceName,
        aliases: endpoint.aliases,
      };
    } catch (error) {
      pool.release(address);
      throw error;
    }
  }

  /** Gives the addresses back. The interfaces go with the namespace. */
  release(endpoints: readonly EndpointStatus[]): void {
    for (const endpoint of endpoints) this.#pools.get(endpoint.networkId)?.release(endpoint.ipv4Address);
  }

  async disconnect(namespaceFile: string, endpoint: EndpointStatus): Promise<void> {
    await removeLink(endpoint.interfaceName, namespaceFile);
    this.release([endpoint]);
  }

  /** Marks what running containers have, after a restart. */
  restore(endpoints: readonly EndpointStatus[]): void {
    for (const endpoint of endpoints) this.#pools.get(endpoint.networkId)?.restore(endpoint.ipv4Address);
  }

  /** Redirects host ports to the address; resolves to the bindings with the ports chosen. All or none. */
  async publish(bindings: readonly PortBinding[], targetIp: string): Promise<PortBinding[]> {
    const held: PortBinding[] = [];
    try {
      for (const binding of bindings) {
        const wanted = { ...binding, hostIp: binding.hostIp === '' ? this.#options.publishAddress : binding.hostIp };
        held.push(await this.#ports.hold(wanted));
      }
      const publications = held.map((binding) => ({ ...binding, targetIp }));
      if (publications.length > 0) this.#nftables.apply(planPublish(this.tableName, publications));
      for (const publication of publications) this.#publications.add(publication);
      return held;
    } catch (error) {
      await Promise.all(held.map((binding) => this.#ports.release(binding)));
      throw error;
    }
  }

  /** Takes publications back; those that are not there are ignored. */
  async unpublish(bindings: readonly PortBinding[], targetIp: string): Promise<void> {
    const found = [...this.#publications].filter((publication) => publication.targetIp === targetIp && bindings.some((binding) => isSamePort(binding, publication)));
    for (const publication of found) this.#publications.delete(publication);
    if (found.length > 0) this.#unpublishRules(found);
    await Promise.all(found.map((publication) => this.#ports.release(publication)));
  }

  #unpublishRules(publications: readonly Publication[]): void {
    try {
      this.#nftables.apply(planUnpublish(this.tableName, publications));
    } catch (error) {
      if (!isError(error, 'not-found', 'invalid')) throw error;
      // Somebody emptied the table: put it back as it should be.
      this.applyFirewall();
    }
  }

  /** Takes up publications of containers that ran on while we were away. A port that is lost to another program is logged. */
  async restorePublications(bindings: readonly PortBinding[], targetIp: string): Promise<void> {
    for (const binding of bindings) {
      this.#publications.add({ ...binding, targetIp });
      await this.#ports.hold(binding).catch((error: unknown) => this.#log.warn('a published port is in use by another program', { binding, err: error }));
    }
  }

  /** Writes the whole table anew. */
  applyFirewall(): void {
    const networks = this.list().map((network) => ({
      bridgeName: network.bridgeName,
      subnet: network.subnet,
      isInternal: network.spec.isInternal,
      isIsolated: network.kind !== 'pod',
    }));
    this.#nftables.apply(planFirewall(this.tableName, networks, [...this.#publications]));
  }

  /** Makes bridges, their addresses and settings, and the table anew where they are missing. Endpoints of removed bridges stay lost. */
  repair(): void {
    writeSysctl('net.ipv4.ip_forward', '1');
    for (const record of this.#networks.values()) this.#ensureBridge(record);
    this.applyFirewall();
  }

  /** The engine's own table of the packet filter, family ip. */
  get tableName(): string {
    return firewallTable(this.#options.instanceId);
  }

  get #linkPrefix(): string {
    return linkPrefix(this.#options.instanceId);
  }

  #pool(networkId: string): AddressPool {
    const pool = this.#pools.get(networkId);
    if (pool === undefined) throw new GantryError('internal', `network ${networkId} has no addresses`);
    return pool;
  }

  #add(record: NetworkRecord): void {
    this.#networks.set(record.id, record);
    this.#pools.set(record.id, new AddressPool(record.subnet, record.gateway, record.spec.addressRange));
  }

  async #ensureOwn(kind: 'default' | 'pod', name: string, cidr: string): Promise<void> {
    const existing = this.list().find((record) => record.kind === kind);
    if (existing?.subnet === cidr) return;
    if (existing !== undefined) {
      this.#networks.delete(existing.id);
      await removeLink(existing.bridgeName);
      await rm(join(this.#paths.networks, `${existing.id}.json`), { force: true });
    }
    const spec: NetworkSpec = { name, isInternal: false, labels: {}, options: {} };
    const record = this.#newRecord(kind, spec, formatCidr(parseCidr(cidr)), formatIpv4(parseCidr(cidr).first + 1));
    await this.#save(record);
    this.#add(record);
  }

  #newRecord(kind: NetworkRecord['kind'], spec: NetworkSpec, subnet: string, gateway: string): NetworkRecord {
    const bridgeName = `${this.#linkPrefix}${kind === 'default' ? 'br' : kind === 'pod' ? 'pod' : `b${randomHex(3)}`}`;
    return { id: randomHex(32), kind, spec, createdAt: new Date().toISOString(), bridgeName, subnet, gateway };
  }

  #ensureBridge({ bridgeName, subnet, gateway }: NetworkRecord): void {
    if (this.#links.find(bridgeName) === undefined) this.#links.createBridge(bridgeName, macOf(gateway));
    const link = this.#links.find(bridgeName);
    if (link === undefined) throw new GantryError('internal', `the bridge ${bridgeName} did not appear`);
    this.#links.addAddress(link.index, gateway, parseCidr(subnet).prefixLength);
    this.#links.setUp(link.index);
    // 127.0.0.1:port of the host is translated to a container's address and leaves over the bridge.
    writeSysctl(`net.ipv4.conf.${bridgeName}.route_localnet`, '1');
    writeSysctl(`net.ipv4.conf.${bridgeName}.send_redirects`, '0');
    writeSysctl(`net.ipv4.conf.${bridgeName}.rp_filter`, '2');
  }

  async #save(record: NetworkRecord): Promise<void> {
    await writeFileAtomic(join(this.#paths.networks, `${record.id}.json`), JSON.stringify(record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#links[Symbol.dispose]();
    await Promise.all([...this.#nameServers.values()].map((server) => server[Symbol.asyncDispose]()));
    await this.#ports[Symbol.asyncDispose]();
  }
}

/** What every interface name of an instance begins with. */
export function linkPrefix(instanceId: string): string {
  return `g${instanceId.slice(0, 6)}`;
}

function isSamePort(a: PortBinding, b: PortBinding): boolean {
  return a.protocol === b.protocol && a.hostIp === b.hostIp && a.hostPort === b.hostPort && a.containerPort === b.containerPort;
}

async function readRecords(folder: string): Promise<NetworkRecord[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const texts = await Promise.all(names.map((name) => readTextIfExists(join(folder, name))));
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as NetworkRecord]));
}

