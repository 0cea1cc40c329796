import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { k8s, Stored } from '../../../api/mod.ts';
import type { Lister } from '../../../client/mod.ts';
import { GantryError, type Logger, requestUrl } from '../../../kernel/mod.ts';
import { remoteCommandProtocol, type RemoteResult } from '../../../wire/mod.ts';
import type { ContainerRuntime } from '../ports.ts';
import type { RuntimeIndex } from '../runtime-index.ts';
import { parseLogQuery, sendLogs } from './container-logs.ts';
import { sendError, toHttpError } from './http-error.ts';
import { readStats } from './node-stats.ts';
import { PodTargets } from './pod-target.ts';
import { PortForwardServer } from './port-forward.ts';
import { type RemoteStreams, type RemoteWants, serveRemoteSession } from './remote-session.ts';

/** The listener's own certificate, and the authority that its clients' certificates come from. All PEM. */
export interface ListenerTls { readonly cert: string; readonly key: string; readonly clientCa: string }

/** A route of another part of the agent's process. */
export interface ExtraRoute {
  /** The path's beginning, with a slash at both ends, for example `/imageBuildLogs/`. */
  readonly prefix: string;
  /** Answers a GET. What it throws becomes the answer while nothing was sent yet. */
  handle(request: IncomingMessage, response: ServerResponse, url: URL, signal: AbortSignal): Promise<void>;
}

export interface ListenerParts {
  readonly runtime: ContainerRuntime;
  readonly index: RuntimeIndex;
  readonly pods: Lister<k8s.Pod>;
  /** The uid that a pod's containers carry. */
  readonly uidOnNode: (pod: Stored<k8s.Pod>) => string;
  readonly log: Logger;
}

/** The older protocol differs only in that single channels cannot be closed. */
const execProtocols = [remoteCommandProtocol, 'v4.channel.k8s.io'];

/**
 * The node's HTTPS listener, with the paths of a kubelet: containerLogs, exec, attach, portForward, stats, healthz and what the agent adds.
 * Only clients with a certificate of the instance's authority get in; that is the API server and nobody else.
 */
export class NodeListener implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #parts: ListenerParts;
  readonly #targets: PodTargets;
  readonly #extraRoutes: readonly ExtraRoute[];
  readonly #sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => execProtocols.find((protocol) => offered.has(protocol)) ?? false });
  readonly #forwards = new PortForwardServer();
  readonly #stop = new AbortController();

  static async open(listen: { host: string; port: number; tls: ListenerTls }, extraRoutes: readonly ExtraRoute[], parts: ListenerParts): Promise<NodeListener> {
    const { cert, key, clientCa } = listen.tls;
    const server = createServer({ cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${listen.host}:${listen.port}`, { cause: error })));
      server.listen(listen.port, listen.host, () => resolve());
    });
    return new NodeListener(server, extraRoutes, parts);
  }

  private constructor(server: Server, extraRoutes: readonly ExtraRoute[], parts: ListenerParts) {
    this.#server = server;
    this.#extraRoutes = extraRoutes;
    this.#parts = parts;
    this.#targets = new PodTargets(parts.pods, parts.index, parts.uidOnNode);
    this.port = (server.address() as AddressInfo).port;
    server.on('request', (request, response) => void this.#serve(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Ends streams that are open and refuses new ones. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new GantryError('cancelled', 'the node agent stops'));
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const client of this.#sockets.clients) client.terminate();
    this.#forwards.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new GantryError('cancelled', 'the client left')));
    response.on('error', () => undefined);
    const signal = AbortSignal.any([gone.signal, this.#stop.signal]);
    try {
      await this.#answer(request, response, requestUrl(request.url), signal);
    } catch (error) {
      if (!gone.signal.aborted) sendError(response, error);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, url: URL, signal: AbortSignal): Promise<void> {
    if (request.method !== 'GET') throw new GantryError('unsupported', `${request.method ?? ''} is not supported here`);
    const extra = this.#extraRoutes.find(({ prefix }) => url.pathname.startsWith(prefix));
    if (extra !== undefined) return extra.handle(request, response, url, signal);
    const [route, namespace, pod, container] = segmentsOf(url);
    if (route === 'healthz') return void response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    if (route === 'stats' && namespace === undefined) return this.#sendStats(response, signal);
    if (route !== 'containerLogs' || namespace === undefined || pod === undefined || container === undefined) throw new GantryError('not-found', `${url.pathname} is not served by this node`);
    const query = parseLogQuery(url.searchParams);
    await sendLogs(this.#parts.runtime, this.#targets.logged(namespace, pod, container, query.previous), query, response, signal);
  }

  async #sendStats(response: ServerResponse, signal: AbortSignal): Promise<void> {
    const podOf = new Map(this.#parts.pods.list().map((pod) => [this.#parts.uidOnNode(pod), { namespace: pod.metadata.namespace ?? 'default', name: pod.metadata.name }]));
    const answer = await readStats(this.#parts.runtime, (podUid) => podOf.get(podUid), signal);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      const url = requestUrl(request.url);
      const [route, namespace, pod, container] = segmentsOf(url);
      if (route === 'portForward' && namespace !== undefined && pod !== undefined) {
        const { id } = this.#targets.sandbox(namespace, pod);
        return this.#forwards.upgrade(request, socket, head, (port) => this.#parts.runtime.dial(id, port, this.#stop.signal));
      }
      if ((route !== 'exec' && route !== 'attach') || namespace === undefined || pod === undefined || container === undefined) {
        throw new GantryError('not-found', `${url.pathname} is not served by this node`);
      }
      // First what is wrong with the container: kubectl asks again in an older protocol when it is refused, and shows that answer.
      const { id } = this.#targets.running(namespace, pod, container);
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim());
      if (!offered.some((protocol) => execProtocols.includes(protocol))) {
        throw new GantryError('invalid', `exec and attach are served over WebSocket (${execProtocols.join(', ')}), as kubectl speaks it from 1.30 on`);
      }
      const wants = parseWants(url.searchParams);
      const command = url.searchParams.getAll('command');
      if (route === 'exec' && command.length === 0) throw new GantryError('invalid', 'exec needs a command');
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const work = route === 'exec' ? this.#exec(id, command, wants) : this.#attach(id);
        void serveRemoteSession(webSocket, wants, webSocket.protocol === remoteCommandProtocol, work, this.#stop.signal);
      });
    } catch (error) {
      const { status, body } = toHttpError(error);
      socket.end(`HTTP/1.1 ${status} Error\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
    }
  }

  #exec(id: string, command: string[], { tty }: RemoteWants) {
    return async (streams: RemoteStreams, signal: AbortSignal): Promise<RemoteResult> => this.#parts.runtime.exec(id, { command, tty, ...streams }, signal);
  }

  #attach(id: string) {
    return async (streams: RemoteStreams, signal: AbortSignal): Promise<RemoteResult> => {
      await this.#parts.runtime.attach(id, streams, signal);
      return { exitCode: 0 };
    };
  }
}

/** PodExecOptions as kubectl sends them, or under the names a kubelet knows. */
function parseWants(parameters: URLSearchParams): RemoteWants {
  const has = (...names: string[]): boolean => names.some((name) => ['true', '1'].includes(parameters.get(name) ?? ''));
  return { stdin: has('stdin', 'input'), stdout: has('stdout', 'output'), stderr: has('stderr', 'error'), tty: has('tty') };
}

function segmentsOf(url: URL): string[] {
  return url.pathname.split('/').filter((part) => part !== '').map(decodeURIComponent);
}
