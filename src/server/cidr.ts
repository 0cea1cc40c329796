import { GantryError } from '../kernel/mod.ts';

/** An IPv4 network in CIDR notation (RFC 4632). `base` is the first address as an unsigned 32-bit number. */
export interface Cidr {
  readonly base: number;
  readonly prefix: number;
}

/** Parses `a.b.c.d/n`. `invalid` when malformed or when bits behind the prefix are set. */
export function parseCidr(text: string): Cidr {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  const [a = 256, b = 256, c = 256, d = 256, prefix = 33] = match?.slice(1).map(Number) ?? [];
  if (match === null || Math.max(a, b, c, d) > 255 || prefix > 32) throw new GantryError('invalid', `${JSON.stringify(text)} is not an IPv4 network such as 10.244.0.0/16`);
  const base = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  if (base !== maskOf(base, prefix)) throw new GantryError('invalid', `${text} has bits set behind its prefix; write ${formatCidr({ base: maskOf(base, prefix), prefix })}`);
  return { base, prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${addressOf(cidr, 0)}/${cidr.prefix}`;
}

/** The address `index` places after the network's first. */
export function addressOf({ base }: Cidr, index: number): string {
  const address = base + index;
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** Whether the two networks have an address in common. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  const prefix = Math.min(a.prefix, b.prefix);
  return maskOf(a.base, prefix) === maskOf(b.base, prefix);
}

function maskOf(address: number, prefix: number): number {
  return prefix === 0 ? 0 : (address & (0xffffffff << (32 - prefix))) >>> 0;
}
