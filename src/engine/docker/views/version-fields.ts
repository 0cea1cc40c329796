import { type ApiVersion, maxApiVersion } from '../api-version.ts';

/** A field that answers have only in some versions of the API. `*` in a path stands for every key or entry. */
interface VersionField {
  readonly path: string;
  /** The first version that has it. */
  readonly since?: number;
  /** The last version that has it. */
  readonly until?: number;
  /** What older versions find there, when the answer does not hold it itself. */
  readonly value?: unknown;
}

/** Of `GET /containers/{id}/json`. */
export const containerFields: readonly VersionField[] = [
  { path: 'HostConfig.Annotations', since: 1043 },
  { path: 'HostConfig.KernelMemory', until: 1041, value: 0 },
  { path: 'HostConfig.KernelMemoryTCP', until: 1041, value: 0 },
  { path: 'NetworkSettings.Networks.*.DNSNames', since: 1044 },
  { path: 'NetworkSettings.Networks.*.GwPriority', since: 1048 },
];

/** Of an entry of `GET /containers/json`. */
export const containerSummaryFields: readonly VersionField[] = [
  { path: 'HostConfig.Annotations', since: 1046 },
  { path: 'NetworkSettings.Networks.*.DNSNames', since: 1044 },
  { path: 'NetworkSettings.Networks.*.GwPriority', since: 1048 },
];

/** Of the container that made an image, which is not known of any. */
const emptyConfig = {
  Hostname: '', Domainname: '', User: '', AttachStdin: false, AttachStdout: false, AttachStderr: false, Tty: false, OpenStdin: false, StdinOnce: false, Env: null, Cmd: null, Image: '', Volumes: null, WorkingDir: '', Entrypoint: null, OnBuild: null,
  Labels: null,
};

/** Of `GET /images/{name}/json`; the fields of a container in an image's configuration were never anything but empty. */
export const imageFields: readonly VersionField[] = [
  { path: 'VirtualSize', until: 1043 },
  { path: 'Container', until: 1044, value: '' },
  { path: 'ContainerConfig', until: 1044, value: emptyConfig },
  ...['Hostname', 'Domainname', 'Image'].map((name) => ({ path: `Config.${name}`, until: 1049, value: '' })),
  ...['AttachStdin', 'AttachStdout', 'AttachStderr', 'Tty', 'OpenStdin', 'StdinOnce'].map((name) => ({ path: `Config.${name}`, until: 1049, value: false })),
];

/** Of `GET /info`. */
export const infoFields: readonly VersionField[] = [
  { path: 'KernelMemory', until: 1041, value: false },
  { path: 'KernelMemoryTCP', until: 1041, value: false },
  { path: 'Runtimes.*.status', since: 1044 },
  { path: 'CDISpecDirs', since: 1044 },
  ...['ContainerdCommit', 'RuncCommit', 'InitCommit'].map((name) => ({ path: `${name}.Expected`, until: 1048, value: '' })),
  ...['BridgeNfIptables', 'BridgeNfIp6tables'].map((path) => ({ path, until: 1049, value: false })),
  ...['CIDRs', 'Hostnames'].map((name) => ({ path: `RegistryConfig.AllowNondistributableArtifacts${name}`, until: 1048, value: [] })),
  { path: 'FirewallBackend', since: 1049 },
  { path: 'DiscoveredDevices', since: 1050 },
];

/** Of `GET /system/df`. */
export const diskUsageFields: readonly VersionField[] = [{ path: 'BuilderSize', until: 1041, value: 0 }];

/** Of an entry of `GET /images/json`. */
export const imageSummaryFields: readonly VersionField[] = [{ path: 'VirtualSize', until: 1043 }];

/** Of a network. */
export const networkFields: readonly VersionField[] = [{ path: 'EnableIPv4', since: 1048 }];

/** The answer as clients of that version know it; the answer itself is not changed. */
export function forVersion(answer: Record<string, unknown>, fields: readonly VersionField[], version: ApiVersion): Record<string, unknown> {
  return fields.reduce((value, field) => apply(value, field.path.split('.'), field, version) as Record<string, unknown>, answer);
}

function apply(value: unknown, [name, ...rest]: readonly string[], field: VersionField, version: ApiVersion): unknown {
  if (typeof value !== 'object' || value === null || name === undefined) return value;
  const object = value as Record<string, unknown>;
  if (name === '*') return Object.fromEntries(Object.entries(object).map(([key, entry]) => [key, apply(entry, rest, field, version)]));
  if (rest.length > 0) return name in object ? { ...object, [name]: apply(object[name], rest, field, version) } : object;
  const isThere = version >= (field.since ?? 0) && version <= (field.until ?? maxApiVersion);
  if (!isThere) return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
  return name in object || field.value === undefined ? object : { ...object, [name]: field.value };
}
