import type { ContainerId, ContainerUsage } from '../types.ts';
import type { Cgroups } from './cgroups.ts';

/** Values of cgroup v1 that mean no limit. */
const noLimit = 2 ** 62;

/** Reads CPU, memory, processes and block I/O of a container's cgroup. Counters that the host lacks are 0. */
export function readUsage(cgroups: Cgroups, path: string, containerId: ContainerId, interfaces: ContainerUsage['interfaces']): ContainerUsage {
  const common = { containerId, time: new Date().toISOString(), interfaces };
  return cgroups.layout.version === 1 ? { ...common, ...readVersion1(cgroups, path) } : { ...common, ...readVersion2(cgroups, path) };
}

type Readings = Omit<ContainerUsage, 'containerId' | 'time' | 'interfaces'>;

function readVersion1(cgroups: Cgroups, path: string): Readings {
  const cpuStat = parseFlat(cgroups.read(path, 'cpu', 'cpu.stat'));
  const memoryStat = parseFlat(cgroups.read(path, 'memory', 'memory.stat'));
  const limit = toNumber(cgroups.read(path, 'memory', 'memory.limit_in_bytes'));
  const io = cgroups.read(path, 'blkio', 'blkio.throttle.io_service_bytes');
  return {
    cpuNanoseconds: toBigInt(cgroups.read(path, 'cpuacct', 'cpuacct.usage')),
    cpuUserNanoseconds: toBigInt(cgroups.read(path, 'cpuacct', 'cpuacct.usage_user')),
    cpuSystemNanoseconds: toBigInt(cgroups.read(path, 'cpuacct', 'cpuacct.usage_sys')),
    throttledPeriods: Number(cpuStat.get('nr_throttled') ?? 0n),
    throttledNanoseconds: cpuStat.get('throttled_time') ?? 0n,
    memoryBytes: toNumber(cgroups.read(path, 'memory', 'memory.usage_in_bytes')) ?? 0,
    inactiveFileBytes: Number(memoryStat.get('total_inactive_file') ?? 0n),
    memoryCounters: toNumbers(memoryStat),
    perCpuNanoseconds: cgroups.read(path, 'cpuacct', 'cpuacct.usage_percpu').trim().split(/\s+/).filter((text) => text !== '').map(Number),
    ...(limit === undefined || limit > noLimit ? {} : { memoryLimitBytes: limit }),
    ...optional('memoryMaxBytes', toNumber(cgroups.read(path, 'memory', 'memory.max_usage_in_bytes'))),
    pids: toNumber(cgroups.read(path, 'pids', 'pids.current')) ?? 0,
    ...optional('pidsLimit', toNumber(cgroups.read(path, 'pids', 'pids.max'))),
    blockReadBytes: sumLines(io, /^\d+:\d+ Read (\d+)$/gm),
    blockWriteBytes: sumLines(io, /^\d+:\d+ Write (\d+)$/gm),
  };
}

function readVersion2(cgroups: Cgroups, path: string): Readings {
  const cpuStat = parseFlat(cgroups.read(path, 'cpuacct', 'cpu.stat'));
  const memoryStat = parseFlat(cgroups.read(path, 'memory', 'memory.stat'));
  const io = cgroups.read(path, 'io', 'io.stat');
  const micros = (name: string): bigint => (cpuStat.get(name) ?? 0n) * 1000n;
  return {
    cpuNanoseconds: micros('usage_usec'),
    cpuUserNanoseconds: micros('user_usec'),
    cpuSystemNanoseconds: micros('system_usec'),
    throttledPeriods: Number(cpuStat.get('nr_throttled') ?? 0n),
    throttledNanoseconds: micros('throttled_usec'),
    memoryBytes: toNumber(cgroups.read(path, 'memory', 'memory.current')) ?? 0,
    inactiveFileBytes: Number(memoryStat.get('inactive_file') ?? 0n),
    memoryCounters: toNumbers(memoryStat),
    ...optional('memoryLimitBytes', toNumber(cgroups.read(path, 'memory', 'memory.max'))),
    ...optional('memoryMaxBytes', toNumber(cgroups.read(path, 'memory', 'memory.peak'))),
    pids: toNumber(cgroups.read(path, 'pids', 'pids.current')) ?? 0,
    ...optional('pidsLimit', toNumber(cgroups.read(path, 'pids', 'pids.max'))),
    blockReadBytes: sumLines(io, /\brbytes=(\d+)/g),
    blockWriteBytes: sumLines(io, /\bwbytes=(\d+)/g),
  };
}

function toNumbers(counters: ReadonlyMap<string, bigint>): Record<string, number> {
  return Object.fromEntries([...counters].map(([name, value]) => [name, Number(value)]));
}

/** `name value` lines. */
function parseFlat(text: string): Map<string, bigint> {
  return new Map(text.split('\n').flatMap((line): [string, bigint][] => {
    const [name = '', value = ''] = line.split(' ');
    return /^\d+$/.test(value) ? [[name, BigInt(value)]] : [];
  }));
}

/** Undefined for `max`, an absent file, and anything that is no number. */
function toNumber(text: string): number | undefined {
  return /^\d+\n?$/.test(text) ? Number(text) : undefined;
}

function toBigInt(text: string): bigint {
  return /^\d+\n?$/.test(text) ? BigInt(text.trim()) : 0n;
}

function sumLines(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);
}

function optional<K extends string>(name: K, value: number | undefined): { [key in K]?: number } {
  return value === undefined ? {} : ({ [name]: value } as { [key in K]?: number });
}

/** Interface counters of a network namespace, from its /proc/<pid>/net/dev. The loopback is left out. */
export function parseInterfaceCounters(text: string): ContainerUsage['interfaces'] {
  return text.split('\n').slice(2).flatMap((line) => {
    const match = /^\s*([^:\s]+):\s*(.*)$/.exec(line);
    if (match === null || match[1] === 'lo') return [];
    const [receivedBytes = 0, receivedPackets = 0, , , , , , , sentBytes = 0, sentPackets = 0] = (match[2] ?? '').trim().split(/\s+/).map(Number);
    return [{ name: match[1] ?? '', receivedBytes, receivedPackets, sentBytes, sentPackets }];
  });
}
