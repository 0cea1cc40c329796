import { getRlimit } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

/** Numbers of getrlimit(2) on Linux. */
const rlimitNumbers: Readonly<Record<string, number>> = {
  cpu: 0, fsize: 1, data: 2, stack: 3, core: 4, rss: 5, nproc: 6, nofile: 7, memlock: 8, as: 9, locks: 10, sigpending: 11, msgqueue: 12, nice: 13, rtprio: 14, rttime: 15,
};

/** RLIM_INFINITY is 2^64 - 1, which no JavaScript number is; `serializeSpec` writes this as that. */
const unlimited = 2 ** 64;

export interface HostLimits {
  /** Whether hard limits may be raised (CAP_SYS_RESOURCE). */
  readonly canRaise: boolean;
  /** The hard limit of this process by RLIMIT number. */
  hardLimit(number: number): number;
}

/** Ulimits as rlimits of the process. What the kernel would refuse is clamped to our own hard limit, with one warning each. -1 is no limit. */
export function planRlimits(
  ulimits: readonly { name: string; soft: number; hard: number }[],
  host: HostLimits,
): { rlimits: { type: string; soft: number; hard: number }[]; warnings: string[] } {
  const warnings: string[] = [];
  const rlimits = ulimits.map(({ name, soft, hard }) => {
    const number = rlimitNumbers[name];
    if (number === undefined) throw new GantryError('invalid', `unknown ulimit ${JSON.stringify(name)}`);
    const wanted = { soft: fromMinusOne(soft), hard: fromMinusOne(hard) };
    if (wanted.soft > wanted.hard) throw new GantryError('invalid', `ulimit ${name}: the soft limit ${soft} is above the hard limit ${hard}`);
    const ceiling = host.canRaise ? Infinity : host.hardLimit(number);
    if (wanted.hard > ceiling) warnings.push(`ulimit ${name} is limited to ${ceiling}: the host does not let it be raised`);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: toNumber(Math.min(wanted.soft, ceiling)), hard: toNumber(Math.min(wanted.hard, ceiling)) };
  });
  return { rlimits, warnings };
}

/** This process's own limits. */
export function ownLimits(grantable: ReadonlySet<string>): HostLimits {
  return { canRaise: grantable.has('CAP_SYS_RESOURCE'), hardLimit: (number) => getRlimit(number).hard };
}

function fromMinusOne(value: number): number {
  return value === -1 ? Infinity : value;
}

function toNumber(value: number): number {
  return value === Infinity ? unlimited : value;
}
