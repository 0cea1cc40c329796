import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { GantryError, isLoopbackHost, type Logger, toGantryError } from '../../kernel/mod.ts';
import { type BlobStore, DiskBlobStore } from '../../store/mod.ts';
import { defaultRegistryLimits, type RegistryLimits } from '../config.ts';
import type { RegistryAuthorizer, RegistryVerb, RulesOf, Upstreams } from '../ports.ts';
import { AccessControl } from './access.ts';
import { beginUpload, cancelUpload, deleteBlob, describeUpload, patchUpload, putUpload, serveBlob } from './blobs.ts';
import { type CollectorOptions, RegistryCollector } from './collector.ts';
import { DiskBudget, type RegistryUsage } from './disk-budget.ts';
import { answer, answerJson, type Exchange, pageOf } from './http.ts';
import { deleteManifest, listReferrers, putManifest, serveManifest } from './manifests.ts';
import { PullThrough } from './pull-through.ts';
import { errorAnswer, registryError } from './registry-error.ts';
import { Repositories } from './repositories.ts';
import { checkedRepository, parseRoute, type RegistryRoute } from './routes.ts';
import { Sweeping } from './sweeping.ts';
import { TokenIssuer } from './token-issuer.ts';

export interface RegistryOptions {
  /** Tags and manifests' records are kept below it, and the blobs unless `blobs` is given. */
  readonly folder: string;
  readonly blobs?: BlobStore;
  readonly log: Logger;
  readonly authorizer?: RegistryAuthorizer;
  readonly limits?: Partial<RegistryLimits>;
  /** Immutable tags and retention. Default: tags move, and all stay. */
  readonly rulesOf?: RulesOf;
  /** How many bytes the blobs may use; see DiskBudget. Default: no limit. */
  readonly budgetBytes?: number;
  /** Registries that this one keeps copies of. Default: none. */
  readonly upstreams?: Upstreams;
}

/** A listening registry. Disposing stops it and ends open connections. */
export interface ListeningRegistry extends AsyncDisposable {
  /** `host:port` as image references have it. */
  readonly host: string;
  readonly url: string;
}

/** Where a registry listens; `tls` holds PEM texts. */
export interface RegistryAddress { readonly host: string; readonly port: number; readonly tls?: { readonly cert: string; readonly key: string } }

/** An OCI distribution registry. `handle` can be put behind any HTTP server; `listen` brings its own. */
export interface Registry {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Port 0 takes any free one. `forbidden` without TLS on an address that others reach: passwords and images would be open to all between. */
  listen(address: RegistryAddress): Promise<ListeningRegistry>;
  /** A service that removes what nothing refers to, while the registry goes on serving. */
  collector(options: CollectorOptions): RegistryCollector;
  /** How much of the disk budget is used. Known soon after the collector has begun to run. */
  usage(): RegistryUsage;
  readonly blobs: BlobStore;
}

/** Opens the registry of a folder. One process at a time. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const blobs = options.blobs ?? (await DiskBlobStore.open(join(options.folder, 'blobs')));
  const repositories = await Repositories.open(join(options.folder, 'repositories'));
  return new RegistryServer(options, blobs, repositories, await TokenIssuer.open(join(options.folder, 'token-key')));
}

type Handler = (exchange: Exchange) => Promise<void> | void;
type Methods = Partial<Record<'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', { verb: RegistryVerb | undefined; handler: Handler }>>;

class RegistryServer implements Registry {
  readonly blobs: BlobStore;
  readonly #repositories: Repositories;
  readonly #sweeping = new Sweeping();
  readonly #log: Logger;
  readonly #limits: RegistryLimits;
  readonly #access: AccessControl;
  readonly #rulesOf: RulesOf;
  readonly #budget: DiskBudget;
  readonly #upstreams: Upstreams;
  readonly #pullThrough: PullThrough;

  constructor(options: RegistryOptions, blobs: BlobStore, repositories: Repositories, issuer: TokenIssuer) {
    this.blobs = blobs;
    this.#repositories = repositories;
    this.#log = options.log;
    this.#limits = { ...defaultRegistryLimits, ...options.limits };
    this.#access = new AccessControl(options.authorizer, issuer);
    this.#rulesOf = options.rulesOf ?? (() => ({ immutableTags: [], retention: [] }));
    this.#budget = new DiskBudget(options.budgetBytes, options.log);
    this.#upstreams = options.upstreams ?? { find: () => undefined, repositoryOf: () => undefined };
    this.#pullThrough = new PullThrough({ blobs, repositories, sweeping: this.#sweeping, budget: this.#budget, maxManifestBytes: this.#limits.maxManifestBytes, log: options.log });
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    this.#serve(request, response, gone.signal).catch((error: unknown) => this.#fail(request, response, toGantryError(error)));
  }

  collector(options: CollectorOptions): RegistryCollector {
    return new RegistryCollector({ repositories: this.#repositories, blobs: this.blobs, sweeping: this.#sweeping, rulesOf: this.#rulesOf, budget: this.#budget, log: this.#log }, options);
  }

  usage(): RegistryUsage {
    return this.#budget.usage();
  }

  async listen(address: RegistryAddress): Promise<ListeningRegistry> {
    const { tls } = address;
    if (tls === undefined && !isLoopbackHost(address.host)) throw new GantryError('forbidden', `the registry listens on ${address.host} only with TLS`);
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => this.handle(request, response);
    const server = tls === undefined ? createServer(onRequest) : createTlsServer({ ...tls, minVersion: 'TLSv1.2' }, onRequest);
    // Uploads of large layers take as long as they take; what stalls is ended by the idle timeout.
    server.requestTimeout = 0;
    server.timeout = this.#limits.idleTimeoutMs;
    server.keepAliveTimeout = 60_000;
    await listening(server, address);
    const { port } = server.address() as AddressInfo;
    const host = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`;
    return { host, url: `${tls === undefined ? 'http' : 'https'}://${host}`, [Symbol.asyncDispose]: () => closed(server) };
  }

  async #serve(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    // Not URL: it takes the first name of `//name/…` for a host, and throws for what is none.
    const [, path = '/', search = ''] = /^([^?#]*)(?:\?([^#]*))?/.exec(request.url ?? '/') ?? [];
    const query = new URLSearchParams(search);
    const asked = parseRoute(decodePath(path));
    const route = asked === undefined ? undefined : this.#atHome(asked, query.get('ns'), response);
    if (route === undefined) throw registryError('not-found', 'NAME_UNKNOWN', 'no such page');
    const exchange: Exchange = { request, response, query, signal };
    const methods = this.#methodsOf(route);
    const method = methods[request.method as keyof Methods];
    if (method === undefined) {
      response.setHeader('allow', Object.keys(methods).join(', '));
      throw registryError('unsupported', 'UNSUPPORTED', `${request.method ?? ''} is not supported here`);
    }
    const needs = method.verb === undefined || !('repository' in route) ? undefined : { repository: route.repository, verb: method.verb };
    if (route.kind !== 'token') await this.#access.check(exchange, needs);
    await method.handler(exchange);
    // What a handler did not read of a body would be taken for the next request.
    if (!request.complete) request.resume();
  }

  /** A client that takes this registry for the mirror of another says of which (`ns`, "Registry Proxying"). What is no copy here stays what it is. */
  #atHome(route: RegistryRoute, namespace: string | null, response: ServerResponse): RegistryRoute {
    const repository = namespace === null || !('repository' in route) ? undefined : this.#upstreams.repositoryOf(namespace, route.repository);
    if (repository === undefined || namespace === null) return route;
    response.setHeader('oci-namespace', namespace.replaceAll(/[^A-Za-z0-9.:-]/g, ''));
    return { ...route, repository: checkedRepository(repository) } as RegistryRoute;
  }

  /** The end points (OCI distribution spec, "Endpoints"). */
  #methodsOf(route: RegistryRoute): Methods {
    const blobs = { blobs: this.blobs, repositories: this.#repositories, sweeping: this.#sweeping, budget: this.#budget, upstreams: this.#upstreams, pullThrough: this.#pullThrough, log: this.#log };
    const manifests = { ...blobs, rulesOf: this.#rulesOf, maxManifestBytes: this.#limits.maxManifestBytes };
    const on = (verb: RegistryVerb | undefined, handler: Handler): { verb: RegistryVerb | undefined; handler: Handler } => ({ verb, handler });
    switch (route.kind) {
      case 'base': {
        const base = on(undefined, (exchange) => answerJson(exchange, {}));
        return { GET: base, HEAD: base };
      }
      case 'token':
        return { GET: on(undefined, (exchange) => this.#access.issueToken(exchange)), POST: on(undefined, (exchange) => this.#access.issueToken(exchange)) };
      case 'catalog':
        return { GET: on(undefined, (exchange) => this.#listRepositories(exchange)) };
      case 'tags':
        return { GET: on('pull', (exchange) => this.#listTags(exchange, route.repository)) };
      case 'manifest': {
        const get = on('pull', (exchange) => serveManifest(manifests, exchange, route.repository, route.reference));
        return {
          GET: get, HEAD: get,
          PUT: on('push', (exchange) => putManifest(manifests, exchange, route.repository, route.reference)),
          DELETE: on('delete', (exchange) => deleteManifest(manifests, exchange, route.repository, route.reference)),
        };
      }
      case 'blob': {
        const get = on('pull', (exchange) => serveBlob(blobs, exchange, route.repository, route.digest));
        return { GET: get, HEAD: get, DELETE: on('delete', (exchange) => deleteBlob(blobs, exchange, route.repository, route.digest)) };
      }
      case 'uploads':
        return { POST: on('push', (exchange) => beginUpload(blobs, exchange, route.repository, (from) => this.#access.isAllowed(exchange, from, 'pull'))) };
      case 'upload':
        return {
          GET: on('push', (exchange) => describeUpload(blobs, exchange, route.repository, route.id)),
          PATCH: on('push', (exchange) => patchUpload(blobs, exchange, route.repository, route.id)),
          PUT: on('push', (exchange) => putUpload(blobs, exchange, route.repository, route.id)),
          DELETE: on('push', (exchange) => cancelUpload(blobs, exchange, route.repository, route.id)),
        };
      case 'referrers':
        return { GET: on('pull', (exchange) => listReferrers(manifests, exchange, route.repository, route.digest)) };
    }
  }

  /** Those that the user may pull. */
  async #listRepositories(exchange: Exchange): Promise<void> {
    const visible: string[] = [];
    for (const repository of await this.#repositories.list()) if (await this.#access.isListed(exchange, repository)) visible.push(repository);
    const { page, link } = pageOf(visible, exchange.query, '/v2/_catalog', this.#limits.maxPageEntries);
    answerJson(exchange, { repositories: page }, link);
  }

  async #listTags(exchange: Exchange, repository: string): Promise<void> {
    if (!(await this.#repositories.exists(repository))) throw registryError('not-found', 'NAME_UNKNOWN', `there is no repository ${repository}`);
    const { page, link } = pageOf(await this.#repositories.tags(repository), exchange.query, `/v2/${repository}/tags/list`, this.#limits.maxPageEntries);
    answerJson(exchange, { name: repository, tags: page }, link);
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: GantryError): void {
    if (error.code === 'internal') this.#log.error('registry request failed', { method: request.method, url: request.url, err: error });
    if (response.headersSent || response.destroyed) {
      // The status is out: only a broken connection tells the client that the content is not whole.
      response.destroy();
      return;
    }
    const { status, body, retryAfterSeconds } = errorAnswer(error);
    if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds);
    if (!request.complete) response.setHeader('connection', 'close');
    answer({ request, response, query: new URLSearchParams(), signal: AbortSignal.abort() }, status, { 'content-type': 'application/json' }, body);
  }
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw registryError('invalid', 'NAME_INVALID', 'the path is not properly encoded');
  }
}

async function listening(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${host}:${port}`, { cause: error })));
    server.listen(port, host, () => resolve());
  });
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
