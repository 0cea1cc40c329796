import type { Digest, Healthcheck, ImageConfig } from '../api/mod.ts';
import type { IdRange } from '../host/mod.ts';

/** 64 hex digits. */
export type ContainerId = string & { readonly brand: 'ContainerId' };

/**
 * created → running ⇄ paused → exited → (restarting →) running; created and exited → removing → gone.
 * `restarting`: exited, and the restart policy will start it again after a delay.
 */
export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'exited' | 'removing';

/** Who owns a container: a client of the Docker API, or a pod of the node agent. */
export type ContainerOwner =
  | { kind: 'user' }
  | { kind: 'pod'; sandboxId: string; podUid: string; containerName: string; attempt: number };

/** Everything needed to run a container, final: image defaults are already merged in. Immutable but for `update` and `rename`. */
export interface ContainerSpec {
  /** Unique among the engine's containers. */
  name: string;
  owner: ContainerOwner;
  /** Made through a scoped endpoint: its id, and the limits that the kernel keeps for all its containers together. Never from a client. */
  scope?: { id: string; memoryLimitBytes: number; cpuQuotaMicros: number; pidsLimit: number };
  image: { id: Digest; reference: string };
  /** The final argv. Never empty. */
  args: string[];
  /** `NAME=value`; PATH, HOME, HOSTNAME and TERM are added when absent. */
  env: string[];
  /** Absolute; created in the container when it does not exist. */
  workingDir: string;
  /** `user[:group]`, names (of the image's files) or numbers; empty for root. */
  user: string;
  /** Names or numbers. */
  supplementalGroups: string[];
  /** Empty: the first 12 digits of the id. Ignored when the UTS namespace is not its own. */
  hostname: string;
  domainname?: string;
  tty: boolean;
  /** A stdin that `attach` can write to; without it the container reads end-of-file. */
  stdin: boolean;
  /** Stdin closes when the first attached writer leaves. */
  /** The input ends with the first client's. A terminal's stays open: others may come to it. */
  stdinOnce: boolean;
  /** Of the terminal, before the program begins. Absent: 0 by 0, until it is resized. */
  terminalSize?: { width: number; height: number };
  /** Name (`SIGTERM`) or number. */
  stopSignal: string;
  stopTimeoutSeconds: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  mounts: MountSpec[];
  devices: DeviceSpec[];
  /** Devices that may be used when something in the container makes their nodes. */
  deviceRules?: DeviceRule[];
  resources: Resources;
  security: SecurityOptions;
  namespaces: NamespaceModes;
  network: NetworkAttachment;
  /** Only for `mode: 'bridge'`. */
  links?: ContainerLink[];
  /** Published ports. Only for `mode: 'bridge'`. */
  ports: PortBinding[];
  extraHosts: { ip: string; names: string[] }[];
  /** Absent parts: taken from the network or the host. */
  dns: { servers: string[]; searches: string[]; options: string[] };
  sysctls: Record<string, string>;
  restart: RestartPolicy;
  /** Removed by the engine once it has exited. */
  autoRemove: boolean;
  /** A minimal init as pid 1 that forwards signals and reaps. */
  init: boolean;
  shmSizeBytes: number;
  log: LogOptions;
  healthcheck?: Healthcheck;
  /** Opaque to the engine: what an API front end wants back in `inspect`. JSON. */
  apiRecord?: unknown;
}

export type MountSpec =
  | { type: 'bind'; source: string; target: string; isReadOnly: boolean; propagation: MountPropagation; isRecursive: boolean; createSource: boolean }
  | { type: 'volume'; volume: string; target: string; isReadOnly: boolean; copyUp: boolean; subpath?: string }
  | { type: 'tmpfs'; target: string; isReadOnly: boolean; sizeBytes?: number; mode?: number; options: string[] };

export type MountPropagation = 'private' | 'rprivate' | 'slave' | 'rslave' | 'shared' | 'rshared';

export interface DeviceSpec {
  hostPath: string;
  containerPath: string;
  /** Any of `r`, `w`, `m`. */
  permissions: string;
}

/** `a`: all kinds. Absent numbers: any. `access` as `DeviceSpec.permissions`. */
export interface DeviceRule { type: 'a' | 'c' | 'b'; major?: number; minor?: number; access: string }

/** Absent means unlimited or the kernel's default. */
export interface Resources {
  memoryLimitBytes?: number;
  /** Memory plus swap, in bytes; -1 unlimited swap. */
  memorySwapBytes?: number;
  memoryReservationBytes?: number;
  /** cgroup v1 scale, 2 to 262144; 1024 is one share. Converted for v2. */
  cpuShares?: number;
  cpuQuotaMicros?: number;
  cpuPeriodMicros?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  pidsLimit?: number;
  /** 10 to 1000. */
  blkioWeight?: number;
  /** Weights (10 to 1000) and rates (bytes or operations a second) of single block devices. */
  blockDevices?: { kind: BlockDeviceLimit; path: string; value: number }[];
  oomScoreAdj?: number;
  oomKillDisable?: boolean;
  /** Clamped to what the kernel grants; the clamp is reported as a warning. */
  ulimits?: { name: string; soft: number; hard: number }[];
}

export type BlockDeviceLimit = 'weight' | 'read-bytes' | 'write-bytes' | 'read-operations' | 'write-operations';

export interface SecurityOptions {
  isPrivileged: boolean;
  isReadOnlyRoot: boolean;
  noNewPrivileges: boolean;
  /** Upper-case with or without `CAP_`, or `ALL`. Added to the default set after `dropCapabilities`. */
  addCapabilities: string[];
  dropCapabilities: string[];
  /** `custom`: the profile's JSON text in Docker's format. */
  seccomp: { kind: 'default' } | { kind: 'unconfined' } | { kind: 'custom'; profile: string };
  /** Name of a profile that is loaded on the host. Undefined: none, or what the engine itself runs under. */
  apparmorProfile?: string;
  /** Undefined: the engine's default paths. */
  maskedPaths?: string[];
  readonlyPaths?: string[];
}

/** `private`: its own namespace. Pods use `sandbox` for ipc and uts. */
export interface NamespaceModes {
  ipc: { mode: 'private' | 'shareable' | 'host' | 'sandbox' } | { mode: 'container'; containerId: ContainerId };
  pid: { mode: 'private' | 'host' } | { mode: 'container'; containerId: ContainerId };
  uts: { mode: 'private' | 'host' | 'sandbox' };
  cgroup: { mode: 'private' | 'host' };
  user: UserNamespaceMode;
}

/**
 * `host`: ids are the host's, root is root. `default`: as the engine is set. `shared`: a user namespace over the engine's range of ids.
 * `unique`: over a range that no other container has. The engine writes down what was chosen as `remapped`; clients do not ask for it.
 */
export type UserNamespaceMode = { mode: 'host' | 'default' | 'shared' | 'unique' } | { mode: 'remapped'; range: IdRange };

export type NetworkAttachment =
  | { mode: 'none' }
  | { mode: 'host' }
  | { mode: 'container'; containerId: ContainerId }
  | { mode: 'sandbox' }
  | { mode: 'bridge'; endpoints: EndpointSpec[] };

/** One network a container joins. */
export interface EndpointSpec {
  /** Id or name of the network. */
  network: string;
  aliases: string[];
  ipv4Address?: string;
  /** Only on a network with IPv6. */
  ipv6Address?: string;
  macAddress?: string;
  /** Names that other containers of the network have for this one alone (Docker's links of a network). */
  links?: { container: string; alias: string }[];
  /** The container's way out is the network with the highest; default 0. */
  gatewayPriority?: number;
}

/** Another container that this one knows by an alias, at its address on the first network of this one (Docker's legacy links). */
export interface ContainerLink {
  containerId: ContainerId;
  alias: string;
  /** What the other one exposes, as `80/tcp`: told in variables. */
  ports: string[];
}

export interface PortBinding {
  protocol: 'tcp' | 'udp';
  containerPort: number;
  /** IPv4 or IPv6. Empty: the network's or the engine's publish address (loopback by default). */
  hostIp: string;
  /** 0: any free port, chosen at start. */
  hostPort: number;
  /** The end of a range whose first free port is taken at start; absent: just `hostPort`. */
  hostPortLast?: number;
}

export type RestartPolicy =
  | { name: 'no' }
  | { name: 'always' }
  | { name: 'unless-stopped' }
  /** 0 retries: no limit. */
  | { name: 'on-failure'; maximumRetryCount: number };

/** Rotation of the log file. */
export interface LogOptions {
  maxSizeBytes: number;
  /** Files kept, the current one included. At least 1. */
  maxFiles: number;
}

/** A container as the engine keeps it. A value: a later change makes a new one. */
export interface ContainerRecord {
  readonly id: ContainerId;
  readonly spec: ContainerSpec;
  readonly status: ContainerStatus;
}

export interface ContainerStatus {
  readonly state: ContainerState;
  /** RFC 3339 with nanoseconds, like all times here. */
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  /** Of the last run. 128 + signal when killed; 255 when it was lost in a crash of the machine. */
  readonly exitCode?: number;
  readonly isOomKilled: boolean;
  /** Why it could not be started, or was lost. */
  readonly error?: string;
  /** Host pid of the container's init while running or paused. */
  readonly pid?: number;
  readonly restartCount: number;
  /** Set by `stop` and `kill` of a user; keeps `always` and `unless-stopped` from starting it again. */
  readonly isStopRequested: boolean;
  readonly endpoints: readonly EndpointStatus[];
  /** With the host ports that were chosen; empty while not running. */
  readonly ports: readonly PortBinding[];
  readonly health?: HealthStatus;
  readonly warnings: readonly string[];
}

export interface EndpointStatus {
  readonly networkId: string;
  readonly networkName: string;
  readonly ipv4Address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly ipv6?: { readonly address: string; readonly prefixLength: number; readonly gateway: string };
  readonly macAddress: string;
  readonly interfaceName: string;
  readonly aliases: readonly string[];
}

export interface HealthStatus {
  readonly state: 'starting' | 'healthy' | 'unhealthy';
  readonly failingStreak: number;
  /** The last five probes, oldest first. */
  readonly log: readonly { startedAt: string; finishedAt: string; exitCode: number; output: string }[];
}

export interface NetworkSpec {
  name: string;
  /** CIDR; absent: the next free one of the engine's range. */
  subnet?: string;
  gateway?: string;
  /** Part of the subnet that addresses are taken from. */
  addressRange?: string;
  /** Addresses of either family that belong to something else, by its name: containers do not get them. */
  reservedAddresses?: Record<string, string>;
  /** With IPv6 beside IPv4; absent parts are chosen. `unsupported` where the host has none. */
  ipv6?: { subnet?: string; gateway?: string; addressRange?: string };
  /** No way out and no published ports. */
  isInternal: boolean;
  labels: Record<string, string>;
  /** Of Docker's bridge driver; see networks/bridge-options.ts. */
  options: Record<string, string>;
  /** Made through a scoped endpoint. */
  scopeId?: string;
}

/** `default`: Docker's `bridge`; `pod`: the pods' network; `user`: made by a client. */
export interface NetworkRecord {
  readonly id: string;
  readonly kind: 'default' | 'pod' | 'user';
  readonly spec: NetworkSpec;
  readonly createdAt: string;
  readonly bridgeName: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly ipv6?: { readonly subnet: string; readonly gateway: string; readonly addressRange?: string };
}

export interface VolumeRecord {
  readonly name: string;
  readonly mountpoint: string;
  readonly createdAt: string;
  readonly labels: Record<string, string>;
  readonly options: Record<string, string>;
  /** Made for one container without a name; removed with it when asked. */
  readonly isAnonymous: boolean;
  /** Made through a scoped endpoint. */
  readonly scopeId?: string;
}

/** A pod's shared namespaces and cgroup. No process keeps it open: the namespaces are pinned by bind mounts. */
export interface SandboxSpec {
  podUid: string;
  namespace: string;
  name: string;
  hostname: string;
  labels: Record<string, string>;
  hostNetwork: boolean;
  /** False: the pod has a user namespace with a range of ids of its own, which excludes `hostNetwork`. Default true. */
  hostUsers?: boolean;
  dns: { servers: string[]; searches: string[]; options: string[] };
  extraHosts: { ip: string; names: string[] }[];
  ports: PortBinding[];
  sysctls: Record<string, string>;
  cgroup: { cpuShares?: number; cpuQuotaMicros?: number; memoryLimitBytes?: number; workload: 'application' | 'job' };
}

export interface SandboxRecord {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly createdAt: string;
  /** Absent with `hostNetwork`. */
  readonly endpoint?: EndpointStatus;
  /** Of its user namespace. Absent: the host's ids. */
  readonly idRange?: IdRange;
}

/** What happened, in Docker's words. `attributes` hold names, labels, `exitCode`; never secrets. */
export interface EngineEvent {
  readonly type: 'container' | 'image' | 'network' | 'volume' | 'sandbox';
  /** For example `create start die oom kill stop destroy rename pause unpause exec_create exec_start exec_die health_status pull tag`. */
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly timeNanos: bigint;
}

/** One reading of a container's cgroup. */
export interface ContainerUsage {
  readonly containerId: ContainerId;
  readonly time: string;
  readonly cpuNanoseconds: bigint;
  readonly cpuUserNanoseconds: bigint;
  readonly cpuSystemNanoseconds: bigint;
  readonly throttledPeriods: number;
  readonly throttledNanoseconds: bigint;
  readonly memoryBytes: number;
  /** Page cache that can be given back at once. `memoryBytes` minus this is the working set. */
  readonly inactiveFileBytes: number;
  /** Undefined: no limit. */
  readonly memoryLimitBytes?: number;
  readonly memoryMaxBytes?: number;
  readonly pids: number;
  readonly pidsLimit?: number;
  /** Further counters by the kernel's own names: memory.stat, and processor time by processor where it is known. */
  readonly memoryCounters?: Readonly<Record<string, number>>;
  readonly perCpuNanoseconds?: readonly number[];
  readonly blockReadBytes: number;
  readonly blockWriteBytes: number;
  readonly interfaces: readonly { name: string; receivedBytes: number; receivedPackets: number; sentBytes: number; sentPackets: number }[];
}

/** What the container engine needs of the image store. Layer folders are unpacked snapshots, the lowest layer first. */
export interface RootfsSource {
  /** `not-found` when the image, or the snapshot of one of its layers, is not in the store. */
  openRootfs(imageId: string, signal: AbortSignal): Promise<{ config: ImageConfig; layerFolders: readonly string[] }>;
  /** Keeps the images of containers: asked before an image or layer is removed. */
  addUsers(users: { usersOf(imageId: Digest): { containerId: string; isRunning: boolean }[]; layers(): Iterable<Digest> }): Disposable;
}
