import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { PortBinding } from '../types.ts';

/**
 * Host ports in use by publications. Traffic is redirected by the packet filter and never reaches these sockets; they only keep other
 * programs from taking the port, and find out when one has it already. They cost no process.
 */
export class HostPorts implements AsyncDisposable {
  readonly #held = new Map<string, () => Promise<void>>();

  /** Takes the port, or any free one for 0; resolves to the port. `conflict` when somebody else has it. */
  async hold(binding: PortBinding): Promise<PortBinding> {
    const { port, close } = binding.protocol === 'tcp' ? await holdTcp(binding) : await holdUdp(binding);
    const held = { ...binding, hostPort: port };
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

function holdTcp({ hostIp, hostPort }: PortBinding): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => reject(portError(error, hostIp, hostPort)));
    server.listen({ host: hostIp, port: hostPort, exclusive: true }, () => {
      const address = server.address();
      server.unref();
      const close = (): Promise<void> => new Promise((done) => void server.close(() => done()));
      resolve({ port: typeof address === 'object' && address !== null ? address.port : hostPort, close });
    });
  });
}

function holdUdp({ hostIp, hostPort }: PortBinding): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => reject(portError(error, hostIp, hostPort)));
    socket.bind({ address: hostIp, port: hostPort, exclusive: true }, () => {
      socket.unref();
      resolve({ port: socket.address().port, close: () => new Promise((done) => void socket.close(() => done())) });
    });
  });
}

function portError(error: Error, hostIp: string, hostPort: number): GantryError {
  if (errnoOf(error) === 'EADDRINUSE') return new GantryError('conflict', `Bind for ${hostIp}:${hostPort} failed: port is already allocated`, { cause: error });
  if (errnoOf(error) === 'EADDRNOTAVAIL') return new GantryError('invalid', `cannot publish on ${hostIp}: this host does not have the address`, { cause: error });
  if (errnoOf(error) === 'EACCES') return new GantryError('forbidden', `cannot publish on port ${hostPort}`, { cause: error });
  return new GantryError('internal', `cannot publish on ${hostIp}:${hostPort}`, { cause: error });
}
