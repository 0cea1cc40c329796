import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { GantryError } from '../../kernel/mod.ts';

/** Key and certificates as PEM. Clients that show a certificate are checked against `clientCa`. */
export interface ServerTls { readonly key: string; readonly cert: string; readonly clientCa: string }

/** What a listener gives its requests to. */
export interface RequestSink {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
}

/** How long answers under way may take when the listener closes, in milliseconds. */
const closeGraceMs = 250;

/** The socket side of the server: HTTP/2 and HTTP/1.1 over TLS (upgrades need 1.1), or plain HTTP/1.1 for tests. */
export class Listener implements AsyncDisposable {
  readonly #server: Server | Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();

  private constructor(server: Server | Http2SecureServer) {
    this.#server = server;
  }

  /** `unavailable` when the port is taken. Port 0 takes a free one. */
  static async open(address: { host: string; port: number }, tls: ServerTls | undefined, sink: RequestSink): Promise<Listener> {
    const server = tls === undefined ? createServer({ keepAliveTimeout: 120_000, requestTimeout: 60_000 }) : createTlsServer(tls);
    const listener = new Listener(server);
    // The compatible form of an HTTP/2 request has all that the handlers use of the older one.
    server.on('request', (request: unknown, response: unknown) => void sink.handle(request as IncomingMessage, response as ServerResponse));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void sink.upgrade(request, socket, head));
    server.on('session', (session: ServerHttp2Session) => {
      listener.#sessions.add(session);
      session.once('close', () => listener.#sessions.delete(session));
    });
    await listen(server, address);
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    if ('closeIdleConnections' in this.#server) this.#server.closeIdleConnections();
    const cut = setTimeout(() => this.#cut(), closeGraceMs);
    await closed;
    clearTimeout(cut);
  }

  #cut(): void {
    for (const session of this.#sessions) session.destroy();
    if ('closeAllConnections' in this.#server) this.#server.closeAllConnections();
  }
}

function createTlsServer({ key, cert, clientCa }: ServerTls): Http2SecureServer {
  return createSecureServer({ allowHTTP1: true, key, cert, ca: clientCa, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2', settings: { initialWindowSize: 1 << 20 } });
}

function listen(server: Server | Http2SecureServer, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${host}:${port}`, { cause: error })));
    server.listen(port, host, resolve);
  });
}
