import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { ContainerRecord, ContainerUsage } from '../../types.ts';
import { noTime } from './container-status.ts';

/** Processor time of the whole machine since its start, in nanoseconds: clients compute shares from its differences. */
export function systemCpuNanoseconds(stat: string = readFileSync('/proc/stat', 'utf8')): bigint {
  const fields = (stat.split('\n', 1)[0] ?? '').trim().split(/\s+/).slice(1, 9);
  // In hundredths of a second; guest time is already part of user time.
  return fields.reduce((total, field) => total + BigInt(field), 0n) * 10_000_000n;
}

export interface StatsReading { readonly usage: ContainerUsage; readonly systemCpuNanoseconds: bigint }

/** One value of `GET /containers/{id}/stats`. `previous` is the reading before, for clients that compute from one value. */
export function statsView({ id, spec }: ContainerRecord, now: StatsReading, previous: StatsReading | undefined): Record<string, unknown> {
  const { usage } = now;
  return {
    name: `/${spec.name}`,
    id,
    read: usage.time,
    preread: previous?.usage.time ?? noTime,
    num_procs: 0,
    pids_stats: { current: usage.pids, ...(usage.pidsLimit === undefined ? {} : { limit: usage.pidsLimit }) },
    cpu_stats: cpuView(now),
    precpu_stats: previous === undefined ? { cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 }, throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 } } : cpuView(previous),
    memory_stats: {
      usage: usage.memoryBytes,
      ...(usage.memoryMaxBytes === undefined ? {} : { max_usage: usage.memoryMaxBytes }),
      stats: usage.memoryCounters ?? { total_inactive_file: usage.inactiveFileBytes, inactive_file: usage.inactiveFileBytes },
      limit: usage.memoryLimitBytes ?? totalMemory(),
    },
    blkio_stats: {
      io_service_bytes_recursive: usage.blockReadBytes + usage.blockWriteBytes === 0 ? [] : [{ major: 0, minor: 0, op: 'read', value: usage.blockReadBytes }, { major: 0, minor: 0, op: 'write', value: usage.blockWriteBytes }],
      ...noBlockCounters([]),
    },
    storage_stats: {},
    ...(usage.interfaces.length === 0 ? {} : { networks: Object.fromEntries(usage.interfaces.map((interfaceUsage) => [interfaceUsage.name, networkView(interfaceUsage)])) }),
  };
}

/** Counters of schedulers that kernels no longer have. */
export function noBlockCounters(value: [] | null): Record<string, [] | null> {
  const names = ['serviced', 'queue', 'service_time', 'wait_time', 'merged', 'time'].map((name) => `io_${name}_recursive`);
  return Object.fromEntries([...names, 'sectors_recursive'].map((name) => [name, value]));
}

function cpuView({ usage, systemCpuNanoseconds: system }: StatsReading): Record<string, unknown> {
  return {
    cpu_usage: { total_usage: Number(usage.cpuNanoseconds), usage_in_kernelmode: Number(usage.cpuSystemNanoseconds), usage_in_usermode: Number(usage.cpuUserNanoseconds), ...((usage.perCpuNanoseconds?.length ?? 0) > 0 ? { percpu_usage: usage.perCpuNanoseconds } : {}) },
    system_cpu_usage: Number(system),
    online_cpus: cpus().length,
    throttling_data: { periods: 0, throttled_periods: usage.throttledPeriods, throttled_time: Number(usage.throttledNanoseconds) },
  };
}

function networkView({ receivedBytes, receivedPackets, sentBytes, sentPackets }: ContainerUsage['interfaces'][number]): Record<string, number> {
  return { rx_bytes: receivedBytes, rx_packets: receivedPackets, rx_errors: 0, rx_dropped: 0, tx_bytes: sentBytes, tx_packets: sentPackets, tx_errors: 0, tx_dropped: 0 };
}

function totalMemory(): number {
  const kibibytes = /^MemTotal:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}
