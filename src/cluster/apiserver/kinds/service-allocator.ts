import { GantryError } from '../../../kernel/mod.ts';
import { addressAt, indexOfAddress, type Ipv4Range } from './service-address.ts';

/** Ports that nodes open for Services, both ends included. */
export interface PortRange { readonly from: number; readonly to: number }

/**
 * Hands out cluster addresses and node ports. What Services hold is in the Services themselves, so there is nothing to store or to
 * repair after a crash; only writes that are still under way are remembered here.
 */
export class ServiceAllocator {
  readonly #addresses: Ipv4Range;
  readonly #ports: PortRange;
  readonly #pendingAddresses = new Set<string>();
  readonly #pendingPorts = new Set<number>();

  constructor(addresses: Ipv4Range, ports: PortRange) {
    this.#addresses = addresses;
    this.#ports = ports;
  }

  get addressRange(): string {
    return this.#addresses.text;
  }

  get portRange(): string {
    return `${this.#ports.from}-${this.#ports.to}`;
  }

  /** The first address is the API server's own. */
  get serverAddress(): string {
    return addressAt(this.#addresses, 1);
  }

  /** Whether a Service may have the address: inside, and neither the network's nor the broadcast's. */
  hasAddress(address: string): boolean {
    const index = indexOfAddress(this.#addresses, address);
    return index > 0 && index < this.#addresses.size - 1;
  }

  hasPort(port: number): boolean {
    return port >= this.#ports.from && port <= this.#ports.to;
  }

  isPendingAddress(address: string): boolean {
    return this.#pendingAddresses.has(address);
  }

  isPendingPort(port: number): boolean {
    return this.#pendingPorts.has(port);
  }

  /** A free address, chosen at random above the band that people pick fixed addresses from. `exhausted` when there is none. */
  chooseAddress(used: ReadonlySet<string>): string {
    const band = Math.min(256, Math.max(16, Math.floor(this.#addresses.size / 16)));
    const low = this.#addresses.size > 2 * band ? band : 2;
    const high = this.#addresses.size - 1;
    const free = (index: number): boolean => !used.has(addressAt(this.#addresses, index)) && !this.isPendingAddress(addressAt(this.#addresses, index));
    const chosen = chooseFrom(low, high, free) ?? chooseFrom(2, low, free);
    if (chosen === undefined) throw new GantryError('exhausted', `no address is free in ${this.#addresses.text}`);
    return addressAt(this.#addresses, chosen);
  }

  /** A free node port, chosen at random. `exhausted` when there is none. */
  choosePort(used: ReadonlySet<number>): number {
    const chosen = chooseFrom(this.#ports.from, this.#ports.to + 1, (port) => !used.has(port) && !this.isPendingPort(port));
    if (chosen === undefined) throw new GantryError('exhausted', `no node port is free in ${this.portRange}`);
    return chosen;
  }

  /** Keeps the address and ports from others until the write is over. Returns how to let go. */
  hold(address: string | undefined, ports: readonly number[]): () => void {
    if (address !== undefined) this.#pendingAddresses.add(address);
    for (const port of ports) this.#pendingPorts.add(port);
    return () => {
      if (address !== undefined) this.#pendingAddresses.delete(address);
      for (const port of ports) this.#pendingPorts.delete(port);
    };
  }
}

/** A free number in [from, to): a random one, then the next free one from there. */
function chooseFrom(from: number, to: number, isFree: (value: number) => boolean): number | undefined {
  const size = to - from;
  if (size <= 0) return undefined;
  const start = Math.floor(Math.random() * size);
  for (let step = 0; step < size; step += 1) {
    const value = from + ((start + step) % size);
    if (isFree(value)) return value;
  }
  return undefined;
}
