import { chmodSync, chownSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type IdRange, idRangeOf, pinNetworkOf, pinUserNamespace, unpinNamespace } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { EnginePaths } from '../paths.ts';
import type { ContainerId, ContainerSpec } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';

/** The user namespace of one run of a container. */
export interface ContainerUserNamespace {
  /** Its file, to join it. */
  readonly file: string;
  readonly range: IdRange;
  /** A network namespace that it owns; undefined when it is another container's. */
  readonly networkFile: string | undefined;
}

/** Pin of a container's own user namespace. */
export function userNamespaceFile(paths: EnginePaths, id: string): string {
  return join(paths.namespaces, `user-${id.slice(0, 16)}`);
}

/**
 * The user namespace of a container that has one: its own, or that of the container whose other namespaces it joins, for whoever is in a
 * network must also have the capabilities over it. `conflict` when those have none, or different ones.
 */
export async function openUserNamespace(
  paths: EnginePaths, { id, spec }: ContainerEntry, networkFile: string, pidOf: (id: ContainerId) => number, signal: AbortSignal,
): Promise<ContainerUserNamespace | undefined> {
  const { user } = spec.namespaces;
  if (user.mode !== 'remapped') return undefined;
  const pids = joinedContainers(spec).map(pidOf);
  const [first] = pids;
  if (first !== undefined) {
    const range = idRangeOf(first);
    const isOne = pids.every((pid) => readlinkSync(`/proc/${pid}/ns/user`) === readlinkSync(`/proc/${first}/ns/user`));
    if (range === undefined || !isOne) throw new GantryError('conflict', 'cannot join the namespaces of a container in another user namespace');
    const file = `/proc/${first}/ns/user`;
    if (spec.network.mode !== 'bridge') return { file, range, networkFile: undefined };
    await pinNetworkOf(file, networkFile, signal);
    return { file, range, networkFile };
  }
  const file = userNamespaceFile(paths, id);
  await pinUserNamespace({ user: file, net: networkFile }, user.range, signal);
  return { file, range: user.range, networkFile };
}

function joinedContainers({ namespaces: { ipc, pid }, network }: ContainerSpec): ContainerId[] {
  return [network, ipc, pid].flatMap((namespace) => (namespace.mode === 'container' ? [namespace.containerId] : []));
}

/** The run folder for the root of a user namespace, who is nobody on the host: its group may pass through to the root file system, nobody else. */
export function openRunFolder(run: string, { firstId }: IdRange): void {
  chmodSync(dirname(run), 0o711);
  chownSync(run, 0, firstId);
  chmodSync(run, 0o710);
}

/** Lets go of the container's own user namespace. A no-op when it had none. */
export function closeUserNamespace(paths: EnginePaths, id: string): void {
  unpinNamespace(userNamespaceFile(paths, id));
}

const hostNamespaceWords: Readonly<Record<string, string>> = { network: "network namespace", pid: 'PID namespace', ipc: 'IPC namespace', uts: 'UTS namespace', cgroup: 'cgroup namespace' };

/** What cannot be together with a user namespace, in Docker's words; undefined when all can. */
export function userNamespaceConflict({ namespaces, network, security, owner }: ContainerSpec): string | undefined {
  if (namespaces.user.mode === 'host') return undefined;
  if (owner.kind === 'pod') return 'containers of pods have no user namespace of their own';
  if (security.isPrivileged) return 'privileged mode is incompatible with user namespaces. You must run the container in the host namespace when running privileged mode';
  const modes = { network: network.mode, pid: namespaces.pid.mode, ipc: namespaces.ipc.mode, uts: namespaces.uts.mode, cgroup: namespaces.cgroup.mode };
  const shared = Object.entries(modes).find(([, mode]) => mode === 'host');
  return shared === undefined ? undefined : `cannot share the host's ${hostNamespaceWords[shared[0]] ?? ''} when user namespaces are enabled`;
}
