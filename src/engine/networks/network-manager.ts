import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deleteTable, isPinned, LinkTable, type Nftables, pinNamespaces, removeLink, unpinNamespace, withinNamespaces } from '../../host/mod.ts';
import { GantryError, type Logger, Mutex, randomHex, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { EventLog } from '../events/event-log.ts';
import type { EnginePaths } from '../paths.ts';
import type { EndpointSpec, EndpointStatus, NetworkRecord, NetworkSpec, PortBinding } from '../types.ts';
import { AddressPool } from './address-pool.ts';
import { parseBridgeOptions } from './bridge-options.ts';
import { ensureBridge, ensureForwarding } from './bridges.ts';
import { ContainerDns } from './container-dns.ts';
import { routeNamespace, setUpNamespace, wireEndpoint } from './endpoints.ts';
import { type DnsConfig, readHostDns } from './etc-files.ts';
import { type FirewallNetwork, firewallTable, planFirewall } from './firewall.ts';
import { type GatewayPlan, planGateways } from './gateway-plan.ts';
import { parseRange } from './ip.ts';
import { formatCidr, formatIpv4, macOf, parseCidr } from './ipv4.ts';
import type { NameSource } from './name-server.ts';
import { Publications, type PublishTarget } from './publications.ts';
import { hostHasIpv6, planSubnets } from './subnets.ts';

export interface NetworkOptions {
  readonly instanceId: string;
  /** Docker's `bridge` network. */
  readonly defaultCidr: string;
  readonly podCidr: string;
  /** Networks that clients make get ranges from here. */
  readonly userCidr: string;
  /** Where ports are published when the caller names no address. */
  readonly publishAddress: string;
  /** The host's resolver settings, read anew whenever they are needed. Default: /etc/resolv.conf. */
  readonly resolverFile?: string;
}

/** Addresses of one network. */
interface Pools { readonly ipv4: AddressPool; readonly ipv6: AddressPool | undefined }

/** Bridges, addresses, names, published ports. It knows namespaces and networks, not containers. */
export class NetworkManager implements AsyncDisposable {
  readonly #options: NetworkOptions;
  readonly #paths: EnginePaths;
  readonly #nftables: Nftables;
  readonly #links: LinkTable;
  readonly #events: EventLog;
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #pools = new Map<string, Pools>();
  readonly #changes = new Mutex();
  readonly #dns: ContainerDns;
  /** Ports of containers and pods on the host. */
  readonly publications: Publications;

  private constructor(options: NetworkOptions, paths: EnginePaths, nftables: Nftables, names: NameSource, events: EventLog, log: Logger) {
    this.#options = options;
    this.#paths = paths;
    this.#nftables = nftables;
    this.#links = LinkTable.open();
    this.#events = events;
    this.#dns = new ContainerDns(names, log);
    this.publications = new Publications({ nftables, table: this.tableName, publishAddress: options.publishAddress, applyFirewall: () => this.applyFirewall(), log });
  }

  /** Reads the networks and makes the engine's own. Nothing is published until `applyFirewall`. */
  static async open(options: NetworkOptions, paths: EnginePaths, nftables: Nftables, names: NameSource, events: EventLog, log: Logger): Promise<NetworkManager> {
    const manager = new NetworkManager(options, paths, nftables, names, events, log);
    await mkdir(paths.networks, { recursive: true });
    await mkdir(paths.namespaces, { recursive: true });
    for (const record of await readRecords(paths.networks)) manager.#add(record);
    await manager.#ensureOwn('default', 'bridge', options.defaultCidr);
    await manager.#ensureOwn('pod', 'pods', options.podCidr);
    manager.#ensureBridges();
    return manager;
  }

  #ensureBridges(): void {
    ensureForwarding(this.list());
    for (const record of this.#networks.values()) ensureBridge(this.#links, record);
  }

  /** The host's resolver settings as they are now. */
  hostDns(): DnsConfig {
    return readHostDns(this.#options.resolverFile);
  }

  /** Whether containers with these endpoints are answered names: on networks that clients made. */
  hasNames(endpoints: readonly EndpointStatus[]): boolean {
    return endpoints.some(({ networkId }) => this.#networks.get(networkId)?.kind === 'user');
  }

  /** Begins or ends to answer names in the container's namespace, as its endpoints want it. */
  async serveNames(containerId: string, namespaceFile: string, endpoints: readonly EndpointStatus[]): Promise<void> {
    if (this.hasNames(endpoints)) await this.#dns.open(containerId, namespaceFile);
    else await this.#dns.close(containerId);
  }

  /** Before the namespace goes: the sockets in it would keep it. */
  async stopNames(containerId: string): Promise<void> {
    await this.#dns.close(containerId);
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
    parseBridgeOptions(spec.options);
    const used = this.list().flatMap(({ subnet, ipv6 }) => [subnet, ...(ipv6 === undefined ? [] : [ipv6.subnet])]);
    const planned = planSubnets(spec, { userCidr: this.#options.userCidr, instanceId: this.#options.instanceId, used, hasIpv6: hostHasIpv6() });
    const record = this.#newRecord('user', { ...spec, ...(planned.addressRange === undefined ? {} : { addressRange: planned.addressRange }) }, planned);
    await this.#save(record);
    this.#add(record);
    this.#ensureBridges();
    this.applyFirewall();
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
    await removeLink(record.bridgeName);
    await rm(join(this.#paths.networks, `${record.id}.json`), { force: true });
    this.#events.publish({ type: 'network', action: 'destroy', id: record.id, attributes: { name: record.spec.name, type: 'bridge' } });
  }

  /** File of a pinned network namespace with its loopback up: a new one, or with `isKept` the one that others still use. */
  createNamespace(name: string, isKept = false): string {
    const file = this.namespaceFile(name);
    if (isKept && isPinned(file)) return file;
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

  /** Takes addresses and joins the namespace to the network. `hasDefaultRoute`: the network's gateways are its ways out. */
  connect(namespaceFile: string, endpoint: EndpointSpec, interfaceName: string, hasDefaultRoute: boolean): EndpointStatus {
    const network = this.get(endpoint.network);
    const pools = this.#poolsOf(network.id);
    if (endpoint.ipv6Address !== undefined && network.ipv6 === undefined) throw new GantryError('invalid', `the network ${network.spec.name} has no IPv6: the address ${endpoint.ipv6Address} cannot be given`);
    const options = parseBridgeOptions(network.spec.options);
    const address = pools.ipv4.take(endpoint.ipv4Address);
    let address6: string | undefined;
    try {
      address6 = pools.ipv6?.take(endpoint.ipv6Address);
      const ipv6 = network.ipv6 === undefined || address6 === undefined ? undefined : { address: address6, prefixLength: parseRange(network.ipv6.subnet).prefixLength, gateway: network.ipv6.gateway };
      const status: EndpointStatus = {
        networkId: network.id,
        networkName: network.spec.name,
        ipv4Address: address,
        prefixLength: network.kind === 'pod' ? 32 : parseCidr(network.subnet).prefixLength,
        gateway: network.gateway,
        ...(ipv6 === undefined ? {} : { ipv6 }),
        macAddress: endpoint.macAddress ?? macOf(address),
        interfaceName,
        aliases: endpoint.aliases,
      };
      wireEndpoint(this.#links, {
        namespaceFile,
        bridgeName: network.bridgeName,
        linkPrefix: `${this.#linkPrefix}v`,
        interfaceName,
        address,
        prefixLength: status.prefixLength,
        ipv6,
        macAddress: status.macAddress,
        mtu: options.mtu,
        isAlone: !options.isOpenInside,
        gateways: hasDefaultRoute && !network.spec.isInternal ? [status.gateway, ...(ipv6 === undefined ? [] : [ipv6.gateway])] : [],
      });
      return status;
    } catch (error) {
      pools.ipv4.release(address);
      if (address6 !== undefined) pools.ipv6?.release(address6);
      throw error;
    }
  }

  /** A free interface name for a further endpoint on the network. */
  nextInterfaceName(network: string, endpoints: readonly Pick<EndpointStatus, 'interfaceName'>[]): string {
    const { interfacePrefix } = parseBridgeOptions(this.get(network).spec.options);
    const taken = new Set(endpoints.map(({ interfaceName }) => interfaceName));
    for (let index = 0; ; index += 1) if (!taken.has(`${interfacePrefix}${index}`)) return `${interfacePrefix}${index}`;
  }

  planGateways(endpoints: readonly EndpointStatus[], wanted: readonly EndpointSpec[]): GatewayPlan {
    return planGateways(endpoints, wanted, this.list());
  }

  /** Makes the planned gateways the namespace's default routes, and no others. */
  route(namespaceFile: string, { ipv4, ipv6 }: GatewayPlan): void {
    routeNamespace(namespaceFile, {
      ipv4: ipv4 === undefined ? undefined : { interfaceName: ipv4.interfaceName, gateway: ipv4.gateway },
      ipv6: ipv6?.ipv6 === undefined ? undefined : { interfaceName: ipv6.interfaceName, gateway: ipv6.ipv6.gateway },
    });
  }

  /** Publishes ports at the container's gateways; none where all its networks are internal. */
  async publish(owner: string, bindings: readonly PortBinding[], { ipv4, ipv6 }: GatewayPlan): Promise<PortBinding[]> {
    if (ipv4 === undefined || bindings.length === 0) return [];
    const target: PublishTarget = { ipv4: ipv4.ipv4Address, ipv6: ipv6?.ipv6?.address };
    return this.publications.publish(owner, bindings, target, parseBridgeOptions(this.get(ipv4.networkId).spec.options).publishAddress);
  }

  /** Gives the addresses back. The interfaces go with the namespace. */
  release(endpoints: readonly EndpointStatus[]): void {
    for (const { networkId, ipv4Address, ipv6 } of endpoints) {
      const pools = this.#pools.get(networkId);
      pools?.ipv4.release(ipv4Address);
      if (ipv6 !== undefined) pools?.ipv6?.release(ipv6.address);
    }
  }

  async disconnect(namespaceFile: string, endpoint: EndpointStatus): Promise<void> {
    await removeLink(endpoint.interfaceName, namespaceFile);
    this.release([endpoint]);
  }

  /**
   * Brings the interfaces of a namespace in line with its endpoints, after a stop in the middle of a change: what is too much is removed,
   * what is missing is made with the addresses that it had.
   */
  async reconcile(namespaceFile: string, endpoints: readonly EndpointStatus[]): Promise<void> {
    const present = namesInside(namespaceFile);
    const wanted = new Set(endpoints.map(({ interfaceName }) => interfaceName));
    for (const name of present) if (name !== 'lo' && !wanted.has(name) && this.#isOurs(name)) await removeLink(name, namespaceFile);
    for (const endpoint of endpoints) {
      if (present.includes(endpoint.interfaceName)) continue;
      this.release([endpoint]);
      const { networkId, aliases, ipv4Address, ipv6, macAddress } = endpoint;
      this.connect(namespaceFile, { network: networkId, aliases: [...aliases], ipv4Address, ...(ipv6 === undefined ? {} : { ipv6Address: ipv6.address }), macAddress }, endpoint.interfaceName, false);
    }
  }

  /** Interfaces that a container made itself (with CAP_NET_ADMIN) are its own. */
  #isOurs(interfaceName: string): boolean {
    return this.list().some(({ spec }) => new RegExp(`^${parseBridgeOptions(spec.options).interfacePrefix}\\d+$`).test(interfaceName));
  }

  /** Marks what running containers have, after a restart. */
  restore(endpoints: readonly EndpointStatus[]): void {
    for (const { networkId, ipv4Address, ipv6 } of endpoints) {
      const pools = this.#pools.get(networkId);
      pools?.ipv4.restore(ipv4Address);
      if (ipv6 !== undefined) pools?.ipv6?.restore(ipv6.address);
    }
  }

  /** Writes the whole tables anew. That of IPv6 is there only while a network has it. */
  applyFirewall(): void {
    const networks = this.list();
    const facts = ({ kind, bridgeName, spec }: NetworkRecord, subnet: string): FirewallNetwork => {
      const { isMasqueraded, isOpenInside } = parseBridgeOptions(spec.options);
      return { bridgeName, subnet, isInternal: spec.isInternal, isIsolated: kind !== 'pod', isMasqueraded, isOpenInside };
    };
    const publications = this.publications.all();
    const four = planFirewall('ip', this.tableName, networks.map((network) => facts(network, network.subnet)), publications);
    const withIpv6 = networks.flatMap((network) => (network.ipv6 === undefined ? [] : [facts(network, network.ipv6.subnet)]));
    const six = withIpv6.length > 0 ? planFirewall('ip6', this.tableName, withIpv6, publications) : deleteTable('ip6', this.tableName);
    this.#nftables.apply(hostHasIpv6() ? `${four}\n${six}` : four);
  }

  /** Makes bridges, their addresses and settings, and the tables anew where they are missing. Endpoints of removed bridges stay lost. */
  repair(): void {
    this.#ensureBridges();
    this.applyFirewall();
  }

  /** The engine's own tables of the packet filter, families ip and, with an IPv6 network, ip6. */
  get tableName(): string {
    return firewallTable(this.#options.instanceId);
  }

  get #linkPrefix(): string {
    return linkPrefix(this.#options.instanceId);
  }

  #poolsOf(networkId: string): Pools {
    const pools = this.#pools.get(networkId);
    if (pools === undefined) throw new GantryError('internal', `network ${networkId} has no addresses`);
    return pools;
  }

  #add(record: NetworkRecord): void {
    const { subnet, gateway, ipv6, spec } = record;
    const reserved = Object.values(spec.reservedAddresses ?? {});
    this.#networks.set(record.id, record);
    this.#pools.set(record.id, {
      ipv4: new AddressPool(subnet, gateway, spec.addressRange, reserved.filter((address) => !address.includes(':'))),
      ipv6: ipv6 === undefined ? undefined : new AddressPool(ipv6.subnet, ipv6.gateway, ipv6.addressRange, reserved.filter((address) => address.includes(':'))),
    });
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
    const record = this.#newRecord(kind, spec, { subnet: formatCidr(parseCidr(cidr)), gateway: formatIpv4(parseCidr(cidr).first + 1) });
    await this.#save(record);
    this.#add(record);
  }

  #newRecord(kind: NetworkRecord['kind'], spec: NetworkSpec, { subnet, gateway, ipv6 }: { subnet: string; gateway: string; ipv6?: NetworkRecord['ipv6'] }): NetworkRecord {
    const bridgeName = `${this.#linkPrefix}${kind === 'default' ? 'br' : kind === 'pod' ? 'pod' : `b${randomHex(3)}`}`;
    return { id: randomHex(32), kind, spec, createdAt: new Date().toISOString(), bridgeName, subnet, gateway, ...(ipv6 === undefined ? {} : { ipv6 }) };
  }

  async #save(record: NetworkRecord): Promise<void> {
    await writeFileAtomic(join(this.#paths.networks, `${record.id}.json`), JSON.stringify(record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#links[Symbol.dispose]();
    await this.#dns[Symbol.asyncDispose]();
    await this.publications[Symbol.asyncDispose]();
  }
}

function namesInside(namespaceFile: string): string[] {
  return withinNamespaces({ net: namespaceFile }, () => {
    using inside = LinkTable.open();
    return inside.list().map(({ name }) => name);
  });
}

/** What every interface name of an instance begins with. */
export function linkPrefix(instanceId: string): string {
  return `g${instanceId.slice(0, 6)}`;
}

async function readRecords(folder: string): Promise<NetworkRecord[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const texts = await Promise.all(names.map((name) => readTextIfExists(join(folder, name))));
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as NetworkRecord]));
}

