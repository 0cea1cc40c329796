import { z } from 'zod';
import { command, dockerObject, optional, optionalFlag, optionalInteger, optionalText, textMap, texts } from './zero.ts';

/** `Healthcheck` of a container or image. */
export const healthcheckSchema = dockerObject({
  Test: texts,
  Interval: optionalInteger,
  Timeout: optionalInteger,
  StartPeriod: optionalInteger,
  StartInterval: optionalInteger,
  Retries: optionalInteger,
});

/** Ports or paths with empty objects, as Go writes sets. */
export const objectMap = z.record(z.string(), z.looseObject({})).nullish().transform((value) => value ?? {});

const portBindings = z
  .record(z.string(), z.array(dockerObject({ HostIp: optionalText, HostPort: optionalText })).nullish().transform((value) => value ?? []))
  .nullish()
  .transform((value) => value ?? {});

const mount = dockerObject({
  Type: z.enum(['bind', 'volume', 'tmpfs'], { error: 'must be bind, volume or tmpfs' }),
  Source: optionalText,
  Target: z.string().min(1),
  ReadOnly: optionalFlag,
  /** Of file sharing on macOS: means nothing here. */
  Consistency: optionalText,
  BindOptions: optional(dockerObject({ Propagation: optionalText, NonRecursive: optionalFlag, CreateMountpoint: optionalFlag, ReadOnlyNonRecursive: optionalFlag }, { ReadOnlyForceRecursive: 'the kernel may not be able to' })),
  VolumeOptions: optional(dockerObject({ NoCopy: optionalFlag, Labels: textMap, Subpath: optionalText, DriverConfig: optional(dockerObject({ Name: optionalText, Options: textMap })) })),
  TmpfsOptions: optional(dockerObject({ SizeBytes: optionalInteger, Mode: optionalInteger, Options: z.array(z.array(z.string())).nullish() })),
});

const device = dockerObject({ PathOnHost: z.string().min(1), PathInContainer: optionalText, CgroupPermissions: optionalText });
const ulimit = dockerObject({ Name: z.string(), Soft: z.int(), Hard: z.int() });
const deviceWeights = z.array(dockerObject({ Path: z.string().min(1), Weight: z.int().min(10).max(1000) })).nullish().transform((value) => value ?? []);
const deviceRates = z.array(dockerObject({ Path: z.string().min(1), Rate: z.int().positive() })).nullish().transform((value) => value ?? []);

/** Fields of HostConfig that are refused when they ask for something, and why. */
export const refusedHostConfig = {
  Cgroup: 'deprecated by Docker', CgroupParent: 'the engine places its containers itself', CpuCount: 'Windows only', CpuPercent: 'Windows only', IOMaximumIOps: 'Windows only', IOMaximumBandwidth: 'Windows only',
  CpuRealtimePeriod: 'real-time scheduling is not implemented', CpuRealtimeRuntime: 'real-time scheduling is not implemented',
  DeviceRequests: 'GPUs and other device drivers are not implemented',
  KernelMemory: 'deprecated by Docker', KernelMemoryTCP: 'cgroup v1 only', StorageOpt: 'quotas of the writable layer are not implemented',
} as const;

/** HostConfig of the API: every field is read here, or refused when it asks for something. */
export const hostConfigSchema = dockerObject(
  {
    Annotations: textMap,
    AutoRemove: optionalFlag,
    Binds: texts,
    BlkioDeviceReadBps: deviceRates,
    BlkioDeviceReadIOps: deviceRates,
    BlkioDeviceWriteBps: deviceRates,
    BlkioDeviceWriteIOps: deviceRates,
    BlkioWeight: optionalInteger,
    BlkioWeightDevice: deviceWeights,
    CapAdd: texts,
    CapDrop: texts,
    CgroupnsMode: optionalText,
    ConsoleSize: z.tuple([z.int(), z.int()]).nullish(),
    /** Written by the client. */
    ContainerIDFile: optionalText,
    CpuPeriod: optionalInteger,
    CpuQuota: optionalInteger,
    CpuShares: optionalInteger,
    CpusetCpus: optionalText,
    CpusetMems: optionalText,
    DeviceCgroupRules: texts,
    Devices: z.array(device).nullish().transform((value) => value ?? []),
    Dns: texts,
    DnsOptions: texts,
    DnsSearch: texts,
    ExtraHosts: texts,
    GroupAdd: texts,
    Init: optionalFlag,
    IpcMode: optionalText,
    Isolation: optionalText,
    Links: texts,
    LogConfig: optional(dockerObject({ Type: optionalText, Config: textMap })),
    MaskedPaths: optional(z.array(z.string())),
    Memory: optionalInteger,
    MemoryReservation: optionalInteger,
    MemorySwap: optionalInteger,
    MemorySwappiness: optionalInteger,
    Mounts: z.array(mount).nullish().transform((value) => value ?? []),
    NanoCpus: optionalInteger,
    NetworkMode: optionalText,
    OomKillDisable: optionalFlag,
    OomScoreAdj: optionalInteger,
    PidMode: optionalText,
    PidsLimit: optionalInteger,
    PortBindings: portBindings,
    Privileged: optionalFlag,
    PublishAllPorts: optionalFlag,
    ReadonlyPaths: optional(z.array(z.string())),
    ReadonlyRootfs: optionalFlag,
    RestartPolicy: optional(dockerObject({ Name: optionalText, MaximumRetryCount: optionalInteger })),
    Runtime: optionalText,
    SecurityOpt: texts,
    ShmSize: optionalInteger,
    Sysctls: textMap,
    Tmpfs: textMap,
    Ulimits: z.array(ulimit).nullish().transform((value) => value ?? []),
    UsernsMode: optionalText,
    UTSMode: optionalText,
    VolumeDriver: optionalText,
    VolumesFrom: texts,
  },
  refusedHostConfig,
);

const endpoint = dockerObject(
  {
    IPAMConfig: optional(dockerObject({ IPv4Address: optionalText, IPv6Address: optionalText }, { LinkLocalIPs: 'link-local addresses are not implemented' })),
    Aliases: texts,
    Links: texts,
    MacAddress: optionalText,
    // What inspect answers and clients send back: the engine decides these.
    NetworkID: optionalText, EndpointID: optionalText, Gateway: optionalText, IPAddress: optionalText, IPPrefixLen: optionalInteger, DNSNames: texts,
    IPv6Gateway: optionalText, GlobalIPv6Address: optionalText, GlobalIPv6PrefixLen: optionalInteger, GwPriority: optionalInteger,
  },
  { DriverOpts: 'the bridge has no options' },
);

/** How a container joins one network. */
export const endpointSchema = endpoint;
export type EndpointRequest = z.output<typeof endpoint>;

/** As `refusedHostConfig`, for the container's own configuration. */
export const refusedContainerConfig = { OnBuild: 'belongs to images' } as const;

/** Body of `POST /containers/create`. */
export const createContainerSchema = dockerObject(
  {
    ArgsEscaped: optionalFlag,
    AttachStderr: optionalFlag,
    AttachStdin: optionalFlag,
    AttachStdout: optionalFlag,
    Cmd: command,
    Domainname: optionalText,
    Entrypoint: command,
    Env: texts,
    ExposedPorts: objectMap,
    Healthcheck: optional(healthcheckSchema),
    HostConfig: optional(hostConfigSchema),
    Hostname: optionalText,
    Image: z.string({ error: 'names the image' }).min(1, 'names the image'),
    Labels: textMap,
    MacAddress: optionalText,
    NetworkDisabled: optionalFlag,
    NetworkingConfig: optional(dockerObject({ EndpointsConfig: z.record(z.string(), endpoint.nullish()).nullish().transform((value) => value ?? {}) })),
    OpenStdin: optionalFlag,
    Shell: texts,
    StdinOnce: optionalFlag,
    StopSignal: optionalText,
    StopTimeout: optionalInteger,
    Tty: optionalFlag,
    User: optionalText,
    Volumes: objectMap,
    WorkingDir: optionalText,
  },
  refusedContainerConfig,
);

export type HostConfigRequest = z.output<typeof hostConfigSchema>;
export type MountRequest = z.output<typeof mount>;
export type CreateContainerRequest = z.output<typeof createContainerSchema>;
