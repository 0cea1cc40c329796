import type { Engine } from '../../engine.ts';
import type { ContainerRecord, ContainerSpec, EndpointSpec, EndpointStatus } from '../../types.ts';
import type { ApiVersion } from '../api-version.ts';
import type { ApiRecord } from '../create/container-spec.ts';
import { mountView, portList, portMap, stateView, statusText } from './container-status.ts';
import { hostConfigView, networkMode } from './host-config.ts';
import { containerFields, containerSummaryFields, forVersion } from './version-fields.ts';

/** One entry of `GET /containers/json`. */
export function summaryView(record: ContainerRecord, engine: Engine, apiVersion: ApiVersion, size: { writableBytes: number; imageBytes: number } | undefined): Record<string, unknown> {
  const { id, spec, status } = record;
  const view = {
    Id: id,
    Names: [`/${spec.name}`, ...linkedNames(id, engine)],
    Image: spec.image.reference,
    ImageID: spec.image.id,
    Command: spec.args.map((arg, at) => (at > 0 && arg.includes(' ') ? `'${arg}'` : arg)).join(' '),
    Created: Math.floor(Date.parse(status.createdAt) / 1000),
    Ports: portList(record),
    Labels: labelsOf(spec),
    State: status.state,
    Status: statusText(status, Date.now()),
    HostConfig: { NetworkMode: networkMode(spec, apiVersion), ...(Object.keys(spec.annotations).length === 0 ? {} : { Annotations: spec.annotations }) },
    NetworkSettings: { Networks: networksView(record, engine, apiVersion) },
    Mounts: mountsView(spec, engine),
    ...(size === undefined ? {} : { ...(size.writableBytes === 0 ? {} : { SizeRw: size.writableBytes }), SizeRootFs: size.imageBytes + size.writableBytes }),
  };
  return forVersion(view, containerSummaryFields, apiVersion);
}

/** `GET /containers/{id}/json`. */
export function inspectView(record: ContainerRecord, engine: Engine, apiVersion: ApiVersion, execIds: readonly string[], size: { writableBytes: number; imageBytes: number } | undefined): Record<string, unknown> {
  const { id, spec, status } = record;
  const [path = '', ...args] = spec.args;
  const first = status.endpoints.find(({ networkName }) => networkName === 'bridge');
  const view = {
    Id: id,
    Created: status.createdAt,
    Path: path,
    Args: args,
    State: stateView(status),
    Image: spec.image.id,
    ResolvConfPath: '', HostnamePath: '', HostsPath: '', LogPath: '',
    Name: `/${spec.name}`,
    RestartCount: status.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '', ProcessLabel: '', AppArmorProfile: '',
    ExecIDs: execIds.length === 0 ? null : execIds,
    HostConfig: { ...hostConfigView(spec, apiVersion), ...linksView(spec, engine) },
    GraphDriver: { Name: 'overlay2', Data: { UpperDir: engine.containers.writableFolder(id) } },
    ...(size === undefined ? {} : { SizeRw: size.writableBytes, SizeRootFs: size.imageBytes + size.writableBytes }),
    Mounts: mountsView(spec, engine),
    Config: configView(record),
    NetworkSettings: {
      Bridge: '', SandboxID: '', SandboxKey: '', HairpinMode: false, LinkLocalIPv6Address: '', LinkLocalIPv6PrefixLen: 0, SecondaryIPAddresses: null, SecondaryIPv6Addresses: null,
      Ports: portMap(record),
      EndpointID: first === undefined ? '' : endpointId(record, first), Gateway: first?.gateway ?? '', GlobalIPv6Address: first?.ipv6?.address ?? '', GlobalIPv6PrefixLen: first?.ipv6?.prefixLength ?? 0, IPAddress: first?.ipv4Address ?? '',
      IPPrefixLen: first?.prefixLength ?? 0, IPv6Gateway: first?.ipv6?.gateway ?? '', MacAddress: first?.macAddress ?? '',
      Networks: networksView(record, engine, apiVersion),
    },
  };
  return forVersion(view, containerFields, apiVersion);
}

/** In the order of their places; a tmpfs of `HostConfig.Tmpfs` is shown only there. */
function mountsView(spec: ContainerSpec, engine: Engine): Record<string, unknown>[] {
  const tmpfs = recordOf(spec)?.HostConfig['Tmpfs'] as Record<string, string> | null | undefined;
  const shown = spec.mounts.filter(({ type, target }) => type !== 'tmpfs' || tmpfs?.[target] === undefined);
  return shown.toSorted((a, b) => (a.target < b.target ? -1 : 1)).map((mount) => mountView(mount, (name) => volumeOf(engine, name)));
}

function configView({ id, spec }: ContainerRecord): Record<string, unknown> {
  const own: Record<string, unknown> = {
    Hostname: spec.hostname, Domainname: spec.domainname ?? '', User: spec.user, AttachStdin: false, AttachStdout: false, AttachStderr: false, Tty: spec.tty, OpenStdin: spec.stdin,
    StdinOnce: spec.stdinOnce, Env: spec.env, Cmd: spec.args, Image: spec.image.reference, Volumes: null, WorkingDir: spec.workingDir, Entrypoint: null, OnBuild: null, Labels: labelsOf(spec), ...(recordOf(spec) === undefined ? { StopSignal: spec.stopSignal } : {}),
  };
  const config = { ...own, ...recordOf(spec)?.Config };
  return { ...config, Hostname: config['Hostname'] === '' ? id.slice(0, 12) : config['Hostname'] };
}

/** Endpoints by network name; before a first start, what the container will join. */
export function networksView(record: ContainerRecord, engine: Engine, apiVersion: ApiVersion): Record<string, unknown> {
  const { spec, status } = record;
  if (status.endpoints.length > 0) return Object.fromEntries(status.endpoints.map((endpoint) => [endpoint.networkName, endpointView(record, endpoint, apiVersion)]));
  if (spec.network.mode === 'none' || spec.network.mode === 'host') return { [spec.network.mode]: emptyEndpoint([]) };
  if (spec.network.mode !== 'bridge') return {};
  // One that has run before is still known by the network's id.
  const hasRun = status.startedAt !== undefined;
  return Object.fromEntries(spec.network.endpoints.map(({ network, aliases, ipv4Address, links }) => {
    const found = engine.networks.list().find(({ id, spec: own }) => id === network || own.name === network);
    const name = found?.spec.name ?? network;
    const names = [...new Set([...aliases, ...(hasRun ? shortAlias(record, name, apiVersion) : [])])];
    return [name, { ...emptyEndpoint(names), Links: linkTexts(links), IPAMConfig: ipamConfig(ipv4Address), NetworkID: hasRun ? (found?.id ?? '') : '' }];
  }));
}

function endpointView(record: ContainerRecord, endpoint: EndpointStatus, apiVersion: ApiVersion): Record<string, unknown> {
  const { network } = record.spec;
  const asked = network.mode === 'bridge' ? network.endpoints.find((spec) => spec.network === endpoint.networkName || spec.network === endpoint.networkId) : undefined;
  return {
    ...emptyEndpoint([...new Set([...endpoint.aliases, ...shortAlias(record, endpoint.networkName, apiVersion)])]),
    Links: linkTexts(asked?.links),
    IPAMConfig: ipamConfig(asked?.ipv4Address),
    NetworkID: endpoint.networkId, EndpointID: endpointId(record, endpoint), Gateway: endpoint.gateway, IPAddress: endpoint.ipv4Address, IPPrefixLen: endpoint.prefixLength, MacAddress: endpoint.macAddress,
    IPv6Gateway: endpoint.ipv6?.gateway ?? '', GlobalIPv6Address: endpoint.ipv6?.address ?? '', GlobalIPv6PrefixLen: endpoint.ipv6?.prefixLength ?? 0,
    DNSNames: [record.spec.name, ...endpoint.aliases, record.id.slice(0, 12)],
  };
}

/** Up to 1.44 the short id was one of the aliases. */
function shortAlias({ id }: ContainerRecord, network: string, apiVersion: ApiVersion): string[] {
  return apiVersion < 1045 && network !== 'bridge' ? [id.slice(0, 12)] : [];
}

function linkTexts(links: EndpointSpec['links']): string[] | null {
  return links === undefined ? null : links.map(({ container, alias }) => `${container}:${alias}`);
}

/** Links on the default network, with the names that the containers have now. */
function linksView({ name, links = [] }: ContainerSpec, engine: Engine): { Links: string[] | null } {
  if (links.length === 0) return { Links: null };
  const all = engine.containers.list();
  return { Links: links.flatMap(({ containerId, alias }) => all.filter(({ id }) => id === containerId).map((child) => `/${child.spec.name}:/${name}/${alias}`)) };
}

/** What those that link to a container call it. */
function linkedNames(id: string, engine: Engine): string[] {
  return engine.containers.list().flatMap(({ spec }) => (spec.links ?? []).filter(({ containerId }) => containerId === id).map(({ alias }) => `/${spec.name}/${alias}`));
}

/** As `80/tcp`. */
export function exposedPorts({ apiRecord }: Pick<ContainerSpec, 'apiRecord'>): string[] {
  return Object.keys((apiRecord as { Config?: { ExposedPorts?: object } } | undefined)?.Config?.ExposedPorts ?? {});
}

/** The address that was asked for. */
function ipamConfig(ipv4Address: string | undefined): { IPv4Address: string } | null {
  return ipv4Address === undefined ? null : { IPv4Address: ipv4Address };
}

function emptyEndpoint(aliases: readonly string[]): Record<string, unknown> {
  return {
    IPAMConfig: null, Links: null, Aliases: aliases.length === 0 ? null : aliases, MacAddress: '', DriverOpts: null, GwPriority: 0, NetworkID: '', EndpointID: '', Gateway: '', IPAddress: '', IPPrefixLen: 0,
    IPv6Gateway: '', GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, DNSNames: null,
  };
}

/** An endpoint has no identity of its own here: the container and the network make it. */
export function endpointId({ id }: ContainerRecord, { networkId }: EndpointStatus): string {
  return `${id.slice(0, 32)}${networkId.slice(0, 32)}`.padEnd(64, '0');
}

/** The labels of pods' containers in the words that Kubernetes' own tools look for. */
function labelsOf({ owner, labels }: ContainerSpec): Record<string, string> {
  if (owner.kind !== 'pod') return labels;
  return { 'io.kubernetes.pod.uid': owner.podUid, 'io.kubernetes.container.name': owner.containerName, ...labels };
}

function recordOf(spec: ContainerSpec): ApiRecord | undefined {
  return spec.apiRecord as ApiRecord | undefined;
}

function volumeOf(engine: Engine, name: string): ReturnType<Engine['volumes']['get']> | undefined {
  return engine.volumes.list().find((volume) => volume.name === name);
}
