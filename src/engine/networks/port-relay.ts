import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Server } from 'node:net';

/** Where a relayed port leads. */
export interface RelayTarget { readonly ip: string; readonly port: number }

/** How long a UDP conversation is remembered after its last packet. */
const udpIdleMs = 90_000;
/** Conversations of one port at a time; further ones are dropped, as a full connection table drops them. */
const maxUdpPeers = 1024;

/** Passes each connection on, both ways and with half-closes. Disposing ends those that are open. */
export function relayTcp(server: Server, target: RelayTarget): Disposable {
  const open = new Set<{ destroy(): unknown }>();
  server.on('connection', (client) => {
    client.pause();
    const upstream = connect({ host: target.ip, port: target.port, allowHalfOpen: true }, () => {
      client.pipe(upstream);
      upstream.pipe(client);
    });
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  return { [Symbol.dispose]: () => [...open].forEach((socket) => socket.destroy()) };
}

/** Passes packets on: each client's from a socket of its own, so that answers find their way back. */
export function relayUdp(socket: UdpSocket, target: RelayTarget): Disposable {
  const peers = new Map<string, { upstream: UdpSocket; timer: NodeJS.Timeout }>();
  const forget = (key: string): void => {
    const peer = peers.get(key);
    if (peer === undefined) return;
    peers.delete(key);
    clearTimeout(peer.timer);
    peer.upstream.close();
  };
  socket.on('message', (packet, { address, port }) => {
    const key = `${address} ${port}`;
    const known = peers.get(key);
    if (known !== undefined) {
      known.timer.refresh();
      known.upstream.send(packet);
      return;
    }
    if (peers.size >= maxUdpPeers) return;
    const upstream = createSocket(target.ip.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => forget(key), udpIdleMs);
    timer.unref();
    peers.set(key, { upstream, timer });
    upstream.unref();
    upstream.on('error', () => forget(key));
    upstream.on('message', (answer) => {
      timer.refresh();
      socket.send(answer, port, address, () => undefined);
    });
    // What comes before the socket is connected is lost, as UDP may lose it, but for the first packet.
    upstream.connect(target.port, target.ip, () => upstream.send(packet));
  });
  return { [Symbol.dispose]: () => [...peers.keys()].forEach(forget) };
}
