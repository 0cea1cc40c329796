import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { BuiltinSchemas, resources } from '../../api/mod.ts';
import { type Clock, GantryError, type Logger, systemClock } from '../../kernel/mod.ts';
import type { ObjectStore } from '../../store/mod.ts';
import { KubernetesProtobuf } from '../../wire/mod.ts';
import { type Authorizer, GroupAuthorizer } from './access/authorizer.ts';
import type { Authenticator } from './access/user.ts';
import { ConnectHandler } from './connect/connect-handler.ts';
import type { ConnectSubresource } from './connect/connect-subresource.ts';
import { podConnects } from './connect/pod-connect.ts';
import { DefinitionService } from './custom/definition-service.ts';
import { OpenApiHandler } from './discovery/openapi-handler.ts';
import { builtinKinds } from './kinds/builtin.ts';
import { KindRegistry } from './kinds/registry.ts';
import { parseIpv4Range } from './kinds/service-address.ts';
import { type PortRange, ServiceAllocator } from './kinds/service-allocator.ts';
import { metricsResources } from './metrics/metrics-resources.ts';
import { ObjectCache } from './objects/object-cache.ts';
import { ensureObject } from './operations/create.ts';
import type { Machine } from './operations/machine.ts';
import type { MetricsSource, NodeDialer } from './ports.ts';
import { reviewResources } from './reviews/review-resources.ts';
import { Router } from './router.ts';

/** Key and certificates as PEM. Clients that show a certificate are checked against `clientCa`. */
export interface ServerTls { readonly key: string; readonly cert: string; readonly clientCa: string }

export interface ApiServerOptions {
  /** Not closed by the server. */
  readonly store: ObjectStore;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: plain HTTP, for tests. */
  readonly tls?: ServerTls;
  /** Asked in order; the first that knows the user decides. */
  readonly authenticators: readonly Authenticator[];
  /** Default: members of system:masters and system:nodes may do everything. */
  readonly authorizer?: Authorizer;
  /** How nodes are reached. Absent: logs, exec and the like are `unavailable`. */
  readonly dialer?: NodeDialer;
  /** Absent: metrics.k8s.io is not served. */
  readonly metrics?: MetricsSource;
  /** Subresources that nodes' agents answer, beside those of pods. */
  readonly connects?: readonly ConnectSubresource[];
  /** Addresses of Services. Default 10.96.0.0/16. */
  readonly serviceCidr?: string;
  /** Default 30000 to 32767. */
  readonly nodePortRange?: PortRange;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Namespaces that exist from the start. */
const initialNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** The Kubernetes API over a store: a generic machine over a table of kinds. */
export class ApiServer implements AsyncDisposable {
  readonly #cleanup: AsyncDisposableStack;
  readonly #server: Server;
  readonly #host: string;
  readonly #isTls: boolean;
  /** For parts of this layer that work beside the HTTP interface. */
  readonly machine: Machine;

  private constructor(cleanup: AsyncDisposableStack, server: Server, machine: Machine, options: ApiServerOptions) {
    this.#cleanup = cleanup;
    this.#server = server;
    this.machine = machine;
    this.#host = options.listen.host;
    this.#isTls = options.tls !== undefined;
  }

  /** Reads the store, creates what every cluster has, and listens. `unavailable` when the port is taken. */
  static async open(options: ApiServerOptions): Promise<ApiServer> {
    await using cleanup = new AsyncDisposableStack();
    const objects = cleanup.use(await ObjectCache.open(options.store));
    const schemas = BuiltinSchemas.load();
    const allocator = new ServiceAllocator(parseIpv4Range(options.serviceCidr ?? '10.96.0.0/16'), options.nodePortRange ?? { from: 30_000, to: 32_767 });
    const kinds = new KindRegistry(builtinKinds(schemas, allocator));
    const machine: Machine = { objects, kinds, clock: options.clock ?? systemClock };
    cleanup.use(DefinitionService.open(machine, schemas, options.log));
    await createInitialObjects(machine);
    const authorizer = options.authorizer ?? new GroupAuthorizer();
    const router = new Router({
      machine,
      authenticators: options.authenticators,
      authorizer,
      virtual: [...reviewResources(authorizer), ...(options.metrics === undefined ? [] : metricsResources(machine, options.metrics))],
      connects: new ConnectHandler(machine, options.dialer, [...podConnects, ...(options.connects ?? [])]),
      protobuf: KubernetesProtobuf.load(),
      openApi: new OpenApiHandler(kinds, schemas),
      log: options.log,
      isReady: () => true,
    });
    const server = openServer(options.tls);
    server.on('request', (request, response) => void router.handle(request, response));
    server.on('upgrade', (request, socket, head) => void router.upgrade(request, socket, head));
    cleanup.defer(() => closeServer(server));
    cleanup.defer(() => router.stop());
    await listen(server, options.listen);
    return new ApiServer(cleanup.move(), server, machine, options);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `https://127.0.0.1:6443` or the like. */
  get url(): string {
    return `${this.#isTls ? 'https' : 'http'}://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  /** Ends watches and connections. The store stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

async function createInitialObjects(machine: Machine): Promise<void> {
  const kind = machine.kinds.find('', 'v1', resources.namespaces.plural);
  if (kind === undefined) throw new GantryError('internal', 'namespaces are not served');
  for (const name of initialNamespaces) {
    if (machine.objects.get(`${kind.keyPrefix}${name}`) === undefined) await ensureObject(machine, kind, '', { metadata: { name } });
  }
}

function openServer(tls: ServerTls | undefined): Server {
  const timeouts = { keepAliveTimeout: 120_000, requestTimeout: 60_000, headersTimeout: 30_000 };
  if (tls === undefined) return createHttpServer(timeouts);
  return createHttpsServer({ ...timeouts, key: tls.key, cert: tls.cert, ca: tls.clientCa, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' });
}

function listen(server: Server, { host, port }: ApiServerOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${host}:${port}`, { cause: error })));
    server.listen(port, host, resolve);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    // Answers under way get a moment; then the connections are cut.
    setTimeout(() => server.closeAllConnections(), 250).unref();
  });
}
