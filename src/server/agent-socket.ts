import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { defaultShutdownGrace, type ShutdownGrace } from '../cluster/node/mod.ts';
import type { EngineFinding, OpenScope, ScopedSockets, ScopeRequest } from '../engine/mod.ts';
import { formatError, GantryError, type Logger, requestUrl, toGantryError } from '../kernel/mod.ts';
import { answerError, type FurtherRoutes, serveFurther } from './further-routes.ts';

/** What can be asked of the agent on its own socket. */
export interface AgentCommands {
  /** Makes a base image; resolves to its id. `not-found` for a name without a recipe. */
  bootstrapImage(name: string, progress: (line: string) => void, signal: AbortSignal): Promise<string>;
  /** Compares the machine with what the agent knows; with `isRepaired` what is too much is removed. */
  examine(isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]>;
  /** Ends all pods by priority; resolves to how many there were. The agent is to be stopped then. */
  shutDown(grace: ShutdownGrace, signal: AbortSignal): Promise<number>;
  /** Docker sockets for those who are not root. */
  readonly scopes: Pick<ScopedSockets, 'open' | 'list' | 'close'>;
}

/**
 * The agent's own unix socket (mode 0600), for what neither the Docker nor the Kubernetes API has. `POST /doctor` examines the machine, `POST /shutdown?grace=&critical=` ends its pods (seconds) and answers `{"pods"}`. `GET`, `POST` and `DELETE /scopes` list, open
 * and close scoped Docker sockets; below `/builder` is the builder's API. `POST /images/bootstrap?name=` answers lines of JSON: `{"progress":…}`, then `{"result":…}` or `{"error":{"code","message"}}`.
 */
export class AgentSocket implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(path: string, commands: AgentCommands, further: FurtherRoutes, log: Logger): Promise<AgentSocket> {
    // A socket file that a killed agent left; the role's lock says that there is no other agent.
    await rm(path, { force: true });
    const server = createServer({ requestTimeout: 0 }, (request, response) => {
      // Uncaught, one bad request would end the agent.
      serve({ commands, further }, request, response, log).catch((error: unknown) => answerError(response, error));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on ${path}`, { cause: error })));
      server.listen(path, resolve);
    });
    await chmod(path, 0o600);
    return new AgentSocket(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

interface Served { readonly commands: AgentCommands; readonly further: FurtherRoutes }

async function serve({ commands, further }: Served, request: IncomingMessage, response: ServerResponse, log: Logger): Promise<void> {
  const url = requestUrl(request.url);
  if (await serveFurther(further, request, response, url)) return;
  const name = url.searchParams.get('name');
  if (url.pathname === '/doctor') return serveDoctor(commands, request, response, url.searchParams.get('repair') === 'true');
  if (url.pathname === '/shutdown') return serveShutdown(commands, request, response, url.searchParams);
  if (url.pathname === '/scopes') return serveScopes(commands.scopes, request, response, name ?? '');
  if (request.method !== 'POST' || url.pathname !== '/images/bootstrap' || name === null) {
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ message: 'there is nothing here' }));
    return;
  }
  const gone = new AbortController();
  response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const say = (message: unknown): void => void response.write(`${JSON.stringify(message)}\n`);
  try {
    say({ result: await commands.bootstrapImage(name, (line) => say({ progress: line }), gone.signal) });
  } catch (error) {
    const { code } = toGantryError(error);
    if (!gone.signal.aborted) log.warn('image not made', { name, err: error });
    say({ error: { code, message: formatError(error) } });
  }
  response.end();
}

/** `POST /doctor?repair=true|false` answers the findings as JSON. */
function serveDoctor(commands: AgentCommands, request: IncomingMessage, response: ServerResponse, isRepaired: boolean): Promise<void> {
  return answering(response, async () => {
    if (request.method !== 'POST') return notAllowed(request);
    // A repair that has begun goes to its end.
    return [200, await commands.examine(isRepaired, new AbortController().signal)];
  });
}

function serveShutdown(commands: AgentCommands, request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
  return answering(response, async () => {
    if (request.method !== 'POST') return notAllowed(request);
    const seconds = (name: string, otherwise: number): number => Number(query.get(name) ?? otherwise);
    const grace = { graceSeconds: seconds('grace', defaultShutdownGrace.graceSeconds), criticalGraceSeconds: seconds('critical', defaultShutdownGrace.criticalGraceSeconds) };
    if (!Object.values(grace).every((value) => Number.isInteger(value) && value >= 0)) throw new GantryError('invalid', 'grace periods are whole seconds');
    // A shutdown that has begun goes to its end.
    return [200, { pods: await commands.shutDown(grace, new AbortController().signal) }];
  });
}

const maxRequestBytes = 1 << 20;

/** Lists, opens (the body is the request) or closes scoped sockets. */
function serveScopes(scopes: AgentCommands['scopes'], request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
  return answering(response, async () => {
    // An opening or closing that has begun goes to its end.
    const { signal } = new AbortController();
    if (request.method === 'GET') return [200, scopes.list() satisfies OpenScope[]];
    if (request.method === 'POST') return [201, await scopes.open(await readRequest(request), signal)];
    if (request.method !== 'DELETE') return notAllowed(request);
    await scopes.close(name, signal);
    return [200, {}];
  });
}

type Answer = readonly [status: number, value: unknown];

/** Answers what the work resolves to; its error is 400 and `{"code","message"}`. */
async function answering(response: ServerResponse, work: () => Promise<Answer>): Promise<void> {
  const [status, value] = await work().catch((error: unknown): Answer => [400, { code: toGantryError(error).code, message: formatError(error) }]);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function notAllowed({ method }: IncomingMessage): Answer {
  return [405, { code: 'unsupported', message: `${method ?? ''} is not supported` }];
}

/** The schema of the scopes is the judge of what it is. */
async function readRequest(request: IncomingMessage): Promise<ScopeRequest> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > maxRequestBytes) throw new GantryError('exhausted', 'the request is too large');
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as ScopeRequest;
  } catch (error) {
    throw new GantryError('invalid', 'the request is not JSON', { cause: error });
  }
}
