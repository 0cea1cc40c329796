import { defaultMaskedPaths, defaultReadonlyPaths } from '../../bundle/masked-paths.ts';
import type { ContainerSpec } from '../../types.ts';
import type { ApiVersion } from '../api-version.ts';
import type { ApiRecord } from '../create/container-spec.ts';
import { portBindings } from './container-status.ts';

/** What a field that the client did not send is answered with. */
const zeroValues: Readonly<Record<string, unknown>> = {
  Binds: null, ContainerIDFile: '', PortBindings: null, VolumeDriver: '', VolumesFrom: null, CapAdd: null, CapDrop: null, CgroupnsMode: 'private', Dns: null, DnsOptions: null, DnsSearch: null, ExtraHosts: null,
  GroupAdd: null, Cgroup: '', Links: null, PublishAllPorts: false, SecurityOpt: null, UTSMode: '', UsernsMode: '', Runtime: 'runc', ConsoleSize: [0, 0], Isolation: '', CgroupParent: '', BlkioWeightDevice: null,
  BlkioDeviceReadBps: null, BlkioDeviceWriteBps: null, BlkioDeviceReadIOps: null, BlkioDeviceWriteIOps: null, CpuRealtimePeriod: 0, CpuRealtimeRuntime: 0, Devices: null, DeviceCgroupRules: null, DeviceRequests: null,
  MemorySwappiness: null, CpuCount: 0, CpuPercent: 0, IOMaximumIOps: 0, IOMaximumBandwidth: 0,
};

/** Fields that are left out when they hold nothing. */
const omittedWhenEmpty = ['Annotations', 'Mounts', 'StorageOpt', 'Sysctls', 'Tmpfs', 'Init'];

/** `HostConfig` of inspect: every field as the client sent it, and limits and policies as they are now. */
export function hostConfigView(spec: ContainerSpec, apiVersion: ApiVersion): Record<string, unknown> {
  const { resources: limits, security } = spec;
  const asked = Object.entries((spec.apiRecord as ApiRecord | undefined)?.HostConfig ?? {}).filter(([name, value]) => value !== undefined && !(omittedWhenEmpty.includes(name) && isEmpty(value)));
  const own = Object.fromEntries(asked);
  const hasNanoCpus = typeof own['NanoCpus'] === 'number' && own['NanoCpus'] !== 0;
  return {
    ...zeroValues,
    ...own,
    PortBindings: own['PortBindings'] === undefined && spec.ports.length > 0 ? portBindings(spec.ports) : wholeBindings(own['PortBindings']),
    LogConfig: { Type: 'json-file', Config: {}, ...(own['LogConfig'] as object | undefined) },
    NetworkMode: networkMode(spec, apiVersion),
    IpcMode: modeText(spec.namespaces.ipc),
    PidMode: spec.namespaces.pid.mode === 'private' ? '' : modeText(spec.namespaces.pid),
    RestartPolicy: { Name: spec.restart.name === 'no' ? policyName(own['RestartPolicy']) : spec.restart.name, MaximumRetryCount: spec.restart.name === 'on-failure' ? spec.restart.maximumRetryCount : 0 },
    AutoRemove: spec.autoRemove,
    Privileged: security.isPrivileged,
    ReadonlyRootfs: security.isReadOnlyRoot,
    OomScoreAdj: limits.oomScoreAdj ?? 0,
    ShmSize: spec.shmSizeBytes,
    Memory: limits.memoryLimitBytes ?? 0, MemoryReservation: limits.memoryReservationBytes ?? 0, MemorySwap: limits.memorySwapBytes ?? (limits.memoryLimitBytes ?? 0) * 2,
    NanoCpus: hasNanoCpus ? Math.round(((limits.cpuQuotaMicros ?? 0) / (limits.cpuPeriodMicros ?? 100_000)) * 1e9) : 0,
    CpuShares: limits.cpuShares ?? 0, CpuPeriod: hasNanoCpus ? 0 : (limits.cpuPeriodMicros ?? 0), CpuQuota: hasNanoCpus ? 0 : (limits.cpuQuotaMicros ?? 0), CpusetCpus: limits.cpusetCpus ?? '', CpusetMems: limits.cpusetMems ?? '',
    BlkioWeight: limits.blkioWeight ?? 0, PidsLimit: limits.pidsLimit ?? own['PidsLimit'] ?? null, OomKillDisable: limits.oomKillDisable ?? false,
    Ulimits: (limits.ulimits ?? []).length === 0 ? (own['Ulimits'] ?? null) : limits.ulimits?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    MaskedPaths: security.isPrivileged ? null : (security.maskedPaths ?? defaultMaskedPaths),
    ReadonlyPaths: security.isPrivileged ? null : (security.readonlyPaths ?? defaultReadonlyPaths),
  };
}

/** As clients of the version know it: up to 1.43 the default network is `default`. */
export function networkMode({ network, apiRecord }: ContainerSpec, apiVersion: ApiVersion): string {
  if (network.mode === 'container') return `container:${network.containerId}`;
  if (network.mode !== 'bridge') return network.mode;
  const asked = (apiRecord as ApiRecord | undefined)?.HostConfig['NetworkMode'];
  const isDefault = asked === undefined || asked === null || asked === '' || asked === 'default';
  const name = network.endpoints[0]?.network ?? 'bridge';
  return isDefault && apiVersion < 1044 && name === 'bridge' ? 'default' : name;
}

function policyName(asked: unknown): string {
  const name = (asked as { Name?: string } | undefined)?.Name ?? '';
  return name === '' || name === 'no' ? name : 'no';
}

/** Clients may leave parts of a binding out; readers find both. */
function wholeBindings(bindings: unknown): unknown {
  if (typeof bindings !== 'object' || bindings === null) return null;
  return Object.fromEntries(Object.entries(bindings).map(([port, list]) => [port, Array.isArray(list) ? list.map((binding: object) => ({ HostIp: '', HostPort: '', ...binding })) : list]));
}

function modeText(mode: { mode: string; containerId?: string }): string {
  return mode.containerId === undefined ? mode.mode : `container:${mode.containerId}`;
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}
