import { mkdirSync } from 'node:fs';
import { LinkTable, openNftables, readSysctl, removeLink, signalProcess, tablesWithPrefix } from '../../host/mod.ts';
import { Cgroups } from '../cgroups/cgroups.ts';
import { readCgroupLayout } from '../cgroups/layout.ts';
import type { EngineFinding } from '../engine.ts';
import { bridgeSettings, hostSettings } from '../networks/bridges.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import { EnginePaths } from '../paths.ts';
import type { NetworkRecord } from '../types.ts';
import { checkHost, type HostLookups, realHost } from './host-checks.ts';
import { type EngineState, readEngineState, shortIdsOf, wantedOf } from './state.ts';
import { findStrayFiles, findStrayMonitors, removeStrayFile } from './strays.ts';
import { findDebris, planSweep, sweep, type SweepParts } from './sweep.ts';
import { findLastingVeths } from './veths.ts';

export interface DoctorParts {
  readonly sweep: SweepParts;
  /** What is known now. Asked after the machine was looked at: who makes something makes himself known before. */
  readonly state: () => EngineState;
  /** Of an open engine: then what is missing can be seen and made. */
  readonly networks: NetworkManager | undefined;
  readonly host: HostLookups;
}

/** Something that is not as it should be, and what would mend it. */
interface Problem { readonly kind: string; readonly name: string; readonly problem: string; readonly repair?: () => Promise<void> | void }

/** Compares the machine with what is known; with `isRepaired` it removes what is too much and makes what is missing. */
export async function examine(parts: DoctorParts, isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
  const findings: EngineFinding[] = [];
  // One after the other: what a repair takes away (a mount) may have been the reason of the next (a folder).
  for (const look of [monitors, debris, veths, addresses, files, missing, ports, hostProblems]) {
    for (const { repair, ...finding } of await look(parts, signal)) {
      if (isRepaired) await repair?.();
      findings.push({ ...finding, isRepaired: isRepaired && repair !== undefined });
    }
  }
  return findings;
}

/** Examines the folders of an instance whose engine is not open. Nobody may open it meanwhile. */
export async function examineClosed(options: { instanceId: string; rootFolder: string; runFolder: string; host?: HostLookups }, isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  using nftables = openNftables();
  const cgroups = new Cgroups(readCgroupLayout(), options.instanceId);
  mkdirSync(paths.root, { recursive: true, mode: 0o711 });
  const state = await readEngineState(paths);
  // Not before the packet filter may be closed.
  const findings = await examine({ sweep: { instanceId: options.instanceId, paths, cgroups, nftables }, state: () => state, networks: undefined, host: options.host ?? realHost }, isRepaired, signal);
  return findings;
}

async function monitors({ state, sweep: { paths } }: DoctorParts): Promise<Problem[]> {
  return findStrayMonitors(state, paths).map((identity) => ({
    kind: 'process',
    name: `conmon ${identity.pid}`,
    problem: 'watches a container that is not known',
    repair: () => void signalProcess(identity, 9),
  }));
}

async function debris({ sweep: parts, state }: DoctorParts, signal: AbortSignal): Promise<Problem[]> {
  const { paths, cgroups, instanceId } = parts;
  const present = findDebris(parts);
  const found = planSweep(present, wantedOf(state(), paths, cgroups, instanceId));
  const none = { mounts: [], links: [], tables: [], cgroups: [] };
  const kindOf = (kind: string, name: string): string => (kind === 'mounts' && name.startsWith(`${paths.namespaces}/`) ? 'namespace' : kind.replace(/s$/, ''));
  // Cgroups first: processes in them keep mounts and namespaces. The newest mount first.
  const ordered = [...found.cgroups.map((name) => ['cgroups', name] as const), ...found.mounts.toReversed().map((name) => ['mounts', name] as const), ...found.links.map((name) => ['links', name] as const), ...found.tables.map((name) => ['tables', name] as const)];
  return ordered.map(([kind, name]) => ({
    kind: kindOf(kind, name),
    name,
    problem: 'belongs to no container, pod or build',
    repair: () => sweep(parts, { ...none, [kind]: [name] }, signal),
  }));
}

async function veths({ sweep: { instanceId, paths }, state }: DoctorParts, signal: AbortSignal): Promise<Problem[]> {
  const names = await findLastingVeths(instanceId, paths, (shortId) => shortIdsOf(state()).has(shortId), signal);
  return names.map((name) => ({ kind: 'veth', name, problem: 'its other end is in no namespace of a container', repair: async () => void (await removeLink(name)) }));
}

/** A bridge has its gateway addresses and no others. */
async function addresses({ state }: DoctorParts): Promise<Problem[]> {
  using links = LinkTable.open();
  return state().networks.flatMap((network) => {
    const bridge = links.find(network.bridgeName);
    if (bridge === undefined) return [];
    const wanted = gatewaysOf(network);
    return links.addresses(bridge.index)
      .filter(({ address }) => !wanted.has(address) && !address.startsWith('fe80:'))
      .map(({ address, prefixLength }) => ({
        kind: 'address',
        name: `${address}/${prefixLength} on ${network.bridgeName}`,
        problem: 'is not an address of the network',
        repair: () => {
          using table = LinkTable.open();
          table.removeAddress(bridge.index, address, prefixLength);
        },
      }));
  });
}

function gatewaysOf({ gateway, ipv6 }: NetworkRecord): Set<string> {
  return new Set([gateway, ...(ipv6 === undefined ? [] : [ipv6.gateway])]);
}

async function files({ state, sweep: { paths } }: DoctorParts): Promise<Problem[]> {
  const found = await findStrayFiles(state, paths);
  return found.map((file) => ({ kind: file.kind, name: file.path, problem: 'belongs to no container, pod or build', repair: () => removeStrayFile(file) }));
}

/** What an open engine needs and somebody else took away. A closed one makes it when it opens. */
async function missing({ networks, sweep: { nftables } }: DoctorParts): Promise<Problem[]> {
  if (networks === undefined) return [];
  using links = LinkTable.open();
  const repair = (): void => networks.repair();
  const tables = tablesWithPrefix(nftables, networks.tableName).map(({ name }) => name);
  const all = networks.list();
  const settings = [...hostSettings(all), ...all.flatMap(bridgeSettings)];
  return [
    ...all.flatMap(({ bridgeName }) => (links.find(bridgeName)?.isUp === true ? [] : [{ kind: 'link', name: bridgeName, problem: 'the bridge is missing or down', repair }])),
    ...all.flatMap((network) => {
      const bridge = links.find(network.bridgeName);
      const present = new Set(bridge === undefined ? [] : links.addresses(bridge.index).map(({ address }) => address));
      return [...gatewaysOf(network)].filter((address) => bridge !== undefined && !present.has(address)).map((address) => ({ kind: 'address', name: `${address} on ${network.bridgeName}`, problem: "the network's gateway address is missing", repair }));
    }),
    ...(tables.includes(networks.tableName) ? [] : [{ kind: 'table', name: networks.tableName, problem: 'the packet filter table is missing', repair }]),
    ...settings.filter(([name, value]) => readSysctl(name) !== value).map(([name, value]) => ({ kind: 'sysctl', name, problem: `is not ${value}`, repair })),
  ];
}

async function ports({ networks }: DoctorParts): Promise<Problem[]> {
  return (networks?.publications.lost() ?? []).map(({ protocol, hostIp, hostPort, owner }) => ({ kind: 'port', name: `${hostIp}:${hostPort}/${protocol}`, problem: `published by ${owner.slice(0, 12)}, but held by another program` }));
}

async function hostProblems({ host, sweep: { paths } }: DoctorParts): Promise<Problem[]> {
  return checkHost(paths.root, host);
}
