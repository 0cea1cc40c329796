import { isIPv4 } from 'node:net';
import { GantryError } from '../../../kernel/mod.ts';

/** An IPv4 network as numbers. */
export interface Ipv4Range { readonly first: number; readonly size: number; readonly text: string }

/** Reads `10.96.0.0/16`. `invalid` when it is no IPv4 network. */
export function parseIpv4Range(text: string): Ipv4Range {
  const [address = '', bits = ''] = text.split('/');
  const prefix = Number(bits);
  if (!isIPv4(address) || bits === '' || !Number.isInteger(prefix) || prefix < 8 || prefix > 30) {
    throw new GantryError('invalid', `${JSON.stringify(text)} is not an IPv4 network such as 10.96.0.0/16, of 8 to 30 bits`);
  }
  const size = 2 ** (32 - prefix);
  return { first: Math.floor(toNumber(address) / size) * size, size, text };
}

/** The address number `index` of a network. */
export function addressAt({ first }: Ipv4Range, index: number): string {
  const value = first + index;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** The place of an address in a network; -1 when it is not inside. */
export function indexOfAddress(range: Ipv4Range, address: string): number {
  if (!isIPv4(address)) return -1;
  const index = toNumber(address) - range.first;
  return index >= 0 && index < range.size ? index : -1;
}

function toNumber(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}
