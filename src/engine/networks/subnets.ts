import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { NetworkRecord, NetworkSpec } from '../types.ts';
import { formatIpNumber, formatRange, type IpRange, normalIp, parseIp, parseRange, rangeContains, rangeSize, rangesOverlap } from './ip.ts';
import { formatCidr, type Ipv4Range, nextRange, parseCidr } from './ipv4.ts';

/** The addresses of a new network, everything chosen. */
export interface PlannedSubnets {
  readonly subnet: string;
  readonly gateway: string;
  readonly addressRange: string | undefined;
  readonly ipv6: NetworkRecord['ipv6'];
}

export interface SubnetFacts {
  /** IPv4 networks without a subnet of their own get one from here. */
  readonly userCidr: string;
  readonly instanceId: string;
  /** Subnets of the other networks, of both families. */
  readonly used: readonly string[];
  readonly hasIpv6: boolean;
}

/** Whether this host's kernel has IPv6 and it is not switched off: then at least the loopback has an address. */
export function hostHasIpv6(): boolean {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8') !== '';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Chooses and checks subnets, gateways and ranges. `unsupported` for IPv6 where the host has none, `conflict` for what overlaps. Pure. */
export function planSubnets(spec: NetworkSpec, facts: SubnetFacts): PlannedSubnets {
  const used = facts.used.map(parseRange);
  const subnet = spec.subnet ?? nextUserSubnet(facts.userCidr, used);
  const reserved = Object.values(spec.reservedAddresses ?? {});
  const four = checkSubnet({ subnet, gateway: spec.gateway, addressRange: spec.addressRange }, 32, used);
  const six = spec.ipv6 === undefined ? undefined : planIpv6(spec.ipv6, facts, used);
  const ranges = [four.subnet, ...(six === undefined ? [] : [six.subnet])].map(parseRange);
  for (const address of reserved) {
    if (!ranges.some((range) => isOfFamily(address, range) && rangeContains(range, parseIp(address)))) throw new GantryError('invalid', `the auxiliary address ${address} is in no subnet of the network`);
  }
  return { ...four, ipv6: six };
}

function planIpv6(wanted: NonNullable<NetworkSpec['ipv6']>, facts: SubnetFacts, used: readonly IpRange[]): NonNullable<NetworkRecord['ipv6']> {
  if (!facts.hasIpv6) throw new GantryError('unsupported', 'this host has no IPv6: a network with EnableIPv6 cannot be made');
  const subnet = wanted.subnet ?? nextLocalSubnet(facts.instanceId, used);
  const { addressRange, ...six } = checkSubnet({ ...wanted, subnet }, 128, used);
  return { ...six, ...(addressRange === undefined ? {} : { addressRange }) };
}

function checkSubnet(wanted: { subnet: string; gateway?: string | undefined; addressRange?: string | undefined }, bits: 32 | 128, used: readonly IpRange[]): { subnet: string; gateway: string; addressRange: string | undefined } {
  const range = parseRange(wanted.subnet);
  const subnet = formatRange(range);
  if (range.bits !== bits) throw new GantryError('invalid', `the subnet ${wanted.subnet} is of the other address family`);
  if (rangeSize(range) < 4n) throw new GantryError('invalid', `the subnet ${subnet} has no room for containers`);
  if (used.some((other) => rangesOverlap(other, range))) throw new GantryError('conflict', `the subnet ${subnet} overlaps another network`);
  const gateway = wanted.gateway === undefined ? formatIpNumber(range.first + 1n, bits) : normalIp(wanted.gateway);
  if (!isOfFamily(gateway, range) || !rangeContains(range, parseIp(gateway))) throw new GantryError('invalid', `the gateway ${gateway} is not in ${subnet}`);
  if (wanted.addressRange === undefined) return { subnet, gateway, addressRange: undefined };
  const inner = parseRange(wanted.addressRange);
  if (inner.bits !== bits || !rangeContains(range, inner.first) || inner.prefixLength < range.prefixLength) throw new GantryError('invalid', `the range ${wanted.addressRange} is not part of ${subnet}`);
  return { subnet, gateway, addressRange: formatRange(inner) };
}

function isOfFamily(address: string, range: IpRange): boolean {
  return address.includes(':') === (range.bits === 128);
}

/** Networks of 256 addresses, or smaller ones so that a small pool has room for eight. */
function nextUserSubnet(userCidr: string, used: readonly IpRange[]): string {
  const pool = parseCidr(userCidr);
  const prefixLength = Math.min(28, Math.max(24, pool.prefixLength + 3));
  const taken = used.filter(({ bits }) => bits === 32).map(({ first, prefixLength: length }): Ipv4Range => ({ first: Number(first), prefixLength: length }));
  return formatCidr(nextRange(pool, prefixLength, taken));
}

/** Unique local addresses (RFC 4193): the instance's own /48, a /64 of it for each network. */
function nextLocalSubnet(instanceId: string, used: readonly IpRange[]): string {
  const site = createHash('sha256').update(instanceId).digest('hex').slice(0, 10);
  const base = BigInt(`0xfd${site}${'0'.repeat(20)}`);
  for (let index = 0n; index < 65_536n; index += 1n) {
    const range: IpRange = { first: base + (index << 64n), prefixLength: 64, bits: 128 };
    if (!used.some((other) => rangesOverlap(other, range))) return formatRange(range);
  }
  throw new GantryError('exhausted', 'no free IPv6 range is left');
}
