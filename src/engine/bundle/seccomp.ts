import { release } from 'node:os';
import { z } from 'zod';
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

/** The profile as config.json has it: the rules that hold for these capabilities, this architecture and this kernel. */
export function toOciSeccomp(profile: SeccompProfile, target: SeccompTarget): OciSeccomp {
  const names = architectureNames[target.architecture];
  if (names === undefined) throw new GantryError('unsupported', `no seccomp architecture for ${target.architecture}`);
  const mapped = profile.archMap?.find(({ architecture }) => architecture === names.seccomp);
  const fallback = profile.architectures ?? [names.seccomp];
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet == null ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: mapped === undefined ? [...fallback] : [mapped.architecture, ...(mapped.subArchitectures ?? [])],
    syscalls: profile.syscalls.filter((rule) => holds(rule, names.go, target)).map(toSyscall),
  };
}

/** The host's architecture and kernel with the container's capabilities. */
export function hostSeccompTarget(capabilities: readonly string[]): SeccompTarget {
  return { architecture: process.arch, capabilities, kernelRelease: release() };
}

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
