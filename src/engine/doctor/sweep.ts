import { deleteTable, LinkTable, type Nftables, readMounts, removeLink, tablesWithPrefix, unmount } from '../../host/mod.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { linkPrefix } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';

/** Things of this instance on the machine that carry no process. */
export interface Debris {
  readonly mounts: readonly string[];
  /** Bridges. Veth pairs go with their namespaces; see veths.ts. */
  readonly links: readonly string[];
  /** `family name`. */
  readonly tables: readonly string[];
  readonly cgroups: readonly string[];
}

export interface Wanted {
  /** Mount points and everything below them. */
  readonly mounts: ReadonlySet<string>;
  readonly links: ReadonlySet<string>;
  readonly tables: ReadonlySet<string>;
  /** Paths of cgroups with containers or pods in them. */
  readonly cgroups: ReadonlySet<string>;
  /** Interfaces that the kernel removes by itself with the namespace at their other end. */
  isVeth(name: string): boolean;
}

export interface SweepParts { readonly instanceId: string; readonly paths: EnginePaths; readonly cgroups: Cgroups; readonly nftables: Nftables }

/** What is on the machine under this instance's names. */
export function findDebris({ instanceId, paths, cgroups, nftables }: SweepParts): Debris {
  using links = LinkTable.open();
  const prefix = linkPrefix(instanceId);
  return {
    mounts: readMounts().map(({ target }) => target).filter((target) => isBelow(target, paths.run) || isBelow(target, paths.root)),
    links: links.list().map(({ name }) => name).filter((name) => name.startsWith(prefix)),
    tables: tablesWithPrefix(nftables, `gantry-${instanceId}-engine`).map(({ family, name }) => `${family} ${name}`),
    cgroups: cgroupLeaves(cgroups),
  };
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Containers' and pods' cgroups: two levels below the root for users' containers, three for those of pods and scopes. */
function cgroupLeaves(cgroups: Cgroups): string[] {
  const root = cgroups.rootPath;
  return cgroups.children(root).flatMap((slice) =>
    cgroups.children(`${root}/${slice}`).flatMap((name) => {
      const path = `${root}/${slice}/${name}`;
      return /^(pod|scope-)/.test(name) ? [path, ...cgroups.children(path).map((child) => `${path}/${child}`)] : [path];
    }),
  );
}

/** What is there and not wanted. Pure. */
export function planSweep(found: Debris, wanted: Wanted): Debris {
  const isWantedMount = (target: string): boolean => [...wanted.mounts].some((folder) => isBelow(target, folder));
  return {
    mounts: found.mounts.filter((target) => !isWantedMount(target)),
    links: found.links.filter((name) => !wanted.links.has(name) && !wanted.isVeth(name)),
    tables: found.tables.filter((name) => !wanted.tables.has(name)),
    cgroups: found.cgroups.filter((path) => !wanted.cgroups.has(path)),
  };
}

/** Removes it: processes first, then mounts (the newest first), links, tables, cgroups. */
export async function sweep({ cgroups, nftables }: SweepParts, debris: Debris, signal: AbortSignal): Promise<void> {
  for (const path of debris.cgroups) await cgroups.kill(path, signal);
  for (const target of debris.mounts.toReversed()) unmount(target, { lazy: true });
  for (const name of debris.links) await removeLink(name);
  for (const table of debris.tables) removeTable(nftables, table);
  for (const path of debris.cgroups.toReversed()) cgroups.remove(path);
}

function removeTable(nftables: Nftables, table: string): void {
  const [family, name = ''] = table.split(' ');
  nftables.apply(deleteTable(family === 'ip6' ? 'ip6' : 'ip', name));
}
