import { mkdir } from 'node:fs/promises';
import { openNftables } from '../host/mod.ts';
import { GantryError, type Logger } from '../kernel/mod.ts';
import { Cgroups } from './cgroups/cgroups.ts';
import { ContainerEntry } from './containers/container-entry.ts';
import { ContainerIndex } from './containers/container-index.ts';
import { ContainerLifecycle } from './containers/container-lifecycle.ts';
import { ContainerStore } from './containers/container-store.ts';
import type { LaunchPeers } from './containers/launch-request.ts';
import { Launcher } from './containers/launcher.ts';
import { execInContainer } from './containers/container-exec.ts';
import { defaultIdRange, type UserNamespaceOptions } from './containers/id-ranges.ts';
import { HealthMonitor } from './containers/health-monitor.ts';
import { makeInitLayer } from './containers/rootfs.ts';
import { LocalContainers } from './containers/local-containers.ts';
import type { Engine } from './engine.ts';
import { EventLog } from './events/event-log.ts';
import { readHostFacts } from './host-facts.ts';
import { LocalEngine } from './local-engine.ts';
import { type RotatableLog, Periodic, rotateLogs } from './logs/rotation.ts';
import { ContainerNames } from './networks/container-names.ts';
import { NetworkManager, type NetworkOptions } from './networks/network-manager.ts';
import { EnginePaths } from './paths.ts';
import { dropOrphans, recoverContainers, sweepLeftovers } from './recovery.ts';
import { reopenLog } from './runtime/attach-input.ts';
import { ExitFiles } from './runtime/exits.ts';
import { SandboxManager } from './sandboxes/sandbox-manager.ts';
import { TreeManager } from './trees/tree-manager.ts';
import type { RootfsSource, UserNamespaceMode } from './types.ts';
import { VolumeManager } from './volumes/volume-manager.ts';

export interface EngineOptions extends NetworkOptions {
  /** Durable: records, writable layers, logs, volumes. On one file system with the image store. */
  readonly rootFolder: string;
  /** Gone after a reboot; at most 60 bytes long, for socket paths. */
  readonly runFolder: string;
  readonly images: RootfsSource;
  /** Default: user namespaces only for containers that ask for one, over a range of ids that nobody else uses. */
  readonly userNamespaces?: UserNamespaceOptions;
  /** Default: the best for the host's cgroup version. */
  readonly runtime?: 'runc' | 'crun';
  /** How often logs are looked at; one may exceed its limit by what is written meanwhile. Default 5000. */
  readonly logCheckIntervalMs?: number;
  readonly log: Logger;
}

/**
 * Opens the engine of an instance: reads what is on disk, finds out what runs, adopts it, and removes what is not wanted. Needs root.
 * `unavailable` names a program that is missing. Only one engine of an instance may be open at a time.
 */
export async function openEngine(options: EngineOptions, signal: AbortSignal): Promise<Engine> {
  if (process.getuid?.() !== 0) throw new GantryError('forbidden', 'the container engine needs root');
  if (Buffer.byteLength(options.runFolder) > 60) throw new GantryError('invalid', `the run folder ${options.runFolder} is longer than 60 bytes`);
  const { log, images, instanceId } = options;
  await using stack = new AsyncDisposableStack();
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  const host = await readHostFacts(options.runtime, log, signal);
  await mkdir(paths.run, { recursive: true, mode: 0o711 });
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  makeInitLayer(paths);
  const events = new EventLog();
  const userNamespaces = options.userNamespaces ?? { isDefault: false, range: defaultIdRange };
  const nftables = stack.use(openNftables());
  const cgroups = new Cgroups(host.layout, instanceId);
  cgroups.createSlices();
  const volumes = await VolumeManager.open(paths.volumes, events);
  const index = new ContainerIndex();
  const names = new ContainerNames(() => index.all().map(({ record }) => record), () => networks.list(), () => networks.hostDns());
  const networks = stack.use(await NetworkManager.open(options, paths, nftables, names, events, log));
  const idRangesInUse = (): UserNamespaceMode[] => [
    ...index.all().map(({ spec: { namespaces } }) => namespaces.user),
    ...sandboxes.known().flatMap(({ idRange }) => (idRange === undefined ? [] : [{ mode: 'remapped' as const, range: idRange }])),
  ];
  const sandboxes: SandboxManager = new SandboxManager(paths, networks, cgroups, events, idRangesInUse);
  const store = new ContainerStore(paths);
  const launcher = new Launcher({ host, paths, cgroups, networks, volumes, images, peers: peersOf(index, sandboxes), log });
  const exits = stack.use(
    await ExitFiles.open(paths.exits, (id) => {
      const entry = index.find(id);
      if (entry !== undefined) void lifecycle.observeEnd(entry, false);
    }),
  );
  const health = stack.use(new HealthMonitor({ exec: (entry, spec, stop) => execInContainer({ host, paths, cgroups, launcher }, entry, spec, stop), events, log }));
  const lifecycle = new ContainerLifecycle({ index, store, launcher, exits, cgroups, networks, volumes, images, events, health, userNamespaces, idRangesInUse, paths, log });
  const trees = new TreeManager({ host, paths, cgroups, networks });
  const records = await store.load();
  for (const record of records) index.add(new ContainerEntry(record, paths.container(record.id)));
  for (const { status } of records) networks.restore(status.endpoints);
  await sandboxes.load();
  await dropOrphans(index, sandboxes, store);
  const sweepParts = { instanceId, paths, cgroups, nftables };
  const state = { containers: index.all().map(({ record }) => record), sandboxes: sandboxes.list(), networks: networks.list(), builds: { mounts: [], cgroups: [], shortIds: [] } };
  await sweepLeftovers(sweepParts, state, signal);
  await trees.load();
  stack.use(images.addUsers({ usersOf: (imageId) => usersOf(index, imageId), layers: () => [] }));
  await recoverContainers(index, { launcher, lifecycle, exits, cgroups, networks, paths });
  networks.applyFirewall();
  stack.use(new Periodic(() => rotateLogs(index.all().filter(({ isRunning }) => isRunning).map(rotatableLog), log), options.logCheckIntervalMs ?? 5000));
  const containers = new LocalContainers({ host, paths, index, store, lifecycle, launcher, cgroups, events });
  const kept = stack.move();
  return new LocalEngine({ instanceId, hasUserNamespaces: userNamespaces.isDefault, host, paths, store, containers, sandboxes, networks, volumes, trees, events, lifecycle, index, cgroups, nftables, resources: kept });
}

function rotatableLog(entry: ContainerEntry): RotatableLog {
  return { folder: entry.paths.logs, ...entry.spec.log, reopen: () => reopenLog(entry.paths) };
}

function usersOf(index: ContainerIndex, imageId: string): { containerId: string; isRunning: boolean }[] {
  return index.all().filter(({ spec }) => spec.image.id === imageId).map(({ id, isRunning }) => ({ containerId: id, isRunning }));
}

function peersOf(index: ContainerIndex, sandboxes: SandboxManager): LaunchPeers {
  return {
    pidOf: (id) => {
      const { pid } = index.get(id).status;
      if (pid === undefined) throw new GantryError('conflict', `cannot join a namespace of a non running container: ${id}`);
      return pid;
    },
    find: (id) => index.find(id),
    etcFolderOf: (id) => index.get(id).paths.etc,
    shmOf: (id) => index.get(id).paths.shm,
    sandbox: (id) => sandboxes.partsOf(id),
    isNetworkShared: (id) => index.all().some(({ isRunning, spec: { network } }) => isRunning && network.mode === 'container' && network.containerId === id),
  };
}
