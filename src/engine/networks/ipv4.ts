import { GantryError } from '../../kernel/mod.ts';

/** An IPv4 range. `first` is its network address, as a number. */
export interface Ipv4Range { readonly first: number; readonly prefixLength: number }

/** `10.1.2.3` as a number; `invalid` when it is no IPv4 address. */
export function parseIpv4(text: string): number {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) throw new GantryError('invalid', `${JSON.stringify(text)} is not an IPv4 address`);
  return parts.reduce((value, part) => value * 256 + part, 0);
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** `10.1.0.0/16`; the host part must be zero. */
export function parseCidr(text: string): Ipv4Range {
  const [address = '', prefix = ''] = text.split('/');
  const prefixLength = /^\d{1,2}$/.test(prefix) ? Number(prefix) : 33;
  if (prefixLength > 32) throw new GantryError('invalid', `${JSON.stringify(text)} is not an IPv4 range such as 10.1.0.0/16`);
  const first = parseIpv4(address);
  if (first % sizeOf({ first, prefixLength }) !== 0) throw new GantryError('invalid', `${text} has bits set beyond its prefix`);
  return { first, prefixLength };
}

export function formatCidr(range: Ipv4Range): string {
  return `${formatIpv4(range.first)}/${range.prefixLength}`;
}

/** How many addresses the range has. */
export function sizeOf(range: Ipv4Range): number {
  return 2 ** (32 - range.prefixLength);
}

export function contains(range: Ipv4Range, address: number): boolean {
  return address >= range.first && address < range.first + sizeOf(range);
}

export function overlaps(a: Ipv4Range, b: Ipv4Range): boolean {
  return a.first < b.first + sizeOf(b) && b.first < a.first + sizeOf(a);
}

/**
 * The next free host address after `after`, going round. The network and broadcast addresses are never given out. Going round and not
 * lowest-first: an address that has just been freed may still be in somebody's connection table. `exhausted` when all are taken.
 */
export function nextAddress(range: Ipv4Range, isTaken: (address: number) => boolean, after: number): number {
  const count = sizeOf(range) - 2;
  const start = contains(range, after) ? after - range.first : 0;
  for (let step = 1; step <= count; step += 1) {
    const address = range.first + 1 + ((start - 1 + step) % count);
    if (!isTaken(address)) return address;
  }
  throw new GantryError('exhausted', `no free address is left in ${formatCidr(range)}`);
}

/** The first range of the size inside the pool that overlaps none of the used ones. `exhausted` when there is none. */
export function nextRange(pool: Ipv4Range, prefixLength: number, used: readonly Ipv4Range[]): Ipv4Range {
  const step = sizeOf({ first: 0, prefixLength });
  for (let first = pool.first; first + step <= pool.first + sizeOf(pool); first += step) {
    const range = { first, prefixLength };
    if (!used.some((other) => overlaps(range, other))) return range;
  }
  throw new GantryError('exhausted', `no free range is left in ${formatCidr(pool)}`);
}

/** A locally administered MAC address that is unique within the network because the IP address is. */
export function macOf(address: string): string {
  return ['02', '42', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}
