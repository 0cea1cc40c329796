import { rm } from 'node:fs/promises';
import type { Nftables } from '../host/mod.ts';
import { GantryError } from '../kernel/mod.ts';
import type { Cgroups } from './cgroups/cgroups.ts';
import type { ContainerIndex } from './containers/container-index.ts';
import type { ContainerLifecycle } from './containers/container-lifecycle.ts';
import type { ContainerStore } from './containers/container-store.ts';
import { connectContainer, disconnectContainer } from './containers/network-changes.ts';
import type { Containers, Engine, EngineFinding, EngineInfo, Networks, Sandboxes, Trees, Volumes } from './engine.ts';
import { examine } from './doctor/examine.ts';
import { realHost } from './doctor/host-checks.ts';
import type { EventLog } from './events/event-log.ts';
import type { HostFacts } from './host-facts.ts';
import type { NetworkManager } from './networks/network-manager.ts';
import type { EnginePaths } from './paths.ts';
import type { SandboxManager } from './sandboxes/sandbox-manager.ts';
import type { EngineState } from './doctor/state.ts';
import { findDebris, sweep } from './doctor/sweep.ts';
import type { TreeManager } from './trees/tree-manager.ts';
import type { VolumeManager } from './volumes/volume-manager.ts';

export interface LocalEngineParts {
  readonly instanceId: string;
  readonly hasUserNamespaces: boolean;
  readonly host: HostFacts;
  readonly paths: EnginePaths;
  readonly store: ContainerStore;
  readonly containers: Containers;
  readonly sandboxes: SandboxManager;
  readonly networks: NetworkManager;
  readonly volumes: VolumeManager;
  readonly trees: TreeManager;
  readonly events: EventLog;
  readonly lifecycle: ContainerLifecycle;
  readonly index: ContainerIndex;
  readonly cgroups: Cgroups;
  readonly nftables: Nftables;
  readonly resources: AsyncDisposableStack;
}

/** The engine's parts behind its face, with the rules that concern several of them. */
export class LocalEngine implements Engine {
  readonly info: EngineInfo;
  readonly containers: Containers;
  readonly sandboxes: Sandboxes;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly trees: Trees;
  readonly events: EventLog;
  readonly #parts: LocalEngineParts;

  constructor(parts: LocalEngineParts) {
    const { host, paths } = parts;
    this.#parts = parts;
    this.info = {
      instanceId: parts.instanceId,
      runtimeName: host.programs.name,
      runtimeVersion: host.programs.version,
      cgroupVersion: host.layout.version,
      rootFolder: paths.root,
      hasUserNamespaces: parts.hasUserNamespaces,
    };
    this.containers = parts.containers;
    this.sandboxes = sandboxFace(parts);
    this.networks = networkFace(parts);
    this.volumes = volumeFace(parts);
    this.trees = parts.trees;
    this.events = parts.events;
  }

  examine(isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
    const { index, sandboxes, networks, trees, instanceId, paths, cgroups, nftables } = this.#parts;
    const state = (): EngineState => ({ containers: index.all().map(({ record }) => record), sandboxes: sandboxes.known(), networks: networks.list(), builds: trees.inUse() });
    return examine({ sweep: { instanceId, paths, cgroups, nftables }, state, networks, host: realHost }, isRepaired, signal);
  }

  async purge(signal: AbortSignal): Promise<void> {
    // A closed engine knows no longer what runs.
    if (this.#parts.resources.disposed) throw new GantryError('conflict', 'the engine is closed');
    const { index, lifecycle, sandboxes, paths, cgroups, nftables, instanceId } = this.#parts;
    await Promise.allSettled(index.all().map((entry) => lifecycle.remove(entry, { force: true, removeVolumes: true }, signal)));
    for (const { id } of sandboxes.list()) await sandboxes.remove(id);
    await lifecycle.close();
    const parts = { instanceId, paths, cgroups, nftables };
    await sweep(parts, findDebris(parts), signal);
    cgroups.remove(cgroups.rootPath);
    await this.#parts.resources.disposeAsync();
    await rm(paths.run, { recursive: true, force: true });
    await rm(paths.root, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.lifecycle.close();
    await this.#parts.resources.disposeAsync();
  }
}

function sandboxFace({ sandboxes, index, lifecycle }: LocalEngineParts): Sandboxes {
  return {
    create: (spec) => sandboxes.create(spec),
    get: (id) => sandboxes.get(id),
    list: () => sandboxes.list(),
    remove: async (id, signal) => {
      const members = index.all().filter(({ spec }) => spec.owner.kind === 'pod' && spec.owner.sandboxId === id);
      await Promise.all(members.map((entry) => lifecycle.remove(entry, { force: true, removeVolumes: true }, signal)));
      await sandboxes.remove(id);
    },
    enterNetwork: (id, work) => sandboxes.enterNetwork(id, work),
  };
}

function networkFace({ networks, index, store, events }: LocalEngineParts): Networks {
  const usersOf = (networkId: string): string[] => index.all().filter(({ status }) => status.endpoints.some((endpoint) => endpoint.networkId === networkId)).map(({ spec }) => spec.name);
  return {
    create: (spec) => networks.create(spec),
    get: (idOrName) => networks.get(idOrName),
    list: () => networks.list(),
    remove: async (idOrName) => {
      const { id, spec } = networks.get(idOrName);
      const users = usersOf(id);
      if (users.length > 0) throw new GantryError('conflict', `error while removing network: network ${spec.name} id ${id} has active endpoints: ${users.join(', ')}`);
      await networks.remove(idOrName);
    },
    connect: (idOrName, containerId, endpoint) => connectContainer({ networks, store, events }, index.get(containerId), idOrName, endpoint),
    disconnect: (idOrName, containerId) => disconnectContainer({ networks, store, events }, index.get(containerId), idOrName),
  };
}

function volumeFace({ volumes, lifecycle, index }: LocalEngineParts): Volumes {
  return {
    create: (request) => volumes.create(request),
    get: (name) => volumes.get(name),
    list: () => volumes.list(),
    remove: async (name) => {
      if (lifecycle.isVolumeUsed(name)) {
        const users = index.all().filter(({ spec }) => spec.mounts.some((mount) => mount.type === 'volume' && mount.volume === name)).map(({ id }) => id);
        throw new GantryError('conflict', `remove ${name}: volume is in use - [${users.join(', ')}]`);
      }
      await volumes.remove(name);
    },
  };
}
