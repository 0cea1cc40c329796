import { cpus } from 'node:os';
import { GantryError } from '../../kernel/mod.ts';
import type { BlockDeviceLimit, Resources } from '../types.ts';
import { devicesAt } from './devices.ts';
import type { OciBlockIo, OciDeviceRate, OciResources } from './oci-spec.ts';

/** Which limits this host's kernel and cgroup layout can set. */
export interface ResourceSupport {
  readonly swap: boolean;
  readonly blkioWeight: boolean;
  readonly pids: boolean;
}

/** The smallest memory limit that a container can start with. */
const minimumMemoryBytes = 6 * 1024 * 1024;

/** Limits as the runtime takes them (it converts to v2 itself). What the host cannot set becomes a warning; nonsense is `invalid`. */
export function planResources(resources: Resources, support: ResourceSupport, deviceNumber: (path: string) => DeviceNumber = numberOfDevice): { resources: Omit<OciResources, 'devices'>; warnings: string[] } {
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
  const blockIO = blockIoOf(resources, support, deviceNumber, warnings);
  if (Object.keys(blockIO).length > 0) planned.blockIO = blockIO;
  return { resources: planned, warnings };
}

export interface DeviceNumber { readonly major: number; readonly minor: number }

function numberOfDevice(path: string): DeviceNumber {
  const [device] = devicesAt(path);
  if (device?.type !== 'b') throw new GantryError('invalid', `${path} is not a block device`);
  return device;
}

/** Limits of block I/O, of the whole container and by device. Schedulers without weights are told, as by Docker. */
function blockIoOf({ blkioWeight, blockDevices = [] }: Resources, support: ResourceSupport, deviceNumber: (path: string) => DeviceNumber, warnings: string[]): OciBlockIo {
  const hasWeights = (blkioWeight ?? 0) > 0 || blockDevices.some(({ kind }) => kind === 'weight');
  if (hasWeights && !support.blkioWeight) warnings.push('this host has no block I/O weights; the weight is discarded');
  const numbered = (wanted: BlockDeviceLimit) => blockDevices.filter(({ kind }) => kind === wanted).map(({ path, value }) => ({ number: deviceNumber(path), value }));
  const rates = (kind: BlockDeviceLimit): OciDeviceRate[] | undefined => {
    const list = numbered(kind).map(({ number: { major, minor }, value }) => ({ major, minor, rate: value }));
    return list.length === 0 ? undefined : list;
  };
  const weights = support.blkioWeight ? numbered('weight').map(({ number: { major, minor }, value }) => ({ major, minor, weight: value })) : [];
  return defined({
    weight: support.blkioWeight && (blkioWeight ?? 0) > 0 ? blkioWeight : undefined,
    weightDevice: weights.length === 0 ? undefined : weights,
    throttleReadBpsDevice: rates('read-bytes'),
    throttleWriteBpsDevice: rates('write-bytes'),
    throttleReadIOPSDevice: rates('read-operations'),
    throttleWriteIOPSDevice: rates('write-operations'),
  });
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
  if (limit !== undefined && limit < minimumMemoryBytes) fail('memoryLimitBytes', 'Minimum memory limit allowed is 6MB');
  if (swap !== undefined && swap !== -1) {
    if (limit === undefined) fail('memorySwapBytes', 'You should always set the Memory limit when using Memoryswap limit, see usage');
    else if (swap < limit) fail('memorySwapBytes', 'Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (limit !== undefined && reservation !== undefined && reservation > limit) fail('memoryReservationBytes', 'Minimum memory limit can not be less than memory reservation limit, see usage');
  if (resources.cpuQuotaMicros !== undefined && resources.cpuQuotaMicros > 0 && resources.cpuQuotaMicros < 1000) fail('cpuQuotaMicros', 'the CPU quota must be at least 1 ms');
  const period = resources.cpuPeriodMicros;
  if (period !== undefined && (period < 1000 || period > 1_000_000)) fail('cpuPeriodMicros', 'the CPU period must be between 1 ms and 1 s');
  if (resources.cpuShares !== undefined && (resources.cpuShares < 2 || resources.cpuShares > 262_144)) fail('cpuShares', 'CPU shares must be between 2 and 262144');
  const score = resources.oomScoreAdj;
  if (score !== undefined && (score < -1000 || score > 1000)) fail('oomScoreAdj', `Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  checkCpus(resources, fail);
  const weight = resources.blkioWeight;
  if (weight !== undefined && weight !== 0 && (weight < 10 || weight > 1000)) fail('blkioWeight', 'the block I/O weight must be between 10 and 1000');
}

/** Processors that this machine does not have can be neither used nor counted. */
function checkCpus({ cpuQuotaMicros: quota, cpuPeriodMicros: period, cpusetCpus, cpusetMems }: Resources, fail: (field: keyof Resources, message: string) => void): void {
  const count = cpus().length;
  if (quota !== undefined && period !== undefined && quota > period * count) fail('cpuQuotaMicros', `Range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`);
  for (const [field, name, text] of [['cpusetCpus', 'cpuset cpus', cpusetCpus], ['cpusetMems', 'cpuset mems', cpusetMems]] as const) {
    if (text !== undefined && text !== '' && !/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(text)) fail(field, `Invalid value ${text} for ${name}: invalid format: ${text}`);
  }
  const highest = Math.max(-1, ...(cpusetCpus ?? '').split(/[,-]/).filter((part) => part !== '').map(Number));
  if (highest >= count) fail('cpusetCpus', `Requested CPUs are not available - requested ${cpusetCpus ?? ''}, available: ${count === 1 ? '0' : `0-${count - 1}`}`);
}

function defined<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}
