import { GantryError } from '../../kernel/mod.ts';
import { formatIpNumber, formatRange, type IpRange, normalIp, parseIp, parseRange, rangeContains, rangeSize } from './ip.ts';

/**
 * Addresses of one network and family that are in use. Nothing is stored: records of containers and sandboxes name their addresses, and
 * the pool is filled from them at start, so the two cannot disagree after a crash.
 */
export class AddressPool {
  readonly #subnet: IpRange;
  readonly #range: IpRange;
  readonly #taken = new Set<bigint>();
  #last: bigint;

  /** `addressRange`: the part of the subnet that automatic addresses come from. `reserved`: addresses that are nobody's to take. */
  constructor(subnet: string, gateway: string, addressRange?: string, reserved: readonly string[] = []) {
    this.#subnet = parseRange(subnet);
    this.#range = addressRange === undefined ? this.#subnet : parseRange(addressRange);
    for (const address of [gateway, ...reserved]) this.#taken.add(parseIp(address));
    this.#last = parseIp(gateway);
  }

  /** A free address, or the wanted one. `conflict` when that is taken, `invalid` when it is outside the subnet. */
  take(wanted?: string): string {
    const address = wanted === undefined ? this.#next() : this.#check(wanted);
    this.#taken.add(address);
    if (wanted === undefined) this.#last = address;
    return formatIpNumber(address, this.#subnet.bits);
  }

  /** Marks an address that a record names. */
  restore(address: string): void {
    this.#taken.add(parseIp(address));
  }

  release(address: string): void {
    this.#taken.delete(parseIp(address));
  }

  /** Going round and not lowest-first: an address that has just been freed may still be in somebody's connection table. */
  #next(): bigint {
    const { first } = this.#range;
    const count = rangeSize(this.#range);
    const start = rangeContains(this.#range, this.#last) ? this.#last - first : count - 1n;
    // Each step that gives nothing meets a taken address or one of the two that are no host's.
    const steps = BigInt(this.#taken.size) + 3n;
    for (let step = 1n; step <= (steps < count ? steps : count); step += 1n) {
      const address = first + ((start + step) % count);
      if (this.#isHost(address) && !this.#taken.has(address)) return address;
    }
    throw new GantryError('exhausted', `no free address is left in ${formatRange(this.#range)}`);
  }

  /** The network's own address is no host's, nor IPv4's broadcast address. */
  #isHost(address: bigint): boolean {
    const isBroadcast = this.#subnet.bits === 32 && address === this.#subnet.first + rangeSize(this.#subnet) - 1n;
    return rangeContains(this.#subnet, address) && address !== this.#subnet.first && !isBroadcast;
  }

  #check(wanted: string): bigint {
    const address = parseIp(wanted);
    if (wanted.includes(':') !== (this.#subnet.bits === 128) || !this.#isHost(address)) throw new GantryError('invalid', `the address ${wanted} is not in the network's subnet`);
    if (this.#taken.has(address)) throw new GantryError('conflict', `Address already in use: ${normalIp(wanted)}`);
    return address;
  }
}
