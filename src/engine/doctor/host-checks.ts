import { readFileSync, statfsSync } from 'node:fs';
import { errnoOf } from '../../kernel/mod.ts';
import { findProgram } from '../runtime/detect.ts';

/** Something about the machine that keeps containers from working, or soon will. Nothing here can be repaired by the engine. */
export interface HostProblem { readonly kind: 'program' | 'disk' | 'kernel'; readonly name: string; readonly problem: string }

/** Programs and the Debian packages that have them. `choices`: one of them is enough. */
const programs: readonly { choices: readonly string[]; packages: string }[] = [
  { choices: ['conmon'], packages: 'conmon' },
  { choices: ['runc', 'crun'], packages: 'runc or crun' },
  { choices: ['nft'], packages: 'nftables' },
  { choices: ['ip'], packages: 'iproute2' },
  { choices: ['bsdtar'], packages: 'libarchive-tools' },
  { choices: ['git'], packages: 'git' },
];

export interface HostLookups {
  readonly find: (program: string) => Promise<string | undefined>;
  /** The text of a kernel file; undefined: there is none. */
  readonly read: (path: string) => string | undefined;
  readonly free: (folder: string) => { freeBytes: number; totalBytes: number; freeFiles: number; totalFiles: number };
}

export const realHost: HostLookups = {
  find: findProgram,
  read: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  free: (folder) => {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeFiles: ffree, totalFiles: files };
  },
};

/** Less than this is low: an image or a build of usual size would not fit. */
const lowBytes = 2 * 2 ** 30;
const lowShare = 0.05;

/** Looks at programs, disk and kernel. */
export async function checkHost(folder: string, host: HostLookups): Promise<HostProblem[]> {
  return [...(await checkPrograms(host)), ...checkDisk(folder, host), ...checkKernel(host)];
}

async function checkPrograms({ find }: HostLookups): Promise<HostProblem[]> {
  const missing: HostProblem[] = [];
  for (const { choices, packages } of programs) {
    const found = await Promise.all(choices.map(find));
    if (found.every((path) => path === undefined)) missing.push({ kind: 'program', name: choices.join(' or '), problem: `is not installed: install ${packages}` });
  }
  return missing;
}

function checkDisk(folder: string, { free }: HostLookups): HostProblem[] {
  const { freeBytes, totalBytes, freeFiles, totalFiles } = free(folder);
  const problems: HostProblem[] = [];
  if (freeBytes < lowBytes && freeBytes < totalBytes * 0.5) problems.push({ kind: 'disk', name: folder, problem: `only ${Math.floor(freeBytes / 2 ** 20)} MiB are free` });
  // A file system without a table of files (btrfs) says 0 of 0.
  if (totalFiles > 0 && freeFiles < totalFiles * lowShare) problems.push({ kind: 'disk', name: folder, problem: `only ${freeFiles} of ${totalFiles} files can still be made` });
  return problems;
}

function checkKernel({ read }: HostLookups): HostProblem[] {
  const problem = (name: string, text: string): HostProblem => ({ kind: 'kernel', name, problem: text });
  const fileSystems = read('/proc/filesystems') ?? '';
  // A module is listed once it is loaded.
  const hasOverlay = /\boverlay$/m.test(fileSystems) || read('/sys/module/overlay/initstate') !== undefined;
  const limits = (name: string): number => Number(read(`/proc/sys/user/${name}`) ?? Infinity);
  return [
    ...(hasOverlay ? [] : [problem('overlay', 'overlayfs is not loaded: modprobe overlay')]),
    ...(/^Seccomp:\s/m.test(read('/proc/self/status') ?? '') ? [] : [problem('seccomp', 'the kernel has no seccomp: containers cannot be confined')]),
    ...(read('/proc/sys/net/ipv4/ip_forward')?.trim() === '0' ? [problem('net.ipv4.ip_forward', 'is 0: containers reach nothing beyond the host')] : []),
    ...['max_net_namespaces', 'max_pid_namespaces', 'max_mnt_namespaces'].filter((name) => limits(name) < 64).map((name) => problem(`user.${name}`, 'is too low for containers')),
    ...(/cgroup2?\b/.test(fileSystems) ? [] : [problem('cgroup', 'the kernel has no control groups')]),
  ];
}
