import { isIPv6 } from 'node:net';
import { formatIp, ipBytes } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

/** A range of IPv4 (32 bits) or IPv6 (128 bits) addresses. `first` is its network address. */
export interface IpRange { readonly first: bigint; readonly prefixLength: number; readonly bits: 32 | 128 }

/** An address as a number; `invalid` when it is none. */
export function parseIp(text: string): bigint {
  return BigInt(`0x${ipBytes(text).toString('hex')}`);
}

/** The inverse of `parseIp` in the shortest form. */
export function formatIpNumber(value: bigint, bits: 32 | 128): string {
  return formatIp(Buffer.from(value.toString(16).padStart(bits / 4, '0'), 'hex'));
}

/** The shortest form of an address, by which two texts for one address are the same. */
export function normalIp(text: string): string {
  return formatIp(ipBytes(text));
}

/** `10.1.0.0/16` or `fd00::/64`; the host part must be zero. */
export function parseRange(text: string): IpRange {
  const [address = '', prefix = ''] = text.split('/');
  const bits = isIPv6(address) ? 128 : 32;
  const prefixLength = /^\d{1,3}$/.test(prefix) ? Number(prefix) : bits + 1;
  if (prefixLength > bits) throw new GantryError('invalid', `${JSON.stringify(text)} is not a range of addresses such as 10.1.0.0/16 or fd00:1::/64`);
  const range: IpRange = { first: parseIp(address), prefixLength, bits };
  if (range.first % rangeSize(range) !== 0n) throw new GantryError('invalid', `${text} has bits set beyond its prefix`);
  return range;
}

export function formatRange(range: IpRange): string {
  return `${formatIpNumber(range.first, range.bits)}/${range.prefixLength}`;
}

/** How many addresses the range has. */
export function rangeSize(range: Pick<IpRange, 'bits' | 'prefixLength'>): bigint {
  return 1n << BigInt(range.bits - range.prefixLength);
}

export function rangeContains(range: IpRange, address: bigint): boolean {
  return address >= range.first && address < range.first + rangeSize(range);
}

export function rangesOverlap(a: IpRange, b: IpRange): boolean {
  return a.bits === b.bits && a.first < b.first + rangeSize(b) && b.first < a.first + rangeSize(a);
}
