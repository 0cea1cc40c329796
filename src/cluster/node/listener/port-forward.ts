import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { formatError, GantryError } from '../../../kernel/mod.ts';
import { serveSpdySession, type SpdyStream } from './spdy-session.ts';

const streamProtocol = 'portforward.k8s.io';
const webSocketProtocol = `SPDY/3.1+${streamProtocol}`;

/** Opens a connection to a port inside the pod. */
export type DialPort = (port: number) => Promise<Duplex>;

/**
 * Port-forward as kubectl speaks it: SPDY/3.1 frames inside a WebSocket, or directly on the upgraded connection (its fallback).
 * For every forwarded connection the client opens a pair of streams with the same request id, one for data and one for an error.
 */
export class PortForwardServer {
  readonly #sockets = new WebSocketServer({ noServer: true });

  constructor() {
    this.#sockets.on('headers', (headers: string[]) => headers.push(`Sec-WebSocket-Protocol: ${webSocketProtocol}`));
  }

  /** Answers the upgrade and serves until the client leaves. `invalid` when it is no upgrade that is understood. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, dial: DialPort): void {
    const upgrade = (request.headers.upgrade ?? '').toLowerCase();
    if (upgrade === 'spdy/3.1') return this.#upgradeSpdy(request, socket, head, dial);
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim());
    if (upgrade !== 'websocket' || !offered.includes(webSocketProtocol)) throw new GantryError('invalid', `port-forward needs an upgrade to SPDY/3.1, or to a WebSocket with the protocol ${webSocketProtocol}`);
    // The name has a slash, which RFC 6455 does not allow and ws therefore refuses: it must not see it.
    delete request.headers['sec-websocket-protocol'];
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => void serveForwards(createWebSocketStream(webSocket), dial));
  }

  #upgradeSpdy(request: IncomingMessage, socket: Duplex, head: Buffer, dial: DialPort): void {
    const versions = (request.headers['x-stream-protocol-version'] ?? streamProtocol).toString().split(',').map((text) => text.trim());
    if (!versions.includes(streamProtocol)) throw new GantryError('invalid', `the stream protocol must be ${streamProtocol}`);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${streamProtocol}\r\n\r\n`);
    if (head.length > 0) socket.unshift(head);
    void serveForwards(socket, dial);
  }

  close(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }
}

async function serveForwards(transport: Duplex, dial: DialPort): Promise<void> {
  const waiting = new Map<string, SpdyStream>();
  transport.on('error', () => undefined);
  // A client that breaks off is no error of ours.
  await serveSpdySession(transport, (stream) => {
    const { headers } = stream;
    const key = headers.get('requestid') ?? headers.get('port') ?? '';
    const other = waiting.get(key);
    if (other === undefined) return void waiting.set(key, stream);
    waiting.delete(key);
    const [data, error] = headers.get('streamtype') === 'data' ? [stream, other] : [other, stream];
    void forward(Number(headers.get('port')), data, error, dial);
  }).catch(() => undefined);
}

/** When the pod's side has said its last word, the connection is over; the client's end alone only half-closes it. */
async function forward(port: number, data: SpdyStream, error: SpdyStream, dial: DialPort): Promise<void> {
  try {
    const socket = await dial(port);
    void pipeline(data, socket).catch(() => socket.destroy());
    await pipeline(socket, data);
    error.end();
  } catch (failure) {
    error.end(`error forwarding port ${port}: ${formatError(failure)}`);
    data.destroy();
  }
  error.resume();
}
