import { LinkTable, readSysctl, tablesWithPrefix } from '../host/mod.ts';
import type { ContainerIndex } from './containers/container-index.ts';
import type { EngineFinding } from './engine.ts';
import type { NetworkManager } from './networks/network-manager.ts';
import { wantedOf } from './recovery.ts';
import type { SandboxManager } from './sandboxes/sandbox-manager.ts';
import { type Debris, findDebris, planSweep, sweep, type SweepParts } from './sweep.ts';
import type { TreeManager } from './trees/tree-manager.ts';

export interface DoctorParts {
  readonly sweep: SweepParts;
  readonly index: ContainerIndex;
  readonly sandboxes: SandboxManager;
  readonly networks: NetworkManager;
  readonly trees: TreeManager;
}

/** Compares the machine with what the running engine knows; with `isRepaired` it removes what is too much and makes what is missing. */
export async function examine(parts: DoctorParts, isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
  const debris = findUnwanted(parts);
  const missing = findMissing(parts);
  if (isRepaired) {
    await sweep(parts.sweep, debris, signal);
    if (missing.length > 0) parts.networks.repair();
  }
  const unwanted = Object.entries(debris).flatMap(([kind, names]) => (names as readonly string[]).map((name) => ({ kind: kind.replace(/s$/, ''), name, problem: 'belongs to no container, pod or build' })));
  return [...unwanted, ...missing].map((finding) => ({ ...finding, isRepaired }));
}

function findUnwanted({ sweep: sweepParts, index, sandboxes, networks, trees }: DoctorParts): Debris {
  const wanted = wantedOf(index, sandboxes, networks, sweepParts);
  const builds = trees.inUse();
  return planSweep(findDebris(sweepParts), { ...wanted, mounts: new Set([...wanted.mounts, ...builds.mounts]), cgroups: new Set([...wanted.cgroups, ...builds.cgroups]) });
}

function findMissing({ networks, sweep: { nftables } }: DoctorParts): { kind: string; name: string; problem: string }[] {
  using links = LinkTable.open();
  const bridges = networks.list().map(({ bridgeName }) => bridgeName);
  const tables = tablesWithPrefix(nftables, networks.tableName).map(({ name }) => name);
  const settings = [['net.ipv4.ip_forward', '1'], ...bridges.map((name) => [`net.ipv4.conf.${name}.route_localnet`, '1'])] as const;
  return [
    ...bridges.filter((name) => links.find(name)?.isUp !== true).map((name) => ({ kind: 'link', name, problem: 'the bridge is missing or down' })),
    ...(tables.includes(networks.tableName) ? [] : [{ kind: 'table', name: networks.tableName, problem: 'the packet filter table is missing' }]),
    ...settings.filter(([name, value]) => name !== undefined && readSysctl(name) !== value).map(([name = '', value = '']) => ({ kind: 'sysctl', name, problem: `is not ${value}` })),
  ];
}
