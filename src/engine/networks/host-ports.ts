import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { errnoOf, GantryError, isError } from '../../kernel/mod.ts';
import type { PortBinding } from '../types.ts';
import { familyOf, type Publication } from './firewall.ts';
import { relayTcp, relayUdp, type RelayTarget } from './port-relay.ts';

/** Closes what holds a port. */
type Close = () => Promise<void>;

/**
 * Host ports in use by publications. Traffic is redirected by the packet filter and never reaches these sockets; they keep other programs
 * from taking the port, and find out when one has it already. What the packet filter cannot translate (IPv6's loopback, and IPv6 to a
 * container that has only IPv4) does reach them and is relayed by this process.
 */
export class HostPorts implements AsyncDisposable {
  readonly #held = new Map<string, Close>();

  /** Takes the port, the first free one of a range, or any free one for 0; resolves to the port. `conflict` when somebody else has it. */
  async hold(wanted: Publication): Promise<Publication> {
    const { hostPortLast, ...publication } = wanted;
    if (hostPortLast === undefined) return this.#holdOne(publication);
    for (let hostPort = publication.hostPort; hostPort <= hostPortLast; hostPort += 1) {
      try {
        return await this.#holdOne({ ...publication, hostPort });
      } catch (error) {
        if (!isError(error, 'conflict')) throw error;
      }
    }
    throw new GantryError('conflict', `Bind for ${shown(publication.hostIp)}:${publication.hostPort}-${hostPortLast} failed: all ports are allocated`);
  }

  async #holdOne(publication: Publication): Promise<Publication> {
    const target = relayTarget(publication);
    const { port, close } = publication.protocol === 'tcp' ? await holdTcp(publication, target) : await holdUdp(publication, target);
    const held = { ...publication, hostPort: port };
    this.#held.set(keyOf(held), close);
    return held;
  }

  async release(binding: PortBinding): Promise<void> {
    const close = this.#held.get(keyOf(binding));
    this.#held.delete(keyOf(binding));
    await close?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#held.values()].map((close) => close()));
    this.#held.clear();
  }
}

function keyOf({ protocol, hostIp, hostPort }: PortBinding): string {
  return `${protocol} ${hostIp} ${hostPort}`;
}

/** Undefined: everything that could arrive is translated on its way. */
function relayTarget(publication: Publication): RelayTarget | undefined {
  const isRelayed = familyOf(publication) === undefined || publication.hostIp === '::';
  return isRelayed ? { ip: publication.targetIp, port: publication.containerPort } : undefined;
}

function holdTcp({ hostIp, hostPort }: PortBinding, target: RelayTarget | undefined): Promise<{ port: number; close: Close }> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => void (target === undefined && socket.destroy()));
    const relay = target === undefined ? undefined : relayTcp(server, target);
    server.once('error', (error) => reject(portError(error, hostIp, hostPort)));
    server.listen({ host: hostIp, port: hostPort, exclusive: true, ipv6Only: hostIp.includes(':') }, () => {
      const address = server.address();
      server.unref();
      const close = (): Promise<void> => {
        relay?.[Symbol.dispose]();
        return new Promise((done) => void server.close(() => done()));
      };
      resolve({ port: typeof address === 'object' && address !== null ? address.port : hostPort, close });
    });
  });
}

function holdUdp({ hostIp, hostPort }: PortBinding, target: RelayTarget | undefined): Promise<{ port: number; close: Close }> {
  return new Promise((resolve, reject) => {
    const isIpv6 = hostIp.includes(':');
    const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ...(isIpv6 ? { ipv6Only: true } : {}) });
    const relay = target === undefined ? undefined : relayUdp(socket, target);
    socket.once('error', (error) => reject(portError(error, hostIp, hostPort)));
    socket.bind({ address: hostIp, port: hostPort, exclusive: true }, () => {
      socket.unref();
      const close = (): Promise<void> => {
        relay?.[Symbol.dispose]();
        return new Promise((done) => void socket.close(() => done()));
      };
      resolve({ port: socket.address().port, close });
    });
  });
}

function shown(hostIp: string): string {
  return hostIp.includes(':') ? `[${hostIp}]` : hostIp;
}

function portError(error: Error, hostIp: string, hostPort: number): GantryError {
  const where = `${shown(hostIp)}:${hostPort}`;
  if (errnoOf(error) === 'EADDRINUSE') return new GantryError('conflict', `Bind for ${where} failed: port is already allocated`, { cause: error });
  if (errnoOf(error) === 'EADDRNOTAVAIL') return new GantryError('invalid', `cannot publish on ${hostIp}: this host does not have the address`, { cause: error });
  if (errnoOf(error) === 'EAFNOSUPPORT') return new GantryError('unsupported', `cannot publish on ${hostIp}: this host has no IPv6`, { cause: error });
  if (errnoOf(error) === 'EACCES') return new GantryError('forbidden', `cannot publish on port ${hostPort}`, { cause: error });
  return new GantryError('internal', `cannot publish on ${where}`, { cause: error });
}
