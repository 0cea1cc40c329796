import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, readTextIfExists } from '../../kernel/mod.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { firewallTable } from '../networks/firewall.ts';
import { linkPrefix } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import type { ContainerRecord, NetworkRecord, SandboxRecord } from '../types.ts';
import type { Wanted } from './sweep.ts';

/** What an engine knows: what of it may be on the machine follows from this. */
export interface EngineState {
  readonly containers: readonly ContainerRecord[];
  readonly sandboxes: readonly SandboxRecord[];
  readonly networks: readonly NetworkRecord[];
  /** Mounts and cgroups of builds that are going on. */
  readonly builds: { readonly mounts: readonly string[]; readonly cgroups: readonly string[]; readonly shortIds: readonly string[] };
}

/** The state as it is on disk, when no engine is open. Changes nothing. */
export async function readEngineState(paths: EnginePaths): Promise<EngineState> {
  const texts = async (folder: string, file: (name: string) => string): Promise<string[]> =>
    (await Promise.all((await namesIn(folder)).map((name) => readTextIfExists(file(name))))).filter((text) => text !== undefined);
  const containers = await texts(paths.containers, (id) => paths.container(id).record);
  const sandboxes = await texts(paths.sandboxes, (id) => join(paths.sandboxes, id, 'sandbox.json'));
  const networks = await texts(paths.networks, (name) => join(paths.networks, name));
  return {
    containers: containers.map((text) => (JSON.parse(text) as { record: ContainerRecord }).record),
    sandboxes: sandboxes.map((text) => (JSON.parse(text) as { record: SandboxRecord }).record),
    networks: networks.map((text) => JSON.parse(text) as NetworkRecord),
    builds: { mounts: [], cgroups: [], shortIds: [] },
  };
}

/** Names in a folder; none when there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}

/** Run folders and pins are named by the first digits of an id. */
export function shortIdsOf({ containers, sandboxes, builds }: EngineState): Set<string> {
  return new Set([...[...containers, ...sandboxes].map(({ id }) => id.slice(0, 16)), ...builds.shortIds]);
}

/** What containers, pods and builds own on the machine, running or not. Pure. */
export function wantedOf(state: EngineState, paths: EnginePaths, cgroups: Cgroups, instanceId: string): Wanted {
  const shortIds = [...shortIdsOf(state)];
  const folders = ['c', 's'].flatMap((kind) => shortIds.map((id) => `${paths.run}/${kind}/${id}`));
  const pins = shortIds.flatMap((id) => ['net', 'ipc', 'uts', 'user'].map((kind) => `${paths.namespaces}/${kind}-${id}`));
  const podPath = ({ spec }: SandboxRecord): string => cgroups.pathOf(spec.cgroup.workload, `pod${spec.podUid}`);
  const cgroupOf = ({ id, spec }: ContainerRecord): string[] => {
    const { owner } = spec;
    if (owner.kind !== 'pod') return [cgroups.containerPath(id, spec.scope?.id), ...(spec.scope === undefined ? [] : [cgroups.scopePath(spec.scope.id)])];
    return state.sandboxes.filter((sandbox) => sandbox.id === owner.sandboxId).map((sandbox) => `${podPath(sandbox)}/${id}`);
  };
  const table = firewallTable(instanceId);
  return {
    mounts: new Set([...folders, ...pins, ...state.builds.mounts]),
    links: new Set(state.networks.map(({ bridgeName }) => bridgeName)),
    tables: new Set([`ip ${table}`, ...(state.networks.some(({ ipv6 }) => ipv6 !== undefined) ? [`ip6 ${table}`] : [])]),
    cgroups: new Set([...state.sandboxes.map(podPath), ...state.containers.flatMap(cgroupOf), ...state.builds.cgroups]),
    isVeth: (name) => name.startsWith(`${linkPrefix(instanceId)}v`),
  };
}
