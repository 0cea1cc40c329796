import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { errnoOf } from './errors.ts';

/** A UDP socket and a TCP server on one port of one address, as protocols like DNS want them (RFC 1035, 4.2). */
export interface PortPair {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly port: number;
}

const attempts = 32;

/**
 * Binds both or neither. Port 0 takes one that is free for both: the kernel chooses for one protocol only, so a choice that is
 * taken in the other is given back and made again. A port that was asked for and is in use fails with EADDRINUSE.
 */
export async function openPortPair(address: string, port: number): Promise<PortPair> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await bindBoth(address, port);
    } catch (error) {
      if (port !== 0 || errnoOf(error) !== 'EADDRINUSE' || attempt === attempts) throw error;
    }
  }
}

async function bindBoth(address: string, wanted: number): Promise<PortPair> {
  // Loaded here, because every command of the command line loads this layer.
  const [{ createSocket }, { createServer }] = await Promise.all([import('node:dgram'), import('node:net')]);
  const udp = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
  const tcp = createServer();
  try {
    udp.bind({ address, port: wanted, exclusive: true });
    await once(udp, 'listening');
    const { port } = udp.address();
    tcp.listen({ host: address, port, exclusive: true });
    await once(tcp, 'listening');
    return { udp, tcp, port };
  } catch (error) {
    udp.close();
    throw error;
  }
}
