import type { Nftables } from '../../host/mod.ts';
import { GantryError, isError, type Logger } from '../../kernel/mod.ts';
import type { PortBinding } from '../types.ts';
import { planPublish, planUnpublish, type Publication } from './firewall.ts';
import { HostPorts } from './host-ports.ts';

/** Where published ports of a container or pod lead; without an IPv6 address, IPv6 is relayed to IPv4. */
export interface PublishTarget { readonly ipv4: string; readonly ipv6?: string | undefined }

export interface PublicationParts {
  readonly nftables: Nftables;
  readonly table: string;
  /** Where ports are published when neither the caller nor the network names an address. */
  readonly publishAddress: string;
  /** Writes the tables anew when somebody has changed them. */
  readonly applyFirewall: () => void;
  readonly log: Logger;
}

/** Published ports of all containers and pods, by owner: the sockets that hold them and the elements of the packet filter's maps. */
export class Publications implements AsyncDisposable {
  readonly #parts: PublicationParts;
  readonly #ports = new HostPorts();
  readonly #byOwner = new Map<string, readonly Publication[]>();
  /** Whose port another program has. */
  readonly #lost = new Set<Publication>();

  constructor(parts: PublicationParts) {
    this.#parts = parts;
  }

  all(): Publication[] {
    return [...this.#byOwner.values()].flat();
  }

  /** Ports that another program took while no engine was there to hold them. */
  lost(): Publication[] {
    return this.all().filter((publication) => this.#lost.has(publication));
  }

  /** Redirects host ports to the target; resolves to the bindings with the ports chosen. All or none. `address`: the network's own default. */
  async publish(owner: string, bindings: readonly PortBinding[], target: PublishTarget, address?: string): Promise<PortBinding[]> {
    const held: Publication[] = [];
    try {
      for (const binding of bindings) held.push(...(await this.#hold(owner, binding, target, address ?? this.#parts.publishAddress)));
      this.#apply(planPublish(this.#parts.table, held));
    } catch (error) {
      await Promise.all(held.map((publication) => this.#ports.release(publication)));
      throw error;
    }
    this.#byOwner.set(owner, [...(this.#byOwner.get(owner) ?? []), ...held]);
    return held.map(toBinding);
  }

  /** As Docker: where no address is named and that means all of IPv4, it means all of IPv6 too, on the same port, for a container that has it. */
  async #hold(owner: string, binding: PortBinding, target: PublishTarget, address: string): Promise<Publication[]> {
    const hostIp = binding.hostIp === '' ? address : binding.hostIp;
    const first = await this.#ports.hold(toPublication(owner, { ...binding, hostIp }, target));
    if (binding.hostIp !== '' || hostIp !== '0.0.0.0' || target.ipv6 === undefined) return [first];
    try {
      return [first, await this.#ports.hold(toPublication(owner, { ...binding, hostIp: '::', hostPort: first.hostPort }, target, true))];
    } catch (error) {
      await this.#ports.release(first);
      throw error;
    }
  }

  /** Takes all ports of the owner back; a no-op when it has none. */
  async unpublish(owner: string): Promise<void> {
    const found = this.#byOwner.get(owner) ?? [];
    this.#byOwner.delete(owner);
    try {
      this.#apply(planUnpublish(this.#parts.table, found));
    } catch (error) {
      if (!isError(error, 'not-found', 'invalid')) throw error;
      // Somebody emptied the table: put it back as it should be.
      this.#parts.applyFirewall();
    }
    await Promise.all(found.map((publication) => this.#ports.release(publication)));
  }

  /** Takes up ports of a container that ran on while we were away; the packet filter is written later. A port that is lost to another program is logged. */
  async restore(owner: string, bindings: readonly PortBinding[], target: PublishTarget): Promise<void> {
    const publications = bindings.map((binding) => toPublication(owner, binding, target));
    this.#byOwner.set(owner, publications);
    for (const publication of publications) {
      await this.#ports.hold(publication).catch((error: unknown) => {
        this.#lost.add(publication);
        this.#parts.log.warn('a published port is in use by another program', { binding: toBinding(publication), err: error });
      });
    }
  }

  #apply(script: string): void {
    if (script !== '') this.#parts.nftables.apply(script);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ports[Symbol.asyncDispose]();
  }
}

function toPublication(owner: string, binding: PortBinding, target: PublishTarget, isSamePort = false): Publication {
  const targetIp = binding.hostIp.includes(':') ? (target.ipv6 ?? target.ipv4) : target.ipv4;
  if (targetIp === '') throw new GantryError('internal', 'a port is published for a container without an address');
  const { hostPortLast, ...plain } = binding;
  return { ...plain, ...(hostPortLast === undefined || isSamePort ? {} : { hostPortLast }), targetIp, owner };
}

function toBinding({ protocol, containerPort, hostIp, hostPort }: Publication): PortBinding {
  return { protocol, containerPort, hostIp, hostPort };
}
