import type { IdRange } from '../../host/mod.ts';
import type { NamespaceSource } from '../bundle/bundle.ts';
import type { ResolvedMount } from '../bundle/mounts.ts';
import type { ContainerId } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';

/** What a container takes from its pod. */
export interface SandboxParts {
  /** Owns the others; absent: the host's. */
  readonly userNamespace?: { readonly file: string; readonly range: IdRange };
  readonly namespaces: { network: NamespaceSource; ipc: NamespaceSource; uts: NamespaceSource };
  readonly shmPath: string;
  /** Folder of hosts, hostname and resolv.conf. */
  readonly etcFolder: string;
  readonly cgroupPath: string;
  readonly hostname: string;
}

/** How a launch finds what belongs to others. */
export interface LaunchPeers {
  /** Host pid of a running container; `conflict` when it does not run. */
  pidOf(id: ContainerId): number;
  etcFolderOf(id: ContainerId): string;
  shmOf(id: ContainerId): string;
  sandbox(id: string): SandboxParts;
  /** Any container; undefined when there is none. */
  find(id: ContainerId): ContainerEntry | undefined;
  /** Whether running containers have joined this one's network namespace. */
  isNetworkShared(id: ContainerId): boolean;
}

/** The engine's own files, bound over the image's unless the caller mounts something there. */
export function etcMounts(etcFolder: string, taken: ReadonlySet<string>): ResolvedMount[] {
  return ['hosts', 'hostname', 'resolv.conf'].flatMap((name): ResolvedMount[] => {
    const target = `/etc/${name}`;
    if (taken.has(target)) return [];
    return [{ type: 'bind', source: `${etcFolder}/${name}`, target, isReadOnly: false, propagation: 'rprivate', isRecursive: true }];
  });
}

/** The namespace file of a process. */
export function namespaceOf(pid: number, kind: 'net' | 'ipc' | 'pid' | 'uts'): NamespaceSource {
  return { kind: 'join', path: `/proc/${pid}/ns/${kind}` };
}
