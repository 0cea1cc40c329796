import type { Engine } from '../../engine.ts';
import type { ContainerRecord, ContainerSpec, EndpointStatus, NetworkAttachment } from '../../types.ts';
import type { ApiRecord } from '../create/container-spec.ts';
import { mountView, portBindings, portList, portMap, stateView, statusText } from './container-status.ts';

/** One entry of `GET /containers/json`. */
export function summaryView(record: ContainerRecord, engine: Engine, nowMs: number, size: { writableBytes: number; imageBytes: number } | undefined): Record<string, unknown> {
  const { id, spec, status } = record;
  return {
    Id: id,
    Names: [`/${spec.name}`],
    Image: spec.image.reference,
    ImageID: spec.image.id,
    Command: spec.args.join(' '),
    Created: Math.floor(Date.parse(status.createdAt) / 1000),
    Ports: portList(record),
    Labels: labelsOf(spec),
    State: status.state,
    Status: statusText(status, nowMs),
    HostConfig: { NetworkMode: networkMode(spec.network), ...(Object.keys(spec.annotations).length === 0 ? {} : { Annotations: spec.annotations }) },
    NetworkSettings: { Networks: networksView(record) },
    Mounts: spec.mounts.map((mount) => mountView(mount, (name) => volumeOf(engine, name))),
    ...(size === undefined ? {} : { SizeRw: size.writableBytes, SizeRootFs: size.imageBytes + size.writableBytes }),
  };
}

/** `GET /containers/{id}/json`. */
export function inspectView(record: ContainerRecord, engine: Engine, execIds: readonly string[], size: { writableBytes: number; imageBytes: number } | undefined): Record<string, unknown> {
  const { id, spec, status } = record;
  const [path = '', ...args] = spec.args;
  const [first] = status.endpoints;
  return {
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
    HostConfig: hostConfigView(spec),
    GraphDriver: { Name: 'overlay2', Data: { UpperDir: engine.containers.writableFolder(id) } },
    ...(size === undefined ? {} : { SizeRw: size.writableBytes, SizeRootFs: size.imageBytes + size.writableBytes }),
    Mounts: spec.mounts.map((mount) => mountView(mount, (name) => volumeOf(engine, name))),
    Config: configView(record),
    NetworkSettings: {
      Bridge: '', SandboxID: '', SandboxKey: '', HairpinMode: false, LinkLocalIPv6Address: '', LinkLocalIPv6PrefixLen: 0, SecondaryIPAddresses: null, SecondaryIPv6Addresses: null,
      Ports: portMap(record),
      EndpointID: first === undefined ? '' : endpointId(record, first), Gateway: first?.gateway ?? '', GlobalIPv6Address: first?.ipv6?.address ?? '', GlobalIPv6PrefixLen: first?.ipv6?.prefixLength ?? 0, IPAddress: first?.ipv4Address ?? '',
      IPPrefixLen: first?.prefixLength ?? 0, IPv6Gateway: first?.ipv6?.gateway ?? '', MacAddress: first?.macAddress ?? '',
      Networks: networksView(record),
    },
  };
}

function configView({ id, spec }: ContainerRecord): Record<string, unknown> {
  const own: Record<string, unknown> = {
    Hostname: spec.hostname, Domainname: spec.domainname ?? '', User: spec.user, AttachStdin: false, AttachStdout: false, AttachStderr: false, Tty: spec.tty, OpenStdin: spec.stdin,
    StdinOnce: spec.stdinOnce, Env: spec.env, Cmd: spec.args, Image: spec.image.reference, Volumes: null, WorkingDir: spec.workingDir, Entrypoint: null, OnBuild: null, Labels: labelsOf(spec), StopSignal: spec.stopSignal,
  };
  const config = { ...own, ...recordOf(spec)?.Config };
  return { ...config, Hostname: config['Hostname'] === '' ? id.slice(0, 12) : config['Hostname'] };
}

/** All fields of HostConfig with what the client asked for, and the limits as they are now. */
function hostConfigView(spec: ContainerSpec): Record<string, unknown> {
  const { resources: limits, security } = spec;
  const defaults: Record<string, unknown> = {
    Binds: null, ContainerIDFile: '', PortBindings: portBindings(spec.ports), VolumeDriver: '', VolumesFrom: null, ConsoleSize: [0, 0], CapAdd: null, CapDrop: null,
    CgroupnsMode: spec.namespaces.cgroup.mode, Dns: [], DnsOptions: [], DnsSearch: [], ExtraHosts: null, GroupAdd: null, Cgroup: '', Links: null, Privileged: security.isPrivileged, PublishAllPorts: false,
    ReadonlyRootfs: security.isReadOnlyRoot, SecurityOpt: null, UTSMode: '', UsernsMode: '', Runtime: 'runc', Isolation: '', CgroupParent: '', BlkioWeightDevice: [], BlkioDeviceReadBps: [], BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [], BlkioDeviceWriteIOps: [], Devices: [], DeviceCgroupRules: null, DeviceRequests: null, MemorySwappiness: null, CpuCount: 0, CpuPercent: 0, IOMaximumIOps: 0, IOMaximumBandwidth: 0,
    CpuRealtimePeriod: 0, CpuRealtimeRuntime: 0,
  };
  const asked = Object.fromEntries(Object.entries(recordOf(spec)?.HostConfig ?? {}).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)));
  return {
    ...defaults,
    ...asked,
    LogConfig: { Type: 'json-file', Config: {}, ...(asked['LogConfig'] as object | undefined) },
    NetworkMode: networkMode(spec.network),
    IpcMode: modeText(spec.namespaces.ipc),
    PidMode: spec.namespaces.pid.mode === 'private' ? '' : modeText(spec.namespaces.pid),
    RestartPolicy: { Name: spec.restart.name, MaximumRetryCount: spec.restart.name === 'on-failure' ? spec.restart.maximumRetryCount : 0 },
    AutoRemove: spec.autoRemove,
    OomScoreAdj: limits.oomScoreAdj ?? 0,
    ShmSize: spec.shmSizeBytes,
    Memory: limits.memoryLimitBytes ?? 0, MemoryReservation: limits.memoryReservationBytes ?? 0, MemorySwap: limits.memorySwapBytes ?? 0,
    NanoCpus: asked['NanoCpus'] === undefined || asked['NanoCpus'] === 0 ? 0 : Math.round(((limits.cpuQuotaMicros ?? 0) / (limits.cpuPeriodMicros ?? 100_000)) * 1e9),
    CpuShares: limits.cpuShares ?? 0, CpuPeriod: isNano(asked) ? 0 : (limits.cpuPeriodMicros ?? 0), CpuQuota: isNano(asked) ? 0 : (limits.cpuQuotaMicros ?? 0), CpusetCpus: limits.cpusetCpus ?? '', CpusetMems: limits.cpusetMems ?? '',
    BlkioWeight: limits.blkioWeight ?? 0, PidsLimit: limits.pidsLimit ?? null, OomKillDisable: limits.oomKillDisable ?? null,
    Ulimits: (limits.ulimits ?? []).map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    MaskedPaths: security.maskedPaths ?? asked['MaskedPaths'] ?? null,
    ReadonlyPaths: security.readonlyPaths ?? asked['ReadonlyPaths'] ?? null,
  };
}

function isNano(asked: Record<string, unknown>): boolean {
  return typeof asked['NanoCpus'] === 'number' && asked['NanoCpus'] !== 0;
}

/** Endpoints by network name; before a first start, what the container will join. */
export function networksView(record: ContainerRecord): Record<string, unknown> {
  const { spec, status } = record;
  if (status.endpoints.length > 0) return Object.fromEntries(status.endpoints.map((endpoint) => [endpoint.networkName, endpointView(record, endpoint)]));
  if (spec.network.mode === 'none' || spec.network.mode === 'host') return { [spec.network.mode]: emptyEndpoint([]) };
  if (spec.network.mode !== 'bridge') return {};
  return Object.fromEntries(spec.network.endpoints.map(({ network, aliases }) => [network, emptyEndpoint(aliases)]));
}

function endpointView(record: ContainerRecord, endpoint: EndpointStatus): Record<string, unknown> {
  return {
    ...emptyEndpoint(endpoint.aliases),
    NetworkID: endpoint.networkId, EndpointID: endpointId(record, endpoint), Gateway: endpoint.gateway, IPAddress: endpoint.ipv4Address, IPPrefixLen: endpoint.prefixLength, MacAddress: endpoint.macAddress,
    IPv6Gateway: endpoint.ipv6?.gateway ?? '', GlobalIPv6Address: endpoint.ipv6?.address ?? '', GlobalIPv6PrefixLen: endpoint.ipv6?.prefixLength ?? 0,
    DNSNames: [record.spec.name, ...endpoint.aliases, record.id.slice(0, 12)],
  };
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

function networkMode(network: NetworkAttachment): string {
  if (network.mode === 'container') return `container:${network.containerId}`;
  if (network.mode !== 'bridge') return network.mode;
  return network.endpoints[0]?.network ?? 'bridge';
}

function modeText(mode: { mode: string; containerId?: string }): string {
  return mode.containerId === undefined ? mode.mode : `container:${mode.containerId}`;
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
