import type { Readable, Writable } from 'node:stream';
import type {
  ContainerRecord,
  ContainerSpec,
  ContainerUsage,
  EndpointSpec,
  EngineEvent,
  NetworkRecord,
  NetworkSpec,
  Resources,
  RestartPolicy,
  SandboxRecord,
  SandboxSpec,
  VolumeRecord,
} from './types.ts';

/** The container engine: what the Docker API, the node agent and the builder drive. Opened by `openEngine`. */
export interface Engine extends AsyncDisposable {
  readonly info: EngineInfo;
  readonly containers: Containers;
  readonly sandboxes: Sandboxes;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly trees: Trees;
  readonly events: Events;
  /** Compares the machine with what the engine knows of it. With `isRepaired` what is too much is removed and what is missing is made. */
  examine(isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]>;
  /** Stops all containers and removes everything of this instance from the machine, data included. The engine is unusable afterwards. `conflict` when it is closed. */
  purge(signal: AbortSignal): Promise<void>;
}

/**
 * Something on the machine that is not as it should be. `kind`: mount, namespace, link, veth, address, table, cgroup, sysctl, process, container-folder,
 * run-folder, runtime-state, exit-file, snapshot, socket, lock, port, program, disk, kernel. The last four can only be told.
 */
export interface EngineFinding {
  readonly kind: string;
  readonly name: string;
  readonly problem: string;
  readonly isRepaired: boolean;
}

export interface EngineInfo {
  readonly instanceId: string;
  readonly runtimeName: 'runc' | 'crun';
  readonly runtimeVersion: string;
  readonly cgroupVersion: 1 | 2;
  readonly rootFolder: string;
  /** Whether containers get a user namespace unless they say otherwise. */
  readonly hasUserNamespaces: boolean;
}

/** `idOrName`: full id, unique id prefix, or name. `not-found` when there is none; `conflict` when the state forbids the call. */
export interface Containers {
  /** `already-exists` when the name is taken, `not-found` for the image or a network. */
  create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerRecord>;
  get(idOrName: string): ContainerRecord;
  list(): readonly ContainerRecord[];
  /** Resolves once the process runs. A no-op when it already does. */
  start(idOrName: string, signal: AbortSignal): Promise<void>;
  /** The stop signal, then SIGKILL after the time (default: the spec's); resolves when it has exited. -1: never SIGKILL. */
  stop(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void>;
  restart(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void>;
  /** `killSignal`: name or number. */
  kill(idOrName: string, killSignal: string, signal: AbortSignal): Promise<void>;
  pause(idOrName: string, signal: AbortSignal): Promise<void>;
  unpause(idOrName: string, signal: AbortSignal): Promise<void>;
  rename(idOrName: string, name: string, signal: AbortSignal): Promise<void>;
  /** Changes limits (at once when it runs) and the restart policy; resolves to warnings. */
  update(idOrName: string, change: { resources?: Partial<Resources>; restart?: RestartPolicy }, signal: AbortSignal): Promise<string[]>;
  remove(idOrName: string, options: { force: boolean; removeVolumes: boolean }, signal: AbortSignal): Promise<void>;
  /** `next-exit` also waits for a start first; `removed` for the end of an auto-remove. Resolves to the exit code. */
  wait(idOrName: string, condition: 'not-running' | 'next-exit' | 'removed', signal: AbortSignal): Promise<{ exitCode: number; error?: string }>;

  logs(idOrName: string, request: LogQuery, signal: AbortSignal): AsyncIterable<LogRecord>;
  /** From now on; call before `start` to miss nothing. Output ends when the container exits. A slow reader loses nothing and stalls nobody: it reads the log file. */
  attach(idOrName: string, signal: AbortSignal): Promise<Attachment>;
  resize(idOrName: string, size: TerminalSize): Promise<void>;
  exec(idOrName: string, spec: ExecSpec, signal: AbortSignal): Promise<ExecSession>;

  top(idOrName: string, psArgs: readonly string[], signal: AbortSignal): Promise<{ titles: string[]; processes: string[][] }>;
  /** `conflict` when it does not run. */
  usage(idOrName: string, signal: AbortSignal): Promise<ContainerUsage>;
  usageOfAll(signal: AbortSignal): Promise<ContainerUsage[]>;
  /** Host path of the container's file system, mounted if it was not, for `work`'s time. Paths inside must be resolved within it. */
  withRootfs<T>(idOrName: string, work: (rootPath: string) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** The writable layer's folder, for diffs. Overlayfs format: whiteouts are 0:0 character devices. */
  writableFolder(idOrName: string): string;
}

export interface LogQuery {
  follow: boolean;
  /** RFC 3339. */
  since?: string;
  until?: string;
  tailLines?: number;
  stdout: boolean;
  stderr: boolean;
}

export interface LogRecord {
  /** RFC 3339 with nanoseconds. */
  time: string;
  stream: 'stdout' | 'stderr';
  /** Without the line end. */
  text: Buffer;
  /** The line goes on in the next record of the stream. */
  isPartial: boolean;
}

export interface Attachment extends AsyncDisposable {
  /** Bytes as written; with a tty everything is `stdout`. */
  readonly output: AsyncIterable<{ stream: 'stdout' | 'stderr'; data: Buffer }>;
  /** Undefined when the container has no stdin. Ending it half-closes. */
  readonly stdin: Writable | undefined;
}

export interface TerminalSize { width: number; height: number }

export interface ExecSpec {
  args: string[];
  env: string[];
  /** Empty: the container's. */
  workingDir: string;
  /** Empty: the container's. */
  user: string;
  tty: boolean;
  /** Whether stdin is fed; otherwise it reads end-of-file. */
  stdin: boolean;
  isPrivileged: boolean;
  size?: TerminalSize;
}

/** A running exec. With a tty all output is on `stdout`. */
export interface ExecSession {
  readonly pid: number | undefined;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  /** Resolves when the process has ended and all output was delivered. 126 not executable, 127 not found. */
  readonly exit: Promise<{ exitCode: number; error?: string }>;
  resize(size: TerminalSize): void;
  /** `SIGKILL` when the caller leaves; the process does not outlive its session. */
  kill(signalName: string): void;
}

export interface Sandboxes {
  /** Returns the existing one when the pod already has a sandbox. */
  create(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxRecord>;
  get(id: string): SandboxRecord;
  list(): readonly SandboxRecord[];
  /** Removes its containers too. A no-op when it is gone. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** Runs `work` on this thread inside the pod's network namespace, synchronously: for sockets that port-forward opens. */
  enterNetwork<T>(id: string, work: () => T): T;
}

export interface Networks {
  create(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkRecord>;
  get(idOrName: string): NetworkRecord;
  list(): readonly NetworkRecord[];
  /** `conflict` while containers use it; `forbidden` for the engine's own. */
  remove(idOrName: string, signal: AbortSignal): Promise<void>;
  connect(idOrName: string, containerId: string, endpoint: Omit<EndpointSpec, 'network'>, signal: AbortSignal): Promise<void>;
  disconnect(idOrName: string, containerId: string, options: { force: boolean }, signal: AbortSignal): Promise<void>;
}

export interface Volumes {
  /** Returns the existing one when the name is taken. */
  create(request: { name?: string; labels: Record<string, string>; options: Record<string, string>; scopeId?: string }, signal: AbortSignal): Promise<VolumeRecord>;
  get(name: string): VolumeRecord;
  list(): readonly VolumeRecord[];
  /** `conflict` while a container uses it. */
  remove(name: string, signal: AbortSignal): Promise<void>;
}

/** File trees and one-shot processes for the builder. */
export interface Trees {
  /** A writable overlay over layer folders, the lowest first (`ImageStore.layerFolders`). None: an empty tree. */
  open(layerFolders: readonly string[], signal: AbortSignal): Promise<Tree>;
  /** Runs one process to its end with default security. Output is stdout and stderr together. */
  run(tree: Tree, process: TreeProcess, signal: AbortSignal): Promise<{ exitCode: number; isOomKilled: boolean }>;
}

/** Disposing unmounts and deletes it. */
export interface Tree extends AsyncDisposable {
  readonly id: string;
  /** The merged view on the host. */
  readonly rootPath: string;
  /** The overlay's upper folder: what was changed. Complete after `unmount`. */
  readonly writableFolder: string;
  /** Ends the merged view; `writableFolder` stays, and may be taken away. */
  unmount(): Promise<void>;
}

export interface TreeProcess {
  args: string[];
  env: string[];
  workingDir: string;
  user: string;
  network: 'default' | 'none' | 'host';
  /** All capabilities, no seccomp, all devices, nothing masked. Default: less than a container has. */
  isPrivileged?: boolean;
  mounts: TreeMount[];
  output: Writable;
}

export type TreeMount =
  | { kind: 'bind'; hostPath: string; containerPath: string; isReadOnly: boolean }
  | { kind: 'tmpfs'; containerPath: string; sizeBytes?: number };

export interface Events {
  /** Events after the call, until the signal aborts; with `sinceNanos` also what is still kept (the last 1000). Ends with the signal. */
  subscribe(options: { sinceNanos?: bigint }, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** For parts of the engine layer that cause events themselves (images). */
  publish(event: Omit<EngineEvent, 'timeNanos'>): void;
}
