import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { descriptors, openBoundSocket, openNftables, withinNamespaces } from '../../host/mod.ts';
import type { Logger, PortPair } from '../../kernel/mod.ts';
import { NameServer, type NameSource } from './name-server.ts';

/** Where containers of user-defined networks ask for names, as under Docker: many configurations name this address. */
export const containerDnsAddress = '127.0.0.11';

/**
 * The name service inside containers' network namespaces. Its sockets belong to this process and to the container's own loopback, so no
 * filter of the host is in between, and who asks is known by the socket. Port 53 stays the container's: the packet filter of its namespace
 * leads queries to the port that the kernel chose.
 */
export class ContainerDns implements AsyncDisposable {
  readonly #names: NameSource;
  readonly #log: Logger;
  readonly #servers = new Map<string, NameServer>();

  constructor(names: NameSource, log: Logger) {
    this.#names = names;
    this.#log = log;
  }

  /** Begins to serve the container in its namespace; a no-op when it does already. */
  async open(containerId: string, namespaceFile: string): Promise<void> {
    if (this.#servers.has(containerId)) return;
    const sockets = await openSockets(namespaceFile);
    const { udp } = sockets;
    const ports = { udp: udp.address().port, tcp: sockets.port };
    const server = new NameServer(sockets, containerId, this.#names, this.#log);
    this.#servers.set(containerId, server);
    try {
      withinNamespaces({ net: namespaceFile }, () => {
        using nftables = openNftables();
        nftables.apply(planRedirect(ports));
      });
    } catch (error) {
      await this.close(containerId);
      throw error;
    }
  }

  /** Its sockets keep the namespace alive, so this comes before the namespace is to go. A no-op when it was not served. */
  async close(containerId: string): Promise<void> {
    const server = this.#servers.get(containerId);
    this.#servers.delete(containerId);
    await server?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((id) => this.close(id)));
  }
}

async function openSockets(namespaceFile: string): Promise<PortPair> {
  const fds = withinNamespaces({ net: namespaceFile }, () => {
    const udpFd = openBoundSocket('udp', 0, containerDnsAddress);
    try {
      return { udp: udpFd, tcp: openBoundSocket('tcp', 0, containerDnsAddress) };
    } catch (error) {
      descriptors.close(udpFd);
      throw error;
    }
  });
  const [udp, tcp] = [createSocket('udp4'), createServer()];
  // Before they are bound: with a descriptor the event comes at once.
  const listening = Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  udp.bind({ fd: fds.udp });
  tcp.listen({ fd: fds.tcp });
  await listening;
  const address = tcp.address();
  return { udp, tcp, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

/** The table inside a container's namespace; replaces what an earlier agent left there. Pure. */
export function planRedirect(ports: { udp: number; tcp: number }): string {
  const table = 'ip gantry-dns';
  const to = (protocol: 'udp' | 'tcp'): string => `    ip daddr ${containerDnsAddress} ${protocol} dport 53 dnat to ${containerDnsAddress}:${ports[protocol]}`;
  return [`add table ${table}`, `delete table ${table}`, `table ${table} {`, '  chain output { type nat hook output priority -100; policy accept;', to('udp'), to('tcp'), '  }', '}'].join('\n');
}
