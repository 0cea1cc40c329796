import { GantryError } from '../../kernel/mod.ts';
import type { Resources } from '../types.ts';
import type { OciResources } from './oci-spec.ts';

/** Which limits this host's kernel and cgroup layout can set. */
export interface ResourceSupport {
  readonly swap: boolean;
  readonly blkioWeight: boolean;
  readonly pids: boolean;
}

/** The smallest memory limit that a container can start with. */
const minimumMemoryBytes = 6 * 1024 * 1024;

/** Limits as the runtime takes them (it converts to v2 itself). What the host cannot set becomes a warning; nonsense is `invalid`. */
export function planResources(resources: Resources, support: ResourceSupport): { resources: Omit<OciResources, 'devices'>; warnings: string[] } {
  checkResources(resources);
  const warnings: string[] = [];
  const planned: Omit<OciResources, 'devices'> = {};
  const memory = memoryOf(resources, support, warnings);
  if (Object.keys(memory).length > 0) planned.memory = memory;
  const cpu = defined({
    shares: resources.cpuShares,
    quota: resources.cpuQuotaMicros,
    period: resources.cpuPeriodMicros,
    cpus: resources.cpusetCpus,
    mems: resources.cpusetMems,
  });
  if (Object.keys(cpu).length > 0) planned.cpu = cpu;
  if (resources.pidsLimit !== undefined && resources.pidsLimit > 0) {
    if (support.pids) planned.pids = { limit: resources.pidsLimit };
    else warnings.push('this host cannot limit processes; the pids limit is discarded');
  }
  if (resources.blkioWeight !== undefined && resources.blkioWeight > 0) {
    if (support.blkioWeight) planned.blockIO = { weight: resources.blkioWeight };
    else warnings.push('this host has no block I/O weights; the weight is discarded');
  }
  return { resources: planned, warnings };
}

function memoryOf(resources: Resources, support: ResourceSupport, warnings: string[]): NonNullable<OciResources['memory']> {
  const { memoryLimitBytes: limit } = resources;
  // As Docker: twice the limit when only memory is given.
  const swap = resources.memorySwapBytes ?? (limit === undefined ? undefined : limit * 2);
  if (resources.memorySwapBytes !== undefined && resources.memorySwapBytes > 0 && !support.swap) {
    warnings.push('this host does not account for swap; the swap limit is discarded');
  }
  return defined({
    limit,
    swap: support.swap ? swap : undefined,
    reservation: resources.memoryReservationBytes,
    disableOOMKiller: resources.oomKillDisable === true ? true : undefined,
  });
}

/** `invalid`, naming the field, for limits that contradict each other or that no kernel takes. */
export function checkResources(resources: Resources): void {
  const fail = (field: keyof Resources, message: string): never => {
    throw new GantryError('invalid', message, { places: [{ field: `resources.${field}`, message }] });
  };
  const { memoryLimitBytes: limit, memorySwapBytes: swap, memoryReservationBytes: reservation } = resources;
  if (limit !== undefined && limit < minimumMemoryBytes) fail('memoryLimitBytes', 'the memory limit must be at least 6 MiB');
  if (swap !== undefined && swap !== -1) {
    if (limit === undefined) fail('memorySwapBytes', 'a swap limit needs a memory limit');
    else if (swap < limit) fail('memorySwapBytes', 'memory plus swap must be at least the memory limit');
  }
  if (limit !== undefined && reservation !== undefined && reservation > limit) fail('memoryReservationBytes', 'the reservation must not exceed the memory limit');
  if (resources.cpuQuotaMicros !== undefined && resources.cpuQuotaMicros > 0 && resources.cpuQuotaMicros < 1000) fail('cpuQuotaMicros', 'the CPU quota must be at least 1 ms');
  const period = resources.cpuPeriodMicros;
  if (period !== undefined && (period < 1000 || period > 1_000_000)) fail('cpuPeriodMicros', 'the CPU period must be between 1 ms and 1 s');
  if (resources.cpuShares !== undefined && (resources.cpuShares < 2 || resources.cpuShares > 262_144)) fail('cpuShares', 'CPU shares must be between 2 and 262144');
  const weight = resources.blkioWeight;
  if (weight !== undefined && weight !== 0 && (weight < 10 || weight > 1000)) fail('blkioWeight', 'the block I/O weight must be between 10 and 1000');
}

function defined<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}
