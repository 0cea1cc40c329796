import { z } from 'zod';
import { GantryError, isError } from '../../../kernel/mod.ts';
import type { Engine } from '../../engine.ts';
import type { NetworkRecord, NetworkSpec } from '../../types.ts';
import { type Call, type DockerServices, readJson, sendEmpty, sendJson } from '../call.ts';
import { planEndpoint } from '../create/container-spec.ts';
import { type Filters, flagFilter, lacksLabels, matchesAny, matchesLabels, matchesName, parseFilters, parseTime } from '../filters.ts';
import { endpointSchema } from '../requests/create-container.ts';
import { dockerObject, optional, optionalFlag, optionalText, textMap } from '../requests/zero.ts';
import { flag, type Route, route, text } from '../route.ts';
import { builtInNetworks, networkView } from '../views/network.ts';

const ipamConfig = dockerObject({ Subnet: optionalText, Gateway: optionalText, IPRange: optionalText, AuxiliaryAddresses: textMap });
const createSchema = dockerObject(
  {
    Name: optionalText,
    CheckDuplicate: optionalFlag,
    Driver: optional(z.enum(['', 'bridge'], { error: 'only the bridge driver is supported' })),
    Internal: optionalFlag,
    /** For swarm services; a bridge of one machine is open to its containers anyway. */
    Attachable: optionalFlag,
    EnableIPv6: optionalFlag,
    EnableIPv4: optional(z.literal(true, { error: 'a network without IPv4 is not supported' })),
    IPAM: optional(dockerObject({ Driver: optional(z.enum(['', 'default'], { error: 'only the default IPAM driver is supported' })), Config: z.array(ipamConfig).nullish().transform((value) => value ?? []), Options: textMap })),
    Options: textMap,
    Labels: textMap,
  },
  { Ingress: 'this engine is not part of a swarm', Scope: 'networks are local', ConfigOnly: 'this engine is not part of a swarm', ConfigFrom: 'this engine is not part of a swarm' },
);
const connectSchema = dockerObject({ Container: z.string().min(1), EndpointConfig: optional(endpointSchema) });
const disconnectSchema = dockerObject({ Container: z.string().min(1), Force: optionalFlag });

type IpamConfig = z.output<typeof ipamConfig>;

/** The subnets of a request by family. As Docker's bridge: at most one of each. */
function planIpam(configs: readonly IpamConfig[], isIpv6: boolean): Pick<NetworkSpec, 'subnet' | 'gateway' | 'addressRange' | 'ipv6' | 'reservedAddresses'> {
  const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
  const isOfIpv6 = ({ Subnet, Gateway, IPRange }: IpamConfig): boolean => [Subnet, Gateway, IPRange].some((text) => text?.includes(':') === true);
  const [four, six] = [configs.filter((config) => !isOfIpv6(config)), configs.filter(isOfIpv6)];
  if (four.length > 1 || six.length > 1) throw new GantryError('forbidden', "bridge driver doesn't support multiple subnets");
  if (six.length > 0 && !isIpv6) throw new GantryError('invalid', `the subnet ${six[0]?.Subnet ?? ''} needs EnableIPv6`);
  const parts = (config: IpamConfig | undefined) =>
    Object.fromEntries([['subnet', filled(config?.Subnet)], ['gateway', filled(config?.Gateway)], ['addressRange', filled(config?.IPRange)]].filter(([, value]) => value !== undefined)) as Pick<NetworkSpec, 'subnet' | 'gateway' | 'addressRange'>;
  const reservedAddresses = Object.assign({}, ...configs.map(({ AuxiliaryAddresses }) => AuxiliaryAddresses)) as Record<string, string>;
  return { ...parts(four[0]), ...(isIpv6 ? { ipv6: parts(six[0]) } : {}), ...(Object.keys(reservedAddresses).length > 0 ? { reservedAddresses } : {}) };
}

function isUsed(engine: Engine, { id, spec }: NetworkRecord): boolean {
  return engine.containers.list().some((container) => container.status.endpoints.some(({ networkId }) => networkId === id) || (container.spec.network.mode === 'bridge' && container.spec.network.endpoints.some(({ network }) => network === id || network === spec.name)));
}

/** The pods' network is the node agent's business: clients of this API do not see it. */
function visible(engine: Engine): NetworkRecord[] {
  return engine.networks.list().filter(({ kind }) => kind !== 'pod');
}

function fits(network: NetworkRecord, filters: Filters, engine: Engine): boolean {
  const dangling = flagFilter(filters, 'dangling');
  return (
    matchesAny(filters, 'name', (value) => matchesName(network.spec.name, value)) && matchesAny(filters, 'id', (value) => network.id.startsWith(value)) && matchesAny(filters, 'driver', (value) => value === 'bridge') &&
    matchesAny(filters, 'scope', (value) => value === 'local') && matchesAny(filters, 'type', (value) => (value === 'custom') === (network.kind === 'user')) && matchesLabels(filters, network.spec.labels) &&
    (dangling === undefined || dangling === (network.kind === 'user' && !isUsed(engine, network)))
  );
}

function listNetworks(call: Call, { engine }: DockerServices, query: { filters?: string | undefined }): void {
  const filters = parseFilters(query.filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
  const own = visible(engine).filter((network) => fits(network, filters, engine)).map((network) => networkView(network, [], false));
  const names = filters.get('name');
  const ids = filters.get('id');
  const type = filters.get('type')?.find((value) => value !== 'custom' && value !== 'builtin');
  if (type !== undefined) throw new GantryError('invalid', `invalid filter: 'type'='${type}'`);
  const isElsewhere = filters.has('scope') && filters.get('scope')?.includes('local') !== true;
  const hasOther = isElsewhere || ['driver', 'label', 'dangling'].some((name) => filters.has(name)) || filters.get('type')?.includes('custom') === true;
  const builtIn = hasOther ? [] : builtInNetworks(engine).filter(({ Name, Id }) => (names?.some((value) => matchesName(String(Name), value)) ?? true) && (ids?.some((value) => String(Id).startsWith(value)) ?? true));
  sendJson(call, 200, [...own, ...builtIn]);
}

function inspectNetwork(call: Call, { engine }: DockerServices): void {
  const name = call.params['id'] ?? '';
  const builtIn = builtInNetworks(engine).find(({ Name, Id }) => Name === name || Id === name);
  sendJson(call, 200, builtIn ?? networkView(engine.networks.get(name), engine.containers.list(), true));
}

async function createNetwork(call: Call, { engine }: DockerServices): Promise<void> {
  const request = await readJson(call, createSchema);
  const { Name: name = '' } = request;
  if (name.trim() === '') throw new GantryError('invalid', `invalid name: ${name}`);
  const record = await forbidden(engine.networks.create({
    name,
    isInternal: request.Internal ?? false,
    labels: request.Labels,
    options: request.Options,
    ...planIpam(request.IPAM?.Config ?? [], request.EnableIPv6 ?? false),
  }, call.signal));
  sendJson(call, 201, { Id: record.id, Warning: '' });
}

async function connect(call: Call, { engine }: DockerServices): Promise<void> {
  const { Container, EndpointConfig } = await readJson(call, connectSchema);
  const { network: _, ...endpoint } = planEndpoint('', EndpointConfig, undefined);
  const name = call.params['id'] ?? '';
  if (builtInNetworks(engine).some(({ Name, Id }) => Name === name || Id === name)) throw new GantryError('invalid', 'container cannot be disconnected from host network or connected to host network');
  await forbidden(engine.networks.connect(name, engine.containers.get(Container).id, endpoint, call.signal));
  sendEmpty(call, 200);
}

async function disconnect(call: Call, { engine }: DockerServices): Promise<void> {
  const { Container, Force } = await readJson(call, disconnectSchema);
  await engine.networks.disconnect(call.params['id'] ?? '', engine.containers.get(Container).id, { force: Force ?? false }, call.signal);
  sendEmpty(call, 200);
}

async function pruneNetworks(call: Call, { engine }: DockerServices, query: { filters?: string | undefined }): Promise<void> {
  const filters = parseFilters(query.filters, ['label', 'label!', 'until']);
  const [until] = filters.get('until') ?? [];
  const before = until === undefined ? Infinity : parseTime(until, Date.now()).getTime();
  const deleted: string[] = [];
  for (const network of engine.networks.list()) {
    if (network.kind !== 'user' || isUsed(engine, network) || Date.parse(network.createdAt) > before) continue;
    if (!matchesLabels(filters, network.spec.labels) || !lacksLabels(filters, network.spec.labels)) continue;
    await engine.networks.remove(network.id, call.signal);
    deleted.push(network.spec.name);
  }
  sendJson(call, 200, { NetworksDeleted: deleted });
}

/** What Docker refuses as forbidden, where this engine sees a conflict of states. */
async function forbidden<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isError(error, 'conflict')) throw new GantryError('forbidden', error.message, { cause: error });
    throw error;
  }
}

async function removeNetwork(call: Call, { engine }: DockerServices): Promise<void> {
  const name = call.params['id'] ?? '';
  if (builtInNetworks(engine).some(({ Name, Id }) => Name === name || Id === name)) throw new GantryError('forbidden', `${name} is a pre-defined network and cannot be removed`);
  await forbidden(engine.networks.remove(name, call.signal));
  sendEmpty(call, 204);
}

export const networkRoutes: readonly Route[] = [
  route({ method: 'GET', path: '/networks', summary: 'List networks', query: { filters: text }, handle: listNetworks }),
  route({ method: 'GET', path: '/networks/{id}', summary: 'Inspect a network', query: { verbose: flag, scope: text }, handle: inspectNetwork }),
  route({ method: 'POST', path: '/networks/create', summary: 'Create a network', note: 'bridge networks with one IPv4 and, with EnableIPv6, one IPv6 subnet', body: createSchema, handle: createNetwork }),
  route({ method: 'DELETE', path: '/networks/{id}', summary: 'Remove a network', handle: removeNetwork }),
  route({ method: 'POST', path: '/networks/{id}/connect', summary: 'Connect a container to a network', body: connectSchema, handle: connect }),
  route({ method: 'POST', path: '/networks/{id}/disconnect', summary: 'Disconnect a container from a network', body: disconnectSchema, handle: disconnect }),
  route({ method: 'POST', path: '/networks/prune', summary: 'Delete unused networks', query: { filters: text }, handle: pruneNetworks }),
];
