import type { Duplex, Readable, Writable } from 'node:stream';
import type { Digest } from '../../api/mod.ts';

/**
 * What the node agent needs of a container engine: the shape of Kubernetes' CRI, narrowed to what we use.
 * A sandbox is a pod's network, IPC and UTS namespaces and its cgroup; no process keeps it open.
 */
export interface ContainerRuntime {
  pullImage(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<ImageSummary>;
  /** The local image of that name, or undefined. */
  imageOf(reference: string, signal: AbortSignal): Promise<ImageSummary | undefined>;

  /** Creating a sandbox whose `podUid` has one already returns that one. */
  createSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox>;
  listSandboxes(signal: AbortSignal): Promise<Sandbox[]>;
  /** Removes the sandbox's containers with it. A no-op when it is gone. */
  removeSandbox(id: string, signal: AbortSignal): Promise<void>;

  createContainer(spec: PodContainerSpec, signal: AbortSignal): Promise<string>;
  startContainer(id: string, signal: AbortSignal): Promise<void>;
  /** Sends the stop signal, then SIGKILL after `gracePeriodSeconds`; resolves when the container has exited. */
  stopContainer(id: string, gracePeriodSeconds: number, signal: AbortSignal): Promise<void>;
  removeContainer(id: string, signal: AbortSignal): Promise<void>;
  /** All pod containers of the engine, running or exited. */
  listContainers(signal: AbortSignal): Promise<PodContainer[]>;

  exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
  /** The container's own stdio from now on; resolves when it exits or the signal aborts. */
  attach(id: string, request: AttachRequest, signal: AbortSignal): Promise<void>;
  /** A TCP connection made inside the pod's network namespace, to its loopback. */
  dial(sandboxId: string, port: number, signal: AbortSignal): Promise<Duplex>;
  /** The log lines, oldest first; ends at the last line, or with the signal when `follow`. */
  logs(id: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogLine>;
  stats(signal: AbortSignal): Promise<ContainerStats[]>;
  /** Yields whenever a pod container changes state. Lost events are allowed: the agent also lists. */
  events(signal: AbortSignal): AsyncIterable<{ containerId: string; podUid: string }>;
}

export interface RegistryCredentials { username: string; password: string }

export interface ImageSummary {
  /** Digest of the image configuration. */
  id: Digest;
  references: string[];
  user: string;
  entrypoint: string[];
  command: string[];
  env: string[];
  workingDir: string;
}

export interface SandboxSpec {
  podUid: string;
  namespace: string;
  name: string;
  hostname: string;
  labels: Record<string, string>;
  /** The pod shares the host's network namespace. */
  hostNetwork: boolean;
  /** False: the pod has ids of its own, in a user namespace that all its containers share. */
  hostUsers: boolean;
  dns: { servers: string[]; searches: string[]; options: string[] };
  extraHosts: { ip: string; names: string[] }[];
  portMappings: { hostIp: string; hostPort: number; containerPort: number; protocol: 'tcp' | 'udp' }[];
  sysctls: Record<string, string>;
  /** Requests and limits of the whole pod, for its parent cgroup. `system` class jobs run below applications. */
  cgroup: { qos: 'Guaranteed' | 'Burstable' | 'BestEffort'; cpuShares?: number; cpuQuotaMicros?: number; memoryLimitBytes?: number; workload: 'application' | 'job' };
}

export interface Sandbox {
  id: string;
  podUid: string;
  namespace: string;
  name: string;
  /** Empty for host-network pods. */
  ip: string;
  createdAt: string;
}

export interface PodContainerSpec {
  sandboxId: string;
  podUid: string;
  name: string;
  /** Restart count, so that log files and ids of attempts differ. */
  attempt: number;
  imageId: Digest;
  imageReference: string;
  /** The final argv: image entrypoint and command are already merged in. */
  args: string[];
  env: { name: string; value: string }[];
  workingDir: string;
  /** `uid[:gid]` or names of the image; empty for the image's default. */
  user: string;
  supplementalGroups: number[];
  mounts: { hostPath: string; containerPath: string; isReadOnly: boolean; propagation: 'private' | 'rslave' | 'rshared' }[];
  tmpfs: { containerPath: string; sizeBytes?: number }[];
  stdin: boolean;
  /** Stdin closes when the first attached writer leaves. */
  stdinOnce: boolean;
  tty: boolean;
  resources: { cpuShares?: number; cpuQuotaMicros?: number; cpuPeriodMicros?: number; memoryLimitBytes?: number; pidsLimit?: number; oomScoreAdj?: number };
  security: {
    isPrivileged: boolean;
    isReadOnlyRoot: boolean;
    allowPrivilegeEscalation: boolean;
    addCapabilities: string[];
    dropCapabilities: string[];
    seccomp: 'default' | 'unconfined';
  };
  namespaces: { pid: { mode: 'private' | 'host' } | { mode: 'container'; id: string }; ipc: 'sandbox' | 'host' };
  labels: Record<string, string>;
  stopSignal?: string;
}

/** created → running → exited. */
export type PodContainerState = 'created' | 'running' | 'exited';

export interface PodContainer {
  id: string;
  sandboxId: string;
  podUid: string;
  name: string;
  attempt: number;
  imageId: Digest;
  imageReference: string;
  state: PodContainerState;
  createdAt: string;
  startedAt?: string;
  finishedAt?: string;
  exitCode?: number;
  isOomKilled?: boolean;
  /** Why the runtime could not start it. */
  message?: string;
  labels: Record<string, string>;
}

export interface ExecRequest {
  command: string[];
  stdin?: Readable;
  stdout?: Writable;
  /** Unused with a tty. */
  stderr?: Writable;
  tty: boolean;
  /** Terminal sizes as they change. */
  resizes?: AsyncIterable<{ width: number; height: number }>;
  env?: string[];
  workingDir?: string;
}

export interface ExecResult { exitCode: number }

export type AttachRequest = Pick<ExecRequest, 'stdin' | 'stdout' | 'stderr' | 'resizes'>;

export interface LogRequest {
  follow: boolean;
  /** RFC 3339. */
  since?: string;
  tailLines?: number;
}

export interface LogLine {
  /** RFC 3339 with nanoseconds. */
  time: string;
  stream: 'stdout' | 'stderr';
  /** Without the line end. `isPartial` when the line continues in the next record. */
  text: Buffer;
  isPartial: boolean;
}

export interface ContainerStats {
  containerId: string;
  podUid: string;
  name: string;
  /** RFC 3339, when it was read. */
  time: string;
  /** CPU time used since the start, in nanoseconds. */
  cpuNanoseconds: bigint;
  /** Memory in use without reclaimable page cache, in bytes. */
  workingSetBytes: number;
}

/** Lets the agent end a pod only after no new connection can reach it. */
export interface ServiceDrain {
  /** Resolves when no Service rule on this node sends new connections to the address. */
  drained(podIp: string, signal: AbortSignal): Promise<void>;
}

/** Docker sockets for pods, limited to what is made through them: CSI driver `docker.gantry.dev`. */
export interface PodSockets {
  /** The pod's socket; the same one when asked again. It may use what `limits` says, all its containers together. */
  open(podUid: string, limits: { memoryBytes?: number; cpuMilli?: number }, signal: AbortSignal): Promise<string>;
  /** Removes it with everything that was made through it; a no-op when there is none. */
  close(podUid: string, signal: AbortSignal): Promise<void>;
  /** Pods that have one. */
  podUids(): string[];
}
