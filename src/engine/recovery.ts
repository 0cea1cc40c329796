import { existsSync } from 'node:fs';
import type { Cgroups } from './cgroups/cgroups.ts';
import type { ContainerEntry } from './containers/container-entry.ts';
import type { ContainerIndex } from './containers/container-index.ts';
import type { ContainerLifecycle } from './containers/container-lifecycle.ts';
import type { ContainerStore } from './containers/container-store.ts';
import type { Launcher } from './containers/launcher.ts';
import { planRecovery } from './containers/recovery-plan.ts';
import type { NetworkManager } from './networks/network-manager.ts';
import type { EnginePaths } from './paths.ts';
import type { ExitFiles } from './runtime/exits.ts';
import { isMonitorAlive } from './runtime/monitor.ts';
import { execFifoPath } from './runtime/start.ts';
import type { SandboxManager } from './sandboxes/sandbox-manager.ts';
import { type EngineState, shortIdsOf, wantedOf } from './doctor/state.ts';
import { findStrayFiles, findStrayMonitors, removeStrayFile } from './doctor/strays.ts';
import { findDebris, planSweep, sweep, type SweepParts } from './doctor/sweep.ts';
import { findStrayVeths } from './doctor/veths.ts';
import { removeLink, signalProcess } from '../host/mod.ts';

export interface RecoveryParts {
  readonly launcher: Launcher;
  readonly lifecycle: ContainerLifecycle;
  readonly exits: ExitFiles;
  readonly cgroups: Cgroups;
  readonly networks: NetworkManager;
  readonly paths: EnginePaths;
}

/** Brings every container's record in line with what is found on the machine. */
export async function recoverContainers(index: ContainerIndex, { launcher, lifecycle, exits, cgroups, networks, paths }: RecoveryParts): Promise<void> {
  for (const entry of index.all()) {
    // Asked in this order: a monitor that ends in between has left its exit file.
    const isAlive = isMonitorAlive(entry.paths, entry.id);
    const action = planRecovery({
      recordedState: entry.status.state,
      exitCode: await exits.read(entry.id),
      isMonitorAlive: isAlive,
      isStarted: existsSync(`${paths.runtimeState}/${entry.id}`) && !existsSync(execFifoPath(paths.runtimeState, entry.id)),
      hasRunFolder: existsSync(entry.paths.run),
      processCount: cgroups.processes(launcher.cgroupPath(entry)).length,
    });
    if (action.kind === 'adopt') await adoptNetwork(networks, entry);
    await lifecycle.recover(entry, action);
  }
}

/** Takes up the ports and the name service of a container that runs on. */
async function adoptNetwork(networks: NetworkManager, { id, spec, status }: ContainerEntry): Promise<void> {
  const { network } = spec;
  if (network.mode !== 'bridge') return;
  const file = networks.namespaceFile(id.slice(0, 16));
  await networks.reconcile(file, status.endpoints);
  const gateways = networks.planGateways(status.endpoints, network.endpoints);
  const { ipv4, ipv6 } = gateways;
  networks.route(file, gateways);
  if (ipv4 !== undefined) await networks.publications.restore(id, status.ports, { ipv4: ipv4.ipv4Address, ipv6: ipv6?.ipv6?.address });
  await networks.serveNames(id, file, status.endpoints);
}

/** Containers of a pod whose sandbox is gone: their removal was cut short. */
export async function dropOrphans(index: ContainerIndex, sandboxes: SandboxManager, store: ContainerStore): Promise<void> {
  const known = new Set(sandboxes.list().map(({ id }) => id));
  for (const entry of index.all()) {
    if (entry.spec.owner.kind !== 'pod' || known.has(entry.spec.owner.sandboxId)) continue;
    index.remove(entry);
    await store.remove(entry.id);
  }
}

/** Removes what belongs to no container and no pod: of builds, of removals that a crash cut short, of records that are gone. */
export async function sweepLeftovers(parts: SweepParts, state: EngineState, signal: AbortSignal): Promise<void> {
  const { paths, cgroups, instanceId } = parts;
  for (const identity of findStrayMonitors(() => state, paths)) signalProcess(identity, 9);
  await sweep(parts, planSweep(findDebris(parts), wantedOf(state, paths, cgroups, instanceId)), signal);
  for (const name of await findStrayVeths(instanceId, paths, (shortId) => shortIdsOf(state).has(shortId))) await removeLink(name);
  for (const file of await findStrayFiles(() => state, paths)) await removeStrayFile(file);
}
