import type { Cidr } from './cidr.ts';

/** Networks that the machine already routes, from /proc/net/route, without the default route and without `ownLinkPrefix` links. */
export function parseRoutes(text: string, ownLinkPrefix: string): Cidr[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns.length >= 8 && columns[0]?.startsWith(ownLinkPrefix) !== true)
    .map((columns) => ({ base: littleEndian(columns[1] ?? ''), prefix: ones(littleEndian(columns[7] ?? '')) }))
    .filter(({ prefix }) => prefix > 0);
}

function littleEndian(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE(0);
}

function ones(mask: number): number {
  return Math.clz32(~mask >>> 0);
}
