import { chown, chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { createConnection, type AddressInfo, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { spreadFolders } from '../../host/mod.ts';
import { GantryError, isError, isLoopbackHost, type Logger, requestUrl, toGantryError } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ImageStore } from '../images/types.ts';
import type { Credentials, ImageBuilder, RegistryLogin } from '../ports.ts';
import { formatApiVersion, maxApiVersion, splitVersion } from './api-version.ts';
import type { Call, DockerServices } from './call.ts';
import { errorAnswer } from './docker-error.ts';
import { ExecTable } from './exec-table.ts';
import type { Route } from './route.ts';
import { Router } from './router.ts';
import { dockerRoutes } from './routes.ts';

export interface DockerApiOptions {
  readonly engine: Engine;
  readonly images: ImageStore;
  /** Absent: `POST /build` is refused. */
  readonly builder?: ImageBuilder;
  /** For `POST /auth`. Absent: a login is taken as it is, and the registry decides at the first pull or push. */
  readonly registry?: RegistryLogin;
  /** For build contexts while they are built. Its own: what is in it when the API opens is debris and removed. */
  readonly temporaryFolder: string;
  /** Of this program. */
  readonly version: string;
  readonly log: Logger;
  /** Credentials for the pulls and pushes of clients that bring none, by image reference. Absent: they have none, whatever the engine itself has. */
  readonly credentialsFor?: (reference: string) => Credentials | undefined;
  /** For clients that are not root's own: throws for end points that are not theirs, and what went wrong inside is not told. */
  readonly admit?: (route: Route) => void;
}

export type DockerListener =
  /** `groupId`: who may connect besides root. The socket has mode 0660. */
  | { readonly socketPath: string; readonly groupId?: number }
  /** Without TLS whoever reaches it is root: loopback only. */
  | { readonly host: string; readonly port: number; readonly tls?: DockerTls };

/** PEM. As dockerd's `tlsverify`: only clients with a certificate of the authority may speak at all. */
export interface DockerTls { readonly ca: string; readonly cert: string; readonly key: string }

/** A listening Docker API. Disposing stops it and ends open connections; containers go on. */
export interface ListeningDockerApi extends AsyncDisposable {
  /** As DOCKER_HOST has it. */
  readonly url: string;
}

/** The Docker Engine API over an engine. */
export interface DockerApi {
  listen(listener: DockerListener): Promise<ListeningDockerApi>;
}

export async function openDockerApi(options: DockerApiOptions): Promise<DockerApi> {
  await rm(options.temporaryFolder, { recursive: true, force: true });
  await mkdir(options.temporaryFolder, { recursive: true, mode: 0o700 });
  // Contexts come and go.
  spreadFolders(options.temporaryFolder);
  return new DockerApiServer(options);
}

class DockerApiServer implements DockerApi {
  readonly #services: DockerServices;
  readonly #router = new Router(dockerRoutes);
  readonly #log: Logger;
  readonly #admit: DockerApiOptions['admit'];

  constructor(options: DockerApiOptions) {
    const { engine, images, builder, registry, version, log } = options;
    this.#services = { engine, images, builder, registry, execs: new ExecTable(), log, temporaryFolder: options.temporaryFolder, version, ...(options.credentialsFor === undefined ? {} : { credentialsFor: options.credentialsFor }) };
    this.#log = log;
    this.#admit = options.admit;
  }

  async listen(listener: DockerListener): Promise<ListeningDockerApi> {
    const upgraded = new Set<Duplex>();
    const server = serverOf(listener, (request, response) => void this.#serve(request, response, undefined, request));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      const response = new ServerResponse(request);
      response.assignSocket(socket as Socket);
      upgraded.add(socket);
      socket.once('close', () => upgraded.delete(socket));
      void this.#serve(request, response, { socket, isTaken: false }, socket);
    });
    // Attached containers and followed logs may be silent for days, and uploads of contexts slow.
    server.requestTimeout = 0;
    server.timeout = 0;
    const url = 'socketPath' in listener ? await listenOnSocket(server, listener) : await listenOnTcp(server, listener);
    return { url, [Symbol.asyncDispose]: () => closed(server, upgraded, listener) };
  }

  /** Never rejects: what goes wrong is answered. */
  async #serve(request: IncomingMessage, response: ServerResponse, upgraded: Call['upgraded'], body: Call['body']): Promise<void> {
    const gone = new AbortController();
    const connection = upgraded?.socket ?? response;
    const leave = (): void => gone.abort(new GantryError('cancelled', 'the client went away'));
    connection.once('close', leave);
    // A reset of an upgraded connection is the client's way to leave.
    connection.on('error', leave);
    try {
      await this.#dispatch(request, response, upgraded, body, gone.signal);
    } catch (error) {
      this.#fail(request, response, upgraded, toGantryError(error));
    }
    if (upgraded === undefined && !request.complete) request.resume();
  }

  async #dispatch(request: IncomingMessage, response: ServerResponse, upgraded: Call['upgraded'], body: Call['body'], signal: AbortSignal): Promise<void> {
    response.setHeader('server', `Gantry/${this.#services.version} (linux)`);
    response.setHeader('api-version', formatApiVersion(maxApiVersion));
    response.setHeader('docker-experimental', 'false');
    response.setHeader('ostype', 'linux');
    const { version, path } = splitVersion(requestUrl(request.url).pathname);
    const method = request.method ?? 'GET';
    const found = this.#router.find(method, path);
    if ('allowed' in found) {
      if (found.allowed.length === 0) throw new GantryError('not-found', 'page not found');
      response.setHeader('allow', found.allowed.join(', '));
      throw new GantryError('unsupported', `${method} ${path} is not supported`);
    }
    this.#admit?.(found.route);
    const isTaken = upgraded !== undefined && found.route.isHijacked;
    await found.route.handle({ request, response, upgraded: isTaken ? upgraded : undefined, apiVersion: version, params: found.params, parameters: found.route.parameters, signal, body }, this.#services);
    // A client that asked for an upgrade where there is none gets a plain answer, and the connection ends with it.
    if (upgraded !== undefined && !isTaken) response.once('finish', () => upgraded.socket.end());
  }

  #fail(request: IncomingMessage, response: ServerResponse, upgraded: Call['upgraded'], error: GantryError): void {
    if (error.code === 'internal') this.#log.error('docker request failed', { method: request.method, url: request.url, err: error });
    if (response.headersSent || upgraded?.isTaken === true || response.destroyed) {
      // The status is out: only the end of the connection can tell.
      (upgraded?.socket ?? response).destroy();
      return;
    }
    if (isError(error, 'cancelled') && upgraded?.socket.destroyed === true) return;
    const { status, body } = errorAnswer(this.#admit !== undefined && error.code === 'internal' ? new GantryError('internal', 'the engine failed') : error);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...(upgraded === undefined ? {} : { connection: 'close' }) });
    // A client reads the answer only after it has sent its body: closing now would give it a broken pipe instead.
    request.resume();
    response.end(request.method === 'HEAD' ? undefined : body, () => upgraded?.socket.end());
  }
}

function serverOf(listener: DockerListener, serve: RequestListener): Server | TlsServer {
  if ('socketPath' in listener || listener.tls === undefined) return createServer(serve);
  const { ca, cert, key } = listener.tls;
  try {
    // Half-open as the plain server is: a client closes its side to end a container's input and goes on reading.
    return createTlsServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2', allowHalfOpen: true }, serve);
  } catch (error) {
    throw new GantryError('invalid', 'the certificate, key or authority for the Docker API cannot be used', { cause: error });
  }
}

async function listenOnSocket(server: Server | TlsServer, { socketPath, groupId }: { socketPath: string; groupId?: number }): Promise<string> {
  await mkdir(dirname(socketPath), { recursive: true });
  if (await isAnswered(socketPath)) throw new GantryError('already-exists', `another program listens on ${socketPath}`);
  await rm(socketPath, { force: true });
  // Nobody else may connect in the moment before the mode is set.
  const mask = process.umask(0o177);
  try {
    await listening(server, { path: socketPath });
  } finally {
    process.umask(mask);
  }
  if (groupId !== undefined) await chown(socketPath, 0, groupId);
  await chmod(socketPath, 0o660);
  return `unix://${socketPath}`;
}

async function listenOnTcp(server: Server | TlsServer, { host, port, tls }: Exclude<DockerListener, { socketPath: string }>): Promise<string> {
  if (tls === undefined && !isLoopbackHost(host)) throw new GantryError('forbidden', `the Docker API listens without TLS on loopback only, not on ${host}`);
  await listening(server, { host, port });
  return `tcp://${host}:${(server.address() as AddressInfo).port}`;
}

/** Whether a program answers at the socket; a file that a crash left does not. */
function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function listening(server: Server | TlsServer, address: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${JSON.stringify(address)}`, { cause: error })));
    server.listen(address, () => resolve());
  });
}

async function closed(server: Server | TlsServer, upgraded: ReadonlySet<Duplex>, listener: DockerListener): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
    for (const socket of upgraded) socket.destroy();
  });
  if ('socketPath' in listener) await rm(listener.socketPath, { force: true });
}
