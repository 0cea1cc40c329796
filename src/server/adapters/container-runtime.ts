import type { Digest } from '../../api/mod.ts';
import type { ContainerRuntime, ImageSummary, PodContainer, PodContainerSpec, Sandbox } from '../../cluster/node/mod.ts';
import type { ContainerRecord, ContainerSpec, Engine, Image, ImageStore, SandboxRecord } from '../../engine/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { pipeToExec } from './exec-streams.ts';
import { dialInSandbox } from './sandbox-dial.ts';

/** Actions of engine events after which a pod looks different. Execs are not among them: probes would wake everybody. */
const stateActions = new Set(['create', 'start', 'die', 'oom', 'pause', 'unpause', 'destroy']);

/** How long a container that was not told otherwise keeps its output. */
const logOptions = { maxSizeBytes: 10 << 20, maxFiles: 3 };
const shmSizeBytes = 64 << 20;

/** The node agent's ContainerRuntime over our engine. */
export function createContainerRuntime(engine: Engine, images: ImageStore): ContainerRuntime {
  const { containers, sandboxes } = engine;
  const podContainers = (): ContainerRecord[] => containers.list().filter(({ spec }) => spec.owner.kind === 'pod');
  return {
    pullImage: async (reference, credentials, signal) => {
      const image = await images.pull(reference, { policy: 'always', ...(credentials === undefined ? {} : { credentials }) }, signal);
      return toSummary(image);
    },
    imageOf: async (reference) => {
      const image = images.find(reference);
      return image === undefined ? undefined : toSummary(image);
    },

    createSandbox: async ({ portMappings, cgroup: { qos: _qos, ...cgroup }, ...spec }, signal) => {
      const ports = portMappings.map(({ hostIp, ...port }) => ({ ...port, hostIp }));
      return toSandbox(await sandboxes.create({ ...spec, ports, cgroup }, signal));
    },
    listSandboxes: async () => sandboxes.list().map(toSandbox),
    removeSandbox: (id, signal) => sandboxes.remove(id, signal),

    createContainer: async (spec, signal) => (await containers.create(toContainerSpec(spec, images.get(spec.imageId)), signal)).id,
    startContainer: (id, signal) => containers.start(id, signal),
    stopContainer: (id, gracePeriodSeconds, signal) => containers.stop(id, { timeoutSeconds: gracePeriodSeconds }, signal),
    removeContainer: (id, signal) => containers.remove(id, { force: true, removeVolumes: true }, signal),
    listContainers: async () => podContainers().map(toPodContainer),

    exec: async (id, request, signal) => {
      const session = await containers.exec(
        id,
        { args: request.command, env: request.env ?? [], workingDir: request.workingDir ?? '', user: '', tty: request.tty, stdin: request.stdin !== undefined, isPrivileged: false },
        signal,
      );
      return pipeToExec(session, request, signal);
    },
    attach: async (id, request, signal) => {
      await using attachment = await containers.attach(id, signal);
      // A container that ended takes no more input; that it ended is seen at its output.
      attachment.stdin?.on('error', () => undefined);
      if (attachment.stdin !== undefined) request.stdin?.pipe(attachment.stdin);
      void followSizes(request.resizes, (size) => containers.resize(id, size));
      for await (const { stream, data } of attachment.output) {
        const output = request[stream];
        if (output !== undefined && !output.write(data)) await new Promise((resolve) => output.once('drain', resolve));
      }
    },
    dial: (sandboxId, port, signal) => dialInSandbox(engine, sandboxId, port, signal),
    logs: (id, { follow, since, tailLines }, signal) => containers.logs(id, { follow, stdout: true, stderr: true, ...(since === undefined ? {} : { since }), ...(tailLines === undefined ? {} : { tailLines }) }, signal),
    stats: async (signal) => {
      const owners = new Map(podContainers().map(({ id, spec }) => [id, spec.owner]));
      return (await containers.usageOfAll(signal)).flatMap((usage) => {
        const owner = owners.get(usage.containerId);
        if (owner?.kind !== 'pod') return [];
        const workingSetBytes = Math.max(0, usage.memoryBytes - usage.inactiveFileBytes);
        return [{ containerId: usage.containerId, podUid: owner.podUid, name: owner.containerName, time: usage.time, cpuNanoseconds: usage.cpuNanoseconds, workingSetBytes }];
      });
    },
    events: async function* (signal) {
      for await (const { type, action, id, attributes } of engine.events.subscribe({}, signal)) {
        const podUid = attributes[podUidLabel];
        if (type === 'container' && podUid !== undefined && stateActions.has(action)) yield { containerId: id, podUid };
      }
    },
  };
}

const podUidLabel = 'io.kubernetes.pod.uid';

async function followSizes(sizes: AsyncIterable<{ width: number; height: number }> | undefined, apply: (size: { width: number; height: number }) => Promise<void> | void): Promise<void> {
  if (sizes === undefined) return;
  // A container that ended in between has no terminal to resize.
  for await (const size of sizes) await Promise.resolve(apply(size)).catch(() => undefined);
}

function toSummary(image: Image): ImageSummary {
  const { User = '', Entrypoint, Cmd, Env, WorkingDir = '' } = image.config.config ?? {};
  return { id: image.id, references: [...image.references], user: User, entrypoint: Entrypoint ?? [], command: Cmd ?? [], env: Env ?? [], workingDir: WorkingDir };
}

function toSandbox({ id, spec, endpoint, createdAt }: SandboxRecord): Sandbox {
  return { id, podUid: spec.podUid, namespace: spec.namespace, name: spec.name, ip: endpoint?.ipv4Address ?? '', createdAt };
}

function toPodContainer({ id, spec, status }: ContainerRecord): PodContainer {
  if (spec.owner.kind !== 'pod') throw new GantryError('internal', `container ${id} belongs to no pod`);
  const { sandboxId, podUid, containerName, attempt } = spec.owner;
  const isRunning = status.state === 'running' || status.state === 'paused';
  // A start that failed leaves an engine container as it was made; for the pod it is over.
  const hasFailed = status.state === 'created' && status.error !== undefined;
  return {
    id,
    sandboxId,
    podUid,
    name: containerName,
    attempt,
    imageId: spec.image.id,
    imageReference: spec.image.reference,
    state: isRunning ? 'running' : status.state === 'created' && !hasFailed ? 'created' : 'exited',
    createdAt: status.createdAt,
    ...(status.startedAt === undefined ? {} : { startedAt: status.startedAt }),
    ...(status.finishedAt === undefined ? {} : { finishedAt: status.finishedAt }),
    ...(status.exitCode === undefined ? (hasFailed ? { exitCode: 128 } : {}) : { exitCode: status.exitCode }),
    isOomKilled: status.isOomKilled,
    ...(status.error === undefined ? {} : { message: status.error }),
    labels: spec.labels,
  };
}

/** A pod's container as the engine's: what pods cannot say has the engine's defaults. */
function toContainerSpec(pod: PodContainerSpec, image: Image): ContainerSpec {
  const imageId: Digest = pod.imageId;
  return {
    name: `k8s_${pod.name}_${pod.podUid}_${pod.attempt}`,
    owner: { kind: 'pod', sandboxId: pod.sandboxId, podUid: pod.podUid, containerName: pod.name, attempt: pod.attempt },
    image: { id: imageId, reference: pod.imageReference },
    args: pod.args,
    env: pod.env.map(({ name, value }) => `${name}=${value}`),
    workingDir: pod.workingDir === '' ? '/' : pod.workingDir,
    user: pod.user,
    supplementalGroups: pod.supplementalGroups.map(String),
    hostname: '',
    tty: pod.tty,
    stdin: pod.stdin,
    stdinOnce: pod.stdinOnce,
    stopSignal: pod.stopSignal ?? image.config.config?.StopSignal ?? 'SIGTERM',
    stopTimeoutSeconds: 30,
    labels: pod.labels,
    annotations: {},
    mounts: [
      ...pod.mounts.map(({ hostPath, containerPath, isReadOnly, propagation }) => ({ type: 'bind' as const, source: hostPath, target: containerPath, isReadOnly, propagation, isRecursive: true, createSource: false })),
      ...pod.tmpfs.map(({ containerPath, sizeBytes }) => ({ type: 'tmpfs' as const, target: containerPath, isReadOnly: false, options: [], ...(sizeBytes === undefined ? {} : { sizeBytes }) })),
    ],
    devices: [],
    resources: pod.resources,
    security: {
      isPrivileged: pod.security.isPrivileged,
      isReadOnlyRoot: pod.security.isReadOnlyRoot,
      noNewPrivileges: !pod.security.allowPrivilegeEscalation,
      addCapabilities: pod.security.addCapabilities,
      dropCapabilities: pod.security.dropCapabilities,
      seccomp: { kind: pod.security.seccomp },
    },
    namespaces: {
      ipc: { mode: pod.namespaces.ipc },
      pid: pod.namespaces.pid.mode === 'container' ? { mode: 'container', containerId: pod.namespaces.pid.id as ContainerRecord['id'] } : { mode: pod.namespaces.pid.mode },
      uts: { mode: 'sandbox' },
      cgroup: { mode: 'private' },
      user: { mode: 'host' },
    },
    network: { mode: 'sandbox' },
    ports: [],
    extraHosts: [],
    dns: { servers: [], searches: [], options: [] },
    sysctls: {},
    restart: { name: 'no' },
    autoRemove: false,
    init: false,
    shmSizeBytes,
    log: logOptions,
  };
}
