import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { z } from 'zod';
import { resolveInside } from '../../host/mod.ts';
import { GantryError, parseWith } from '../../kernel/mod.ts';
import type { OciSeccomp, OciSyscall } from './oci-spec.ts';

const argumentSchema = z.object({ index: z.number(), value: z.number(), valueTwo: z.number().optional(), op: z.string() });

/** Docker writes `null` and `{}` for "no condition" alike. */
const filterSchema = z.object({ caps: z.array(z.string()).nullish(), arches: z.array(z.string()).nullish(), minKernel: z.string().nullish() }).nullish();

const syscallSchema = z.object({
  names: z.array(z.string()).optional(),
  name: z.string().optional(),
  action: z.string(),
  errnoRet: z.number().nullish(),
  errno: z.string().nullish(),
  args: z.array(argumentSchema).nullish(),
  comment: z.string().nullish(),
  includes: filterSchema,
  excludes: filterSchema,
});

const profileSchema = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: z.number().nullish(),
  defaultErrno: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
  archMap: z.array(z.object({ architecture: z.string(), subArchitectures: z.array(z.string()).nullish() })).nullish(),
  syscalls: z.array(syscallSchema),
});

/** A seccomp profile in the format of Docker and containers-common: rules with conditions on capabilities, architecture and kernel. */
export type SeccompProfile = z.infer<typeof profileSchema>;

type Filter = z.infer<typeof filterSchema>;

export interface SeccompTarget {
  /** Node's name, for example `x64`. */
  readonly architecture: string;
  /** The container's bounding set. */
  readonly capabilities: readonly string[];
  /** `6.1.0-18-amd64`. */
  readonly kernelRelease: string;
  /**
   * Whether programs of the 32-bit relatives of the architecture may run. The runtime compiles every rule once for each architecture:
   * without them a start takes a third less time.
   */
  readonly is32BitAllowed: boolean;
}

/** Reads a profile's text; `invalid` names the field. */
export function parseSeccompProfile(text: string, file?: string): SeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GantryError('invalid', 'the seccomp profile is not JSON', { cause: error });
  }
  return parseWith(profileSchema, value, 'seccomp profile', file);
}

/**
 * What containers-common allows to everybody and Docker only to holders of CAP_SYS_ADMIN: mounts, other namespaces, and with them a user
 * namespace that has every capability. Key rings are not separated between containers; bpf and io_uring are large targets.
 */
const adminSyscalls =
  'bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare'.split(' ');
const forbiddenSyscalls = 'add_key keyctl request_key io_uring_enter io_uring_register io_uring_setup userfaultfd'.split(' ');

/** Further ones that containers-common allows to everybody and Docker only to holders of a capability. */
const capableSyscalls: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYS_PTRACE: ['kcmp', 'pidfd_getfd', 'process_madvise'],
};

/** AF_VSOCK: it leads to the machine's hypervisor, past all namespaces. */
const hypervisorSockets = 40;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const cloneNamespaceFlags = 0x7e020000;

const [errnoPermission, errnoNoSyscall] = [1, 38];

/** The distribution's profile, no looser than Docker's: further rules that hold without CAP_SYS_ADMIN, and the same as before with it. */
export function hardenProfile(profile: SeccompProfile): SeccompProfile {
  const taken = new Set([...adminSyscalls, ...forbiddenSyscalls, ...Object.values(capableSyscalls).flat(), 'clone', 'socket']);
  const namesOf = (rule: SeccompProfile['syscalls'][number]): string[] => rule.names ?? (rule.name === undefined ? [] : [rule.name]);
  const kept = profile.syscalls.map((rule) => ({ ...rule, name: undefined, names: namesOf(rule).filter((name) => !taken.has(name)) }));
  const admin = { caps: ['CAP_SYS_ADMIN'] };
  return {
    ...profile,
    syscalls: [
      ...kept.filter(({ names }) => names.length > 0),
      { names: [...adminSyscalls, 'clone'], action: 'SCMP_ACT_ALLOW', includes: admin },
      { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: cloneNamespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }], excludes: admin },
      // Its flags are behind a pointer, which a filter cannot read; told that there is none, the C library takes clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: errnoNoSyscall, excludes: admin },
      { names: adminSyscalls.filter((name) => name !== 'clone3'), action: 'SCMP_ACT_ERRNO', errnoRet: errnoPermission, excludes: admin },
      ...Object.entries(capableSyscalls).flatMap(([capability, names]) => [
        { names: [...names], action: 'SCMP_ACT_ALLOW', includes: { caps: [capability] } },
        { names: [...names], action: 'SCMP_ACT_ERRNO', errnoRet: errnoPermission, excludes: { caps: [capability] } },
      ]),
      { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: hypervisorSockets, op: 'SCMP_CMP_NE' }] },
      { names: forbiddenSyscalls, action: 'SCMP_ACT_ERRNO', errnoRet: errnoPermission },
    ],
  };
}

/** The profile as config.json has it: the rules that hold for these capabilities, this architecture and this kernel. */
export function toOciSeccomp(profile: SeccompProfile, target: SeccompTarget): OciSeccomp {
  const names = architectureNames[target.architecture];
  if (names === undefined) throw new GantryError('unsupported', `no seccomp architecture for ${target.architecture}`);
  const mapped = profile.archMap?.find(({ architecture }) => architecture === names.seccomp);
  const fallback = profile.architectures ?? [names.seccomp];
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet == null ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: mapped === undefined ? [...fallback] : [mapped.architecture, ...(target.is32BitAllowed ? (mapped.subArchitectures ?? []) : [])],
    syscalls: profile.syscalls.filter((rule) => holds(rule, names.go, target)).map(toSyscall),
  };
}

/** The host's architecture and kernel with the container's capabilities. 32-bit programs are allowed when the image has their loader. */
export function hostSeccompTarget(capabilities: readonly string[], rootfsPath: string): SeccompTarget {
  const is32BitAllowed = loaders32Bit.some((path) => existsSync(resolveInside(rootfsPath, path)));
  return { architecture: process.arch, capabilities, kernelRelease: release(), is32BitAllowed };
}

/** Dynamic loaders of 32-bit programs on 64-bit systems: glibc and musl, x86 and ARM. */
const loaders32Bit = ['/lib/ld-linux.so.2', '/lib/ld-musl-i386.so.1', '/lib/ld-linux-armhf.so.3', '/lib/ld-musl-armhf.so.1'];

const architectureNames: Readonly<Record<string, { seccomp: string; go: string }>> = {
  x64: { seccomp: 'SCMP_ARCH_X86_64', go: 'amd64' },
  arm64: { seccomp: 'SCMP_ARCH_AARCH64', go: 'arm64' },
};

function holds(rule: { includes?: Filter; excludes?: Filter }, architecture: string, target: SeccompTarget): boolean {
  const { includes, excludes } = rule;
  const hasCapability = (name: string): boolean => target.capabilities.includes(name);
  if (includes?.arches?.length && !includes.arches.includes(architecture)) return false;
  if (excludes?.arches?.includes(architecture)) return false;
  if (includes?.caps?.length && !includes.caps.every(hasCapability)) return false;
  if (excludes?.caps?.some(hasCapability)) return false;
  if (includes?.minKernel != null && !isAtLeast(target.kernelRelease, includes.minKernel)) return false;
  return !(excludes?.minKernel != null && isAtLeast(target.kernelRelease, excludes.minKernel));
}

function isAtLeast(release: string, minimum: string): boolean {
  const parse = (text: string): [number, number] => {
    const match = /^(\d+)\.(\d+)/.exec(text);
    return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  };
  const [major, minor] = parse(release);
  const [wantedMajor, wantedMinor] = parse(minimum);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function toSyscall(rule: z.infer<typeof syscallSchema>): OciSyscall {
  return {
    names: rule.names ?? (rule.name === undefined ? [] : [rule.name]),
    action: rule.action,
    ...(rule.errnoRet == null ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args == null || rule.args.length === 0 ? {} : { args: rule.args.map((argument) => ({ ...argument, valueTwo: argument.valueTwo ?? 0 })) }),
  };
}
