import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { GantryError, type Logger } from '../../kernel/mod.ts';
import type { KubernetesProtobuf } from '../../wire/mod.ts';
import { type Authorizer, isPublic } from './access/authorizer.ts';
import { serveTokenKeys } from './access/tokens/token-keys.ts';
import type { ServiceAccountTokens } from './access/tokens/service-account-tokens.ts';
import { impersonated } from './access/impersonation.ts';
import { anonymous, type Authenticator, systemMasters, type User } from './access/user.ts';
import type { ConnectHandler } from './connect/connect-handler.ts';
import { serveDiscovery } from './discovery/discovery-handler.ts';
import type { OpenApiHandler } from './discovery/openapi-handler.ts';
import { badRequest, pathNotFound, qualifiedResource } from './errors.ts';
import type { Exchange } from './handlers/exchange.ts';
import { serveHealth } from './handlers/health.ts';
import { RequestMetrics } from './handlers/request-metrics.ts';
import { serveResource } from './handlers/resource-handler.ts';
import { serveSubresource } from './handlers/subresource-handler.ts';
import type { VirtualResource } from './kinds/virtual.ts';
import type { RequestSink } from './listener.ts';
import type { Machine } from './operations/machine.ts';
import { parseRequestInfo, type RequestInfo } from './requests/request-info.ts';
import type { PriorityLevels } from './requests/priority-levels.ts';
import { addWarnings, sendError, sendText } from './requests/respond.ts';
import { statusOf } from './status.ts';

export interface RouterOptions {
  readonly machine: Machine;
  readonly authenticators: readonly Authenticator[];
  readonly authorizer: Authorizer;
  readonly virtual: readonly VirtualResource[];
  readonly openApi: OpenApiHandler;
  readonly connects: ConnectHandler;
  readonly protobuf: KubernetesProtobuf;
  readonly tokens: ServiceAccountTokens;
  readonly levels: PriorityLevels;
  readonly log: Logger;
  isReady(): boolean;
}

/** Takes a request from the socket to its answer: who, may they, which handler. Every error becomes a Status. */
export class Router implements RequestSink {
  readonly #options: RouterOptions;
  readonly #stop = new AbortController();
  readonly #metrics = new RequestMetrics();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Ends open watches and tunnels. */
  stop(): void {
    this.#stop.abort(new GantryError('unavailable', 'the API server is shutting down'));
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#inTurn(this.#open(request, response));
    } catch (error) {
      await this.#fail(request, response, error);
    }
  }

  /** Takes over a connection that asks for another protocol: exec, attach, port-forward. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    socket.once('close', () => gone.abort(new GantryError('cancelled', 'the client is gone')));
    socket.on('error', () => socket.destroy());
    try {
      const { path, query } = splitUrl(request.url ?? '/');
      const info = parseRequestInfo(request.method ?? 'GET', path, query);
      this.#authorize(impersonated(this.#authenticate(request), request, this.#options.authorizer), info);
      const { connects, machine } = this.#options;
      const kind = machine.kinds.find(info.group, info.version, info.plural);
      const connect = connects.find(info);
      if (kind === undefined || connect === undefined) throw pathNotFound();
      await connects.upgrade(connect, kind, info, query, request, socket, head, AbortSignal.any([gone.signal, this.#stop.signal]));
    } catch (error) {
      if (!gone.signal.aborted) refuseUpgrade(socket, error);
    }
  }

  /** Waits for the client's turn, unless it is exempt, and answers. Watches give their place back once they have it. */
  async #inTurn(exchange: Exchange): Promise<void> {
    const { user, info } = exchange;
    if (user === anonymous || user.groups.includes(systemMasters)) return this.#dispatch(exchange);
    const queues = this.#options.levels.of(user);
    const width = info.verb === 'list' && info.isResource ? this.#listWidth(info) : 1;
    const release = queues.tryEnter(user.name, width) ?? (await queues.enter(user.name, width, exchange.signal));
    const isLong = info.verb === 'watch' || this.#options.connects.find(info) !== undefined;
    if (isLong) release();
    try {
      await this.#dispatch(exchange);
    } finally {
      release();
    }
  }

  /** A list is as much work as several requests for one object: a seat for each hundred, ten at most. */
  #listWidth({ group, plural }: RequestInfo): number {
    return Math.min(10, 1 + Math.floor(this.#options.machine.objects.count(`/${group === '' ? 'core' : group}/${plural}/`) / 100));
  }

  #open(request: IncomingMessage, response: ServerResponse): Exchange {
    const { path, query } = splitUrl(request.url ?? '/');
    const info = parseRequestInfo(request.method ?? 'GET', path, query);
    this.#metrics.follow(info, response);
    const user = isPublic(info) ? anonymous : impersonated(this.#authenticate(request), request, this.#options.authorizer);
    if (user !== anonymous) this.#authorize(user, info);
    const stop = this.#stop.signal;
    let signal: AbortSignal | undefined;
    return {
      ...{ request, response, info, query, user, protobuf: this.#options.protobuf },
      // Made when asked for: most requests are over before anything could be aborted.
      get signal() {
        return (signal ??= signalOf(response, stop));
      },
    };
  }

  #authenticate(request: IncomingMessage): User {
    for (const authenticator of this.#options.authenticators) {
      const user = authenticator.authenticate(request);
      if (user !== undefined) return user;
    }
    throw new GantryError('unauthenticated', 'Unauthorized');
  }

  #authorize(user: User, info: RequestInfo): void {
    const decision = this.#options.authorizer.authorize(user, info);
    if (decision.isAllowed) return;
    throw forbidden(user, info, decision.reason);
  }

  async #dispatch(exchange: Exchange): Promise<void> {
    const { info } = exchange;
    const { machine } = this.#options;
    if (!info.isResource) {
      if (info.path === '/metrics') return sendText(exchange.request, exchange.response, 200, this.#metrics.text(machine.objects, this.#options.levels.counts), 'text/plain; version=0.0.4; charset=utf-8');
      if (await serveHealth(exchange, this.#options.isReady())) return;
      if (await serveDiscovery(machine.kinds, this.#options.virtual, this.#options.connects, exchange)) return;
      if (await this.#options.openApi.serve(exchange)) return;
      if (await serveTokenKeys(exchange, this.#options.tokens)) return;
      throw pathNotFound();
    }
    const virtual = this.#options.virtual.find(({ group, version, plural }) => group === info.group && version === info.version && plural === info.plural);
    if (virtual !== undefined) return virtual.serve(exchange);
    const kind = machine.kinds.find(info.group, info.version, info.plural);
    if (kind === undefined) throw pathNotFound();
    if (kind.deprecation !== undefined) addWarnings(exchange.response, [kind.deprecation]);
    const connect = this.#options.connects.find(info);
    if (connect !== undefined) return this.#options.connects.serve(connect, kind, exchange);
    if (info.subresource === '') return serveResource(machine, kind, exchange, 'main');
    return serveSubresource(machine, this.#options.tokens, kind, exchange);
  }

  async #fail(request: IncomingMessage, response: ServerResponse, error: unknown): Promise<void> {
    const told = error instanceof RangeError ? badRequest('the request is nested too deeply', error) : error;
    if (!(told instanceof GantryError) || told.code === 'internal') this.#options.log.error('request failed', { method: request.method, url: request.url, err: told });
    request.resume();
    await sendError(request, response, told, this.#options.protobuf).catch(() => response.destroy());
  }
}

/** Aborts when the client leaves before its answer is complete, or with `stop`. */
function signalOf(response: ServerResponse, stop: AbortSignal): AbortSignal {
  const gone = new AbortController();
  const onGone = (): void => gone.abort(new GantryError('cancelled', 'the client is gone'));
  if (response.destroyed) onGone();
  else response.once('close', onGone);
  return AbortSignal.any([gone.signal, stop]);
}

function refuseUpgrade(socket: Duplex, error: unknown): void {
  const status = statusOf(error);
  const body = JSON.stringify(status);
  socket.end(`HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? ''}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

function splitUrl(url: string): { path: string; query: URLSearchParams } {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, query: new URLSearchParams() } : { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

function forbidden(user: User, info: RequestInfo, reason: string): GantryError {
  const why = reason === '' ? '' : `: ${reason}`;
  if (!info.isResource) return new GantryError('forbidden', `forbidden: User ${JSON.stringify(user.name)} cannot ${info.verb} path ${JSON.stringify(info.path)}${why}`);
  const resource = info.subresource === '' ? info.plural : `${info.plural}/${info.subresource}`;
  const where = info.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(info.namespace)}`;
  const subject = qualifiedResource({ group: info.group, plural: info.plural, kind: '' });
  const named = info.name === '' ? `${subject} is forbidden` : `${subject} ${JSON.stringify(info.name)} is forbidden`;
  return new GantryError('forbidden', `${named}: User ${JSON.stringify(user.name)} cannot ${info.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(info.group)} ${where}${why}`, {
    details: { name: info.name, group: info.group, kind: info.plural },
  });
}
