import { readFileSync } from 'node:fs';
import { errnoOf, GantryError } from '../../../kernel/mod.ts';
import type { ContainerId, DeviceRule, NamespaceModes, Resources, RestartPolicy, SecurityOptions } from '../../types.ts';
import type { HostConfigRequest } from '../requests/create-container.ts';

/** Capabilities, seccomp, paths and privilege of `docker run`. */
export function planSecurity(host: HostConfigRequest, hasAppArmor: () => boolean = isAppArmorEnabled): SecurityOptions {
  const isPrivileged = host.Privileged ?? false;
  let seccomp: SecurityOptions['seccomp'] = isPrivileged ? { kind: 'unconfined' } : { kind: 'default' };
  let noNewPrivileges = false;
  let pathsUnconfined = false;
  let apparmorProfile: string | undefined;
  for (const option of host.SecurityOpt) {
    const [name, value] = splitOption(option);
    if (name === 'no-new-privileges') noNewPrivileges = parseFlag(value, option);
    else if (name === 'seccomp') seccomp = parseSeccomp(value);
    else if (name === 'systempaths' && value === 'unconfined') pathsUnconfined = true;
    // No label or profile is set by this engine: switching it off is what it does.
    else if ((name === 'apparmor' && value === 'unconfined') || (name === 'label' && value === 'disable')) continue;
    else if (name === 'apparmor') apparmorProfile = parseAppArmor(value, hasAppArmor);
    else throw new GantryError('unsupported', `invalid --security-opt 2: ${JSON.stringify(option.slice(0, 100))}`);
  }
  return {
    isPrivileged,
    isReadOnlyRoot: host.ReadonlyRootfs ?? false,
    noNewPrivileges,
    addCapabilities: host.CapAdd,
    dropCapabilities: host.CapDrop,
    seccomp,
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    ...(host.MaskedPaths === undefined ? (pathsUnconfined ? { maskedPaths: [] } : {}) : { maskedPaths: host.MaskedPaths }),
    ...(host.ReadonlyPaths === undefined ? (pathsUnconfined ? { readonlyPaths: [] } : {}) : { readonlyPaths: host.ReadonlyPaths }),
  };
}

/** A profile that is loaded on the host; that it is, the runtime finds out at the start. */
function parseAppArmor(value: string, hasAppArmor: () => boolean): string {
  if (!/^[\w./:+-]{1,200}$/.test(value)) throw new GantryError('invalid', `HostConfig.SecurityOpt: invalid AppArmor profile ${JSON.stringify(value.slice(0, 100))}`);
  if (!hasAppArmor()) throw new GantryError('unsupported', `HostConfig.SecurityOpt: apparmor=${value}: the kernel of this host has no AppArmor`);
  return value;
}

function isAppArmorEnabled(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Older clients write `name:value`. */
function splitOption(option: string): [string, string] {
  const match = /^([a-z-]+)(?:[=:](.*))?$/s.exec(option);
  return [match?.[1] ?? option, match?.[2] ?? ''];
}

function parseFlag(value: string, option: string): boolean {
  if (value === '' || value === 'true') return true;
  if (value === 'false') return false;
  throw new GantryError('invalid', `HostConfig.SecurityOpt: invalid value in ${JSON.stringify(option)}`);
}

function parseSeccomp(value: string): SecurityOptions['seccomp'] {
  if (value === 'unconfined') return { kind: 'unconfined' };
  if (value === 'builtin' || value === '') return { kind: 'default' };
  try {
    JSON.parse(value);
  } catch (error) {
    throw new GantryError('invalid', 'HostConfig.SecurityOpt: the seccomp profile is not JSON', { cause: error });
  }
  return { kind: 'custom', profile: value };
}

/** Limits. `-1` and 0 are no limit, as Docker has it. */
export function planResources(host: HostConfigRequest): Resources {
  const swappiness = host.MemorySwappiness ?? -1;
  if (swappiness !== -1) throw new GantryError('unsupported', 'HostConfig.MemorySwappiness is not supported');
  const nanoCpus = host.NanoCpus ?? 0;
  if (nanoCpus !== 0 && isSet(host.CpuPeriod)) throw new GantryError('invalid', 'Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (nanoCpus !== 0 && isSet(host.CpuQuota)) throw new GantryError('invalid', 'Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  const cpu = nanoCpus === 0 ? { cpuQuotaMicros: positive(host.CpuQuota), cpuPeriodMicros: positive(host.CpuPeriod) } : { cpuPeriodMicros: 100_000, cpuQuotaMicros: Math.round(nanoCpus / 10_000) };
  const pids = host.PidsLimit ?? 0;
  return compact({
    memoryLimitBytes: positive(host.Memory),
    memorySwapBytes: host.MemorySwap === 0 ? undefined : host.MemorySwap,
    memoryReservationBytes: positive(host.MemoryReservation),
    cpuShares: positive(host.CpuShares),
    ...cpu,
    cpusetCpus: host.CpusetCpus === '' ? undefined : host.CpusetCpus,
    cpusetMems: host.CpusetMems === '' ? undefined : host.CpusetMems,
    pidsLimit: pids > 0 ? pids : undefined,
    blkioWeight: positive(host.BlkioWeight),
    blockDevices: planBlockDevices(host),
    oomScoreAdj: host.OomScoreAdj,
    oomKillDisable: host.OomKillDisable === true ? true : undefined,
    ulimits: host.Ulimits.length === 0 ? undefined : host.Ulimits.map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
  });
}

function planBlockDevices(host: HostConfigRequest): Resources['blockDevices'] {
  const rates = { 'read-bytes': host.BlkioDeviceReadBps, 'write-bytes': host.BlkioDeviceWriteBps, 'read-operations': host.BlkioDeviceReadIOps, 'write-operations': host.BlkioDeviceWriteIOps } as const;
  const limits = [
    ...host.BlkioWeightDevice.map(({ Path, Weight }) => ({ kind: 'weight' as const, path: Path, value: Weight })),
    ...Object.entries(rates).flatMap(([kind, list]) => list.map(({ Path, Rate }) => ({ kind: kind as keyof typeof rates, path: Path, value: Rate }))),
  ];
  return limits.length === 0 ? undefined : limits;
}

/** `c 1:3 rwm` of `--device-cgroup-rule`. */
export function parseDeviceRule(text: string): DeviceRule {
  const [, type, major = '', minor = '', access = ''] = /^([acb]) (\d{1,4}|\*):(\d{1,8}|\*) ([rwm]{1,3})$/.exec(text) ?? [];
  if (type === undefined) throw new GantryError('invalid', `invalid device cgroup rule format: '${text}'`);
  return { type: type as DeviceRule['type'], ...(major === '*' ? {} : { major: Number(major) }), ...(minor === '*' ? {} : { minor: Number(minor) }), access };
}

function isSet(value: number | undefined): boolean {
  return value !== undefined && value !== 0;
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

function compact<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

/** The mode for clients whose command line knows only Docker's own, which is `host`. */
export const usernsAnnotation = 'gantry.dev/userns';

/** Namespace modes; `container:NAME` is resolved by the caller's look-up. */
export function planNamespaces(host: HostConfigRequest, containerId: (name: string) => ContainerId): NamespaceModes {
  const mode = <M extends string>(field: string, value: string | undefined, allowed: Readonly<Record<string, M>>): M => {
    const found = allowed[value ?? ''];
    if (found === undefined) throw new GantryError('unsupported', `HostConfig.${field}: the mode ${JSON.stringify(value)} is not supported`);
    return found;
  };
  const joined = (value: string | undefined): ContainerId | undefined => (value?.startsWith('container:') === true ? containerId(value.slice('container:'.length)) : undefined);
  const ipc = joined(host.IpcMode);
  const pid = joined(host.PidMode);
  return {
    ipc: ipc === undefined ? { mode: mode('IpcMode', host.IpcMode, { '': 'private', private: 'private', shareable: 'shareable', host: 'host' }) } : { mode: 'container', containerId: ipc },
    pid: pid === undefined ? { mode: mode('PidMode', host.PidMode, { '': 'private', private: 'private', host: 'host' }) } : { mode: 'container', containerId: pid },
    uts: { mode: mode('UTSMode', host.UTSMode, { '': 'private', private: 'private', host: 'host' }) },
    cgroup: { mode: mode('CgroupnsMode', host.CgroupnsMode, { '': 'private', private: 'private', host: 'host' }) },
    user: { mode: mode('UsernsMode', host.UsernsMode === undefined || host.UsernsMode === '' ? host.Annotations[usernsAnnotation] : host.UsernsMode, { '': 'default', host: 'host', private: 'shared', auto: 'unique' }) },
  };
}

/** `--restart`. */
export function planRestart(policy: { Name?: string | undefined; MaximumRetryCount?: number | undefined } | undefined, autoRemove: boolean): RestartPolicy {
  const name = policy?.Name ?? '';
  const retries = policy?.MaximumRetryCount ?? 0;
  if (retries < 0) throw new GantryError('invalid', 'invalid restart policy: maximum retry count cannot be negative');
  if (name !== 'on-failure' && retries > 0) throw new GantryError('invalid', `invalid restart policy: maximum retry count can only be used with 'on-failure'`);
  if (name === '' || name === 'no') return { name: 'no' };
  if (autoRemove) throw new GantryError('invalid', `can't create 'AutoRemove' container with restart policy`);
  if (name === 'always' || name === 'unless-stopped') return { name };
  if (name === 'on-failure') return { name, maximumRetryCount: retries };
  throw new GantryError('invalid', `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
}
