import { chownSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { realpath, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { commandLine, identifyProcess, mount, resolveInside, signalProcess } from '../../host/mod.ts';
import { errnoOf, GantryError, type Logger, pollUntil, readTextIfExists, throwIfAborted } from '../../kernel/mod.ts';
import { type BundleFacts, planBundle, serializeSpec } from '../bundle/bundle.ts';
import { planCapabilities } from '../bundle/capabilities.ts';
import { planDevices } from '../bundle/devices.ts';
import type { ResolvedMount } from '../bundle/mounts.ts';
import { planResources } from '../bundle/resources.ts';
import { planRlimits } from '../bundle/rlimits.ts';
import { hostSeccompTarget, parseSeccompProfile, toOciSeccomp } from '../bundle/seccomp.ts';
import { readUserDatabases, resolveUser } from '../bundle/user.ts';
import { type Cgroups, countOomKills } from '../cgroups/cgroups.ts';
import type { HostFacts } from '../host-facts.ts';
import { currentLogName } from '../logs/log-files.ts';
import { formatHosts, ownHosts } from '../networks/etc-files.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import { findInit, initTarget } from '../runtime/init-program.ts';
import { createMonitoredContainer, readMonitorPid } from '../runtime/monitor.ts';
import { startCreatedContainer } from '../runtime/start.ts';
import type { ContainerSpec, EndpointStatus, PortBinding, RootfsSource } from '../types.ts';
import { parseLocalOptions } from '../volumes/local-options.ts';
import { mountPart } from '../volumes/subpath.ts';
import type { VolumeManager } from '../volumes/volume-manager.ts';
import type { ContainerEntry } from './container-entry.ts';
import { Gate } from './gate.ts';
import { hostNames, planContainerDns, writeResolver } from './container-etc.ts';
import { checkRootfs } from './guarded-paths.ts';
import { etcMounts, type LaunchPeers, namespaceOf, type SandboxParts } from './launch-request.ts';
import { checkLinks, linkHosts, linkVariables, resolveLinks } from './links.ts';
import { IdMappedMounts, mountRootfs, removeRunFolder, unmountRootfs } from './rootfs.ts';
import { closeUserNamespace, type ContainerUserNamespace, openRunFolder, openUserNamespace } from './user-namespace.ts';

export interface LaunchParts {
  readonly host: HostFacts;
  readonly paths: EnginePaths;
  readonly cgroups: Cgroups;
  readonly networks: NetworkManager;
  readonly volumes: VolumeManager;
  readonly images: RootfsSource;
  readonly peers: LaunchPeers;
  readonly log: Logger;
}

/** A container whose process exists and waits to be let go. */
export interface LaunchedContainer {
  readonly pid: number;
  readonly endpoints: readonly EndpointStatus[];
  readonly ports: readonly PortBinding[];
  readonly warnings: readonly string[];
}

/** Turns a record into a process, and removes everything of a run again. It keeps no state: all of it is in records and on the host. */
export class Launcher {
  readonly #parts: LaunchParts;
  /** The runtime's start is computing: more at once would only make each take longer and hold this thread up. */
  readonly #gate = new Gate(Math.max(4, availableParallelism() * 2));

  constructor(parts: LaunchParts) {
    this.#parts = parts;
  }

  /** Root file system, network, bundle, monitor. On an error everything made is removed. */
  create(entry: ContainerEntry, signal: AbortSignal): Promise<LaunchedContainer> {
    return this.#gate.run(() => this.#create(entry, signal));
  }

  async #create(entry: ContainerEntry, signal: AbortSignal): Promise<LaunchedContainer> {
    throwIfAborted(signal);
    // Parts of volumes: unmounted once the runtime has its own mounts of them.
    using parts = new DisposableStack();
    const { spec, paths } = entry;
    checkLinks(entry, (id) => this.#parts.peers.find(id));
    let endpoints: EndpointStatus[] = [];
    let ports: PortBinding[] = [];
    try {
      mkdirSync(paths.run, { recursive: true, mode: 0o700 });
      if (spec.scope !== undefined) this.#parts.cgroups.createParent(this.#parts.cgroups.scopePath(spec.scope.id), spec.scope);
      const sandbox = spec.owner.kind === 'pod' ? this.#parts.peers.sandbox(spec.owner.sandboxId) : undefined;
      const userNamespace = await this.#openUserNamespace(entry, sandbox, signal);
      await this.mountRootfs(entry, signal, userNamespace);
      const network = this.#connect(entry, sandbox, userNamespace);
      endpoints = network.endpoints;
      if (spec.network.mode === 'bridge') await this.#parts.networks.serveNames(entry.id, this.#parts.networks.namespaceFile(entry.id.slice(0, 16)), endpoints);
      ports = await this.#publish(entry, endpoints);
      using volumes = userNamespace === undefined ? undefined : new IdMappedMounts(paths, userNamespace.file);
      const { facts, warnings } = await this.#facts(entry, sandbox, network.source, endpoints, userNamespace, volumes, parts);
      await writeFile(join(paths.bundle, 'config.json'), serializeSpec(planBundle({ ...spec, env: [...this.linkVariables(entry, endpoints), ...spec.env] }, facts)), { mode: 0o600 });
      writeFileSync(paths.logStartFile, String(sizeOf(join(paths.logs, currentLogName))));
      const pid = await createMonitoredContainer(
        this.#parts.host.programs,
        this.#parts.paths,
        { id: entry.id, paths, logFile: join(paths.logs, currentLogName), tty: spec.tty, stdin: spec.stdin, keepStdinOpen: !spec.stdinOnce || spec.tty },
        signal,
      );
      return { pid, endpoints, ports, warnings };
    } catch (error) {
      await this.cleanUp(entry, endpoints);
      throw error;
    }
  }

  /** What a container with these endpoints is told of those it links to, for each of its processes. */
  linkVariables(entry: ContainerEntry, endpoints: readonly EndpointStatus[]): string[] {
    return resolveLinks(entry, endpoints, (id) => this.#parts.peers.find(id)).flatMap((linked) => linkVariables(entry.spec.name, linked));
  }

  /** Lets the created process run. */
  async letGo(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
    await startCreatedContainer(this.#parts.host.programs, this.#parts.paths.runtimeState, entry.id, signal);
  }

  /**
   * Undoes a start that was cut short. Its log goes back to where it was: nothing in it is the program's, which never ran, but the runtime may
   * have complained there that nobody let it go.
   */
  async undo(entry: ContainerEntry, endpoints: readonly EndpointStatus[]): Promise<void> {
    const log = join(entry.paths.logs, currentLogName);
    const text = await readTextIfExists(entry.paths.logStartFile);
    await this.cleanUp(entry, endpoints);
    if (text !== undefined && /^\d+$/.test(text) && sizeOf(log) > Number(text)) await truncate(log, Number(text));
  }

  /** Mounts the root file system; a no-op when it is mounted. */
  async mountRootfs(entry: ContainerEntry, signal: AbortSignal, userNamespace?: ContainerUserNamespace): Promise<void> {
    const { layerFolders } = await this.#parts.images.openRootfs(entry.spec.image.id, signal);
    await unmountRootfs(entry.paths);
    mountRootfs(this.#parts.paths, entry.paths, layerFolders, entry.spec.autoRemove, userNamespace);
  }

  async #openUserNamespace(entry: ContainerEntry, sandbox: SandboxParts | undefined, signal: AbortSignal): Promise<ContainerUserNamespace | undefined> {
    const { paths, peers, networks } = this.#parts;
    const ofPod = sandbox?.userNamespace;
    if (ofPod !== undefined && entry.spec.security.isPrivileged) throw new GantryError('invalid', 'privileged mode is incompatible with user namespaces');
    const found = ofPod !== undefined ? { ...ofPod, networkFile: undefined } : await openUserNamespace(paths, entry, networks.namespaceFile(entry.id.slice(0, 16)), (id) => peers.pidOf(id), signal);
    if (found === undefined) return undefined;
    openRunFolder(entry.paths.run, found.range);
    await this.#copyUpFirst(entry, signal);
    return found;
  }

  /** Volumes are filled from a tree whose ids are those on disk, so before the root file system is mounted with others. */
  async #copyUpFirst(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
    const wanted = entry.spec.mounts.filter((mount) => mount.type === 'volume').filter(({ copyUp, subpath }) => copyUp && subpath === undefined);
    if (wanted.length === 0) return;
    await this.mountRootfs(entry, signal);
    for (const { volume, target } of wanted) await this.#copyUp((await this.#volumeFolder(volume)).folder, resolveInside(entry.paths.rootfs, target));
    await unmountRootfs(entry.paths);
  }

  cgroupPath(entry: ContainerEntry): string {
    const { owner } = entry.spec;
    if (owner.kind === 'pod') return `${this.#parts.peers.sandbox(owner.sandboxId).cgroupPath}/${entry.id}`;
    return this.#parts.cgroups.containerPath(entry.id, entry.spec.scope?.id);
  }

  /** Whether the kernel ended a process of this run for want of memory. Asked before `cleanUp`. */
  wasOomKilled(entry: ContainerEntry): boolean {
    return existsSync(entry.paths.oomFile) || countOomKills(this.#parts.cgroups.layout, this.cgroupPath(entry)) > 0;
  }

  /** Removes everything of a run from the machine: processes, ports, namespaces, mounts, cgroups. Idempotent; goes on after a failure. `recorded`: when it has been written down how the run ended; until then the exit file is the only one to know. */
  async cleanUp(entry: ContainerEntry, endpoints: readonly EndpointStatus[], recorded: Promise<void> = Promise.resolve()): Promise<void> {
    const { cgroups, networks, paths, log } = this.#parts;
    const attempt = async (what: string, work: () => unknown): Promise<void> => {
      try {
        await work();
      } catch (error) {
        log.warn('cleaning up after a container failed', { container: entry.id, what, err: error });
      }
    };
    const cgroupPath = this.cgroupPath(entry);
    entry.monitor?.[Symbol.dispose]();
    entry.monitor = undefined;
    await attempt('monitor', () => endMonitor(entry));
    await attempt('processes', () => cgroups.kill(cgroupPath, AbortSignal.timeout(10_000)));
    await attempt('ports', () => networks.publications.unpublish(entry.id));
    await attempt('names', () => networks.stopNames(entry.id));
    await attempt('network', () => this.#leaveNetwork(entry, endpoints));
    await attempt('user namespace', () => closeUserNamespace(paths, entry.id));
    await attempt('rootfs', () => unmountRootfs(entry.paths));
    await attempt('runtime state', () => rmSync(join(paths.runtimeState, entry.id), { recursive: true, force: true }));
    await attempt('exit file', async () => {
      await recorded;
      await rm(join(paths.exits, entry.id), { force: true });
    });
    await attempt('cgroup', () => pollUntil('the cgroup to empty', () => cgroups.remove(cgroupPath) || undefined, { timeoutMs: 5000, intervalMs: 1 }, AbortSignal.timeout(10_000)));
    // The last: as long as it is there, something of a run may be left (recovery-plan.ts).
    await attempt('run folder', () => removeRunFolder(entry.paths));
  }

  /** Others may live in the namespace (`container:ID`): they keep it without its interfaces, and get new ones when this container starts again. */
  async #leaveNetwork(entry: ContainerEntry, endpoints: readonly EndpointStatus[]): Promise<void> {
    const { networks, peers } = this.#parts;
    const name = entry.id.slice(0, 16);
    if (!peers.isNetworkShared(entry.id)) {
      networks.removeNamespace(name);
      return networks.release(endpoints);
    }
    for (const endpoint of endpoints) await networks.disconnect(networks.namespaceFile(name), endpoint);
  }

  #connect(entry: ContainerEntry, sandbox: SandboxParts | undefined, userNamespace: ContainerUserNamespace | undefined): { source: BundleFacts['namespaces']['network']; endpoints: EndpointStatus[] } {
    const { network } = entry.spec;
    const { networks, peers } = this.#parts;
    switch (network.mode) {
      case 'host':
        return { source: { kind: 'host' }, endpoints: [] };
      case 'container':
        return { source: namespaceOf(peers.pidOf(network.containerId), 'net'), endpoints: [] };
      case 'sandbox':
        if (sandbox === undefined) throw new GantryError('invalid', 'only containers of a pod can share its network');
        return { source: sandbox.namespaces.network, endpoints: [] };
      case 'none':
        return { source: { kind: 'new' }, endpoints: [] };
      case 'bridge': {
        const name = entry.id.slice(0, 16);
        const file = userNamespace?.networkFile === undefined ? networks.createNamespace(name, peers.isNetworkShared(entry.id)) : networks.adoptNamespace(name);
        const endpoints: EndpointStatus[] = [];
        try {
          const isOnly = network.endpoints.length === 1;
          for (const endpoint of network.endpoints) endpoints.push(networks.connect(file, endpoint, networks.nextInterfaceName(endpoint.network, endpoints), isOnly));
          if (!isOnly) networks.route(file, networks.planGateways(endpoints, network.endpoints));
        } catch (error) {
          networks.release(endpoints);
          throw error;
        }
        return { source: { kind: 'join', path: file }, endpoints };
      }
    }
  }

  async #publish({ id, spec }: ContainerEntry, endpoints: readonly EndpointStatus[]): Promise<PortBinding[]> {
    const { networks } = this.#parts;
    return spec.network.mode === 'bridge' ? networks.publish(id, spec.ports, networks.planGateways(endpoints, spec.network.endpoints)) : [];
  }

  async #facts(
    entry: ContainerEntry,
    sandbox: SandboxParts | undefined,
    network: BundleFacts['namespaces']['network'],
    endpoints: readonly EndpointStatus[],
    userNamespace: ContainerUserNamespace | undefined,
    volumes: IdMappedMounts | undefined,
    parts: DisposableStack,
  ): Promise<{ facts: BundleFacts; warnings: string[] }> {
    const { host, cgroups } = this.#parts;
    const { spec, paths } = entry;
    const bounding = planCapabilities(spec.security);
    const capabilities = bounding.filter((name) => host.capabilities.has(name));
    const rlimits = planRlimits(spec.resources.ulimits ?? [], host.limits);
    const resources = planResources(spec.resources, cgroups.layout.support);
    const user = resolveUser(spec.user, spec.supplementalGroups, readUserDatabases(paths.rootfs));
    const hostname = sandbox?.hostname ?? (spec.hostname === '' ? entry.id.slice(0, 12) : spec.hostname);
    const etcFolder = this.#writeEtcFiles(entry, sandbox, hostname, endpoints);
    if (userNamespace !== undefined && etcFolder === paths.etc) giveAway(etcFolder, userNamespace.range.firstId);
    const mounts = await this.#resolveMounts(entry, volumes, parts);
    if (spec.init) mounts.push({ type: 'bind', source: await realpath(await findInit()), target: initTarget, isReadOnly: true, propagation: 'rprivate', isRecursive: false });
    checkRootfs(paths.rootfs, mounts, spec.workingDir);
    const taken = new Set(mounts.map(({ target }) => target));
    const oom = planOomScoreAdj(spec.resources.oomScoreAdj, host);
    const ipc = this.#ipc(entry, sandbox);
    const pid = spec.namespaces.pid;
    return {
      facts: {
        containerId: entry.id,
        rootfsPath: paths.rootfs,
        cgroupVersion: host.layout.version,
        cgroupPath: this.cgroupPath(entry),
        hostname,
        user,
        capabilities,
        seccomp: this.#seccomp(spec, capabilities, paths.rootfs),
        rlimits: rlimits.rlimits,
        resources: resources.resources,
        devices: planDevices(spec.devices, spec.security.isPrivileged, spec.deviceRules),
        mounts: [...mounts, ...etcMounts(etcFolder, taken)],
        namespaces: {
          network,
          ipc: ipc.source,
          uts: spec.namespaces.uts.mode === 'host' ? { kind: 'host' } : (sandbox?.namespaces.uts ?? { kind: 'new' }),
          pid: pid.mode === 'container' ? namespaceOf(this.#parts.peers.pidOf(pid.containerId), 'pid') : { kind: pid.mode === 'host' ? 'host' : 'new' },
          cgroup: { kind: spec.namespaces.cgroup.mode === 'host' ? 'host' : 'new' },
        },
        sharedShmPath: ipc.shmPath,
        oomScoreAdj: oom.value,
        userNamespace,
      },
      warnings: [...rlimits.warnings, ...resources.warnings, ...oom.warnings],
    };
  }

  #ipc(entry: ContainerEntry, sandbox: SandboxParts | undefined): { source: BundleFacts['namespaces']['ipc']; shmPath: string | undefined } {
    const { ipc } = entry.spec.namespaces;
    switch (ipc.mode) {
      case 'host':
        return { source: { kind: 'host' }, shmPath: '/dev/shm' };
      case 'private':
        return { source: { kind: 'new' }, shmPath: undefined };
      case 'shareable':
        mkdirSync(entry.paths.shm, { recursive: true });
        mount('shm', entry.paths.shm, 'tmpfs', 2 | 4 | 8, `mode=1777,size=${entry.spec.shmSizeBytes}`);
        return { source: { kind: 'new' }, shmPath: entry.paths.shm };
      case 'container':
        return { source: namespaceOf(this.#parts.peers.pidOf(ipc.containerId), 'ipc'), shmPath: this.#parts.peers.shmOf(ipc.containerId) };
      case 'sandbox':
        if (sandbox === undefined) throw new GantryError('invalid', 'only containers of a pod can share its IPC namespace');
        return { source: sandbox.namespaces.ipc, shmPath: sandbox.shmPath };
    }
  }

  #seccomp(spec: ContainerSpec, capabilities: readonly string[], rootfsPath: string): BundleFacts['seccomp'] {
    const { seccomp, isPrivileged } = spec.security;
    if (isPrivileged || seccomp.kind === 'unconfined') return undefined;
    const profile = seccomp.kind === 'custom' ? parseSeccompProfile(seccomp.profile) : this.#parts.host.seccomp;
    return toOciSeccomp(profile, hostSeccompTarget(capabilities, rootfsPath));
  }

  #writeEtcFiles(entry: ContainerEntry, sandbox: SandboxParts | undefined, hostname: string, endpoints: readonly EndpointStatus[]): string {
    const { spec, paths } = entry;
    if (sandbox !== undefined) return sandbox.etcFolder;
    if (spec.network.mode === 'container') return this.#parts.peers.etcFolderOf(spec.network.containerId);
    mkdirSync(paths.etc, { recursive: true });
    const names = hostNames(hostname, spec.domainname);
    const extra = spec.extraHosts.map(({ ip, names: extraNames }) => ({ ip: ip === 'host-gateway' ? this.#parts.networks.get('bridge').gateway : ip, names: extraNames }));
    const linked = resolveLinks(entry, endpoints, (id) => this.#parts.peers.find(id)).map(linkHosts);
    const isHost = spec.network.mode === 'host';
    if (isHost && extra.length === 0) copyFileSync('/etc/hosts', join(paths.etc, 'hosts'));
    else writeFileSync(join(paths.etc, 'hosts'), formatHosts(ownHosts(endpoints, names), [...extra, ...linked]));
    writeFileSync(join(paths.etc, 'hostname'), `${hostname}\n`);
    writeResolver(paths.etc, planContainerDns(spec, this.#parts.networks.hasNames(endpoints), this.#parts.networks.hostDns()));
    return paths.etc;
  }

  async #resolveMounts({ spec, spec: { owner }, paths }: ContainerEntry, mapped: IdMappedMounts | undefined, parts: DisposableStack): Promise<ResolvedMount[]> {
    const resolved: ResolvedMount[] = [];
    for (const wanted of spec.mounts) {
      if (wanted.type === 'tmpfs') resolved.push(wanted);
      else if (wanted.type === 'bind') {
        const source = await bindSource(wanted.source, wanted.createSource);
        // Folders of pods are volumes, as in Kubernetes; a host's folder that is bound into a container keeps its owners, as in Docker.
        resolved.push({ ...wanted, source: owner.kind === 'pod' ? (mapped?.mount(source) ?? source) : source });
      }
      else {
        const { folder, bound } = await this.#volumeFolder(wanted.volume);
        if (wanted.copyUp && wanted.subpath === undefined && mapped === undefined) await this.#copyUp(folder, resolveInside(paths.rootfs, wanted.target));
        const whole = wanted.subpath === undefined ? folder : parts.use(mountPart(folder, wanted.subpath, join(paths.parts, String(resolved.length)))).path;
        // A folder of the host keeps its owners, as a bind does.
        const source = bound === undefined ? (mapped?.mount(whole) ?? whole) : whole;
        resolved.push({ type: 'bind', source, target: wanted.target, isReadOnly: wanted.isReadOnly || bound?.isReadOnly === true, propagation: 'rprivate', isRecursive: true });
      }
    }
    return resolved;
  }

  /** Where a volume's data are, made when it is not there: a folder of its own, or the host's that its options bind. */
  async #volumeFolder(name: string) {
    const volume = await this.#parts.volumes.create({ name, labels: {}, options: {} });
    const bound = parseLocalOptions(volume.options);
    return { bound, folder: bound === undefined ? volume.mountpoint : await bindSource(bound.device, false) };
  }

  async #copyUp(volumeFolder: string, source: string): Promise<void> {
    const isFolder = await stat(source).then((found) => found.isDirectory(), () => false);
    if (isFolder) await this.#parts.volumes.copyUp(volumeFolder, source);
  }
}

/** The files that the engine writes for a container are its root's own, so that it can change them. */
function giveAway(folder: string, id: number): void {
  for (const name of readdirSync(folder)) chownSync(join(folder, name), id, id);
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Ends the monitor of a run that is given up. The pid file may be old, so the process must carry the container's id. */
function endMonitor(entry: ContainerEntry): void {
  const pid = readMonitorPid(entry.paths);
  if (pid === undefined) return;
  const identity = identifyProcess(pid);
  if (identity !== undefined && commandLine(pid).includes(entry.id)) signalProcess(identity, 9);
}

/** The host folder or file of a bind mount. `invalid` when it does not exist and must not be made. */
async function bindSource(source: string, isCreated: boolean): Promise<string> {
  try {
    await stat(source);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    if (!isCreated) throw new GantryError('invalid', `invalid mount config for type "bind": bind source path does not exist: ${source}`, { cause: error });
    mkdirSync(source, { recursive: true, mode: 0o755 });
  }
  return source;
}

/** Without CAP_SYS_RESOURCE a process cannot be made less likely to be killed than its parent (proc_pid_oom_score_adj(5)). */
function planOomScoreAdj(wanted: number | undefined, host: HostFacts): { value: number | undefined; warnings: string[] } {
  if (wanted === undefined || host.limits.canRaise || wanted >= host.ownOomScoreAdj) return { value: wanted, warnings: [] };
  return { value: host.ownOomScoreAdj, warnings: [`the OOM score is limited to ${host.ownOomScoreAdj}: the host does not let it be lowered`] };
}
