import type { OciMount } from './oci-spec.ts';

/** A mount whose source on the host is known: volumes and engine files are resolved to bind mounts before. */
export type ResolvedMount =
  | { type: 'bind'; source: string; target: string; isReadOnly: boolean; propagation: string; isRecursive: boolean }
  | { type: 'tmpfs'; target: string; isReadOnly: boolean; sizeBytes?: number; mode?: number; options: readonly string[] };

export interface SystemMountOptions {
  readonly isPrivileged: boolean;
  readonly cgroupVersion: 1 | 2;
  /** `own`: a new ipc namespace with its own /dev/shm of this size; `shared`: the host folder is bound there. */
  readonly shm: { kind: 'own'; sizeBytes: number } | { kind: 'shared'; hostPath: string };
  /** sysfs cannot be mounted in a network namespace that is not owned by the user namespace, so the host's is bound then. */
  readonly sysfs: 'mount' | 'bind';
}

/** The kernel's file systems that every container sees. */
export function systemMounts(options: SystemMountOptions): OciMount[] {
  const access = options.isPrivileged ? 'rw' : 'ro';
  const sysfs: OciMount =
    options.sysfs === 'mount'
      ? { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] }
      : { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'] };
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    sysfs,
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', access] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    options.shm.kind === 'own'
      ? { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${options.shm.sizeBytes}`] }
      : { destination: '/dev/shm', type: 'bind', source: options.shm.hostPath, options: ['rbind', 'nosuid', 'noexec', 'nodev', 'rprivate'] },
  ];
}

/** The caller's mounts, parents before children, so that none hides another that was asked for. */
export function userMounts(mounts: readonly ResolvedMount[]): OciMount[] {
  const depth = (path: string): number => path.split('/').filter((part) => part !== '').length;
  return mounts.toSorted((a, b) => depth(a.target) - depth(b.target)).map(toOciMount);
}

function toOciMount(mount: ResolvedMount): OciMount {
  const access = mount.isReadOnly ? 'ro' : 'rw';
  if (mount.type === 'bind') {
    return { destination: mount.target, type: 'bind', source: mount.source, options: [mount.isRecursive ? 'rbind' : 'bind', access, mount.propagation] };
  }
  const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`];
  const mode = `mode=${(mount.mode ?? 0o1777).toString(8)}`;
  const defaults = mount.options.length > 0 ? mount.options : ['nosuid', 'nodev', 'noexec'];
  return { destination: mount.target, type: 'tmpfs', source: 'tmpfs', options: [...defaults, access, mode, ...size] };
}

/** What the root file system's propagation must be so that a bind mount can have the propagation asked for. */
export function rootPropagation(mounts: readonly ResolvedMount[]): string | undefined {
  const asked = mounts.flatMap((mount) => (mount.type === 'bind' ? [mount.propagation] : []));
  if (asked.some((propagation) => propagation === 'shared' || propagation === 'rshared')) return 'shared';
  if (asked.some((propagation) => propagation === 'slave' || propagation === 'rslave')) return 'rslave';
  return undefined;
}
