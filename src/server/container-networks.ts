import { GantryError } from '../kernel/mod.ts';
import { formatCidr, parseCidr } from './cidr.ts';

/** The range of plain containers in two halves: Docker's `bridge`, and the networks that clients make. */
export function containerNetworks(containerCidr: string): { defaultCidr: string; userCidr: string } {
  const { base, prefix } = parseCidr(containerCidr);
  if (prefix > 22) throw new GantryError('invalid', `the network ${containerCidr} is too small for containers`);
  const half = 2 ** (31 - prefix);
  return { defaultCidr: formatCidr({ base, prefix: prefix + 1 }), userCidr: formatCidr({ base: base + half, prefix: prefix + 1 }) };
}
