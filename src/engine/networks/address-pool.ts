import { GantryError } from '../../kernel/mod.ts';
import { contains, formatIpv4, type Ipv4Range, nextAddress, parseCidr, parseIpv4, sizeOf } from './ipv4.ts';

/**
 * Addresses of one network that are in use. Nothing is stored: records of containers and sandboxes name their addresses, and the pool
 * is filled from them at start, so the two cannot disagree after a crash.
 */
export class AddressPool {
  readonly #subnet: Ipv4Range;
  readonly #range: Ipv4Range;
  readonly #taken = new Set<number>();
  #last: number;

  /** `addressRange`: the part of the subnet that automatic addresses come from. */
  constructor(subnet: string, gateway: string, addressRange?: string) {
    this.#subnet = parseCidr(subnet);
    this.#range = addressRange === undefined ? this.#subnet : parseCidr(addressRange);
    this.#taken.add(parseIpv4(gateway));
    this.#last = parseIpv4(gateway);
  }

  /** A free address, or the wanted one. `conflict` when that is taken, `invalid` when it is outside the subnet. */
  take(wanted?: string): string {
    const address = wanted === undefined ? nextAddress(this.#range, (candidate) => this.#taken.has(candidate), this.#last) : this.#check(wanted);
    this.#taken.add(address);
    if (wanted === undefined) this.#last = address;
    return formatIpv4(address);
  }

  /** Marks an address that a record names. */
  restore(address: string): void {
    this.#taken.add(parseIpv4(address));
  }

  release(address: string): void {
    this.#taken.delete(parseIpv4(address));
  }

  #check(wanted: string): number {
    const address = parseIpv4(wanted);
    const isHost = address > this.#subnet.first && address < this.#subnet.first + sizeOf(this.#subnet) - 1;
    if (!contains(this.#subnet, address) || !isHost) throw new GantryError('invalid', `the address ${wanted} is not in the network's subnet`);
    if (this.#taken.has(address)) throw new GantryError('conflict', `Address already in use: ${wanted}`);
    return address;
  }
}
