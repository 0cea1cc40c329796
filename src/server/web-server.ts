import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { formatError, GantryError, type Logger, plainHttpStatuses, toGantryError } from '../kernel/mod.ts';
import { type AccessToken, isAdministrator } from './access-tokens.ts';

/** A part of the web listener: answers the requests that are its own and says whether this was one. */
export interface WebRoutes {
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/** The HTTP listener of git, run logs and health on loopback. A request may last as long as a pipeline, so none is limited in time. */
export class WebServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `unavailable` when the port is taken. */
  static async open(port: number, routes: readonly WebRoutes[], log: Logger): Promise<WebServer> {
    const server = createServer({ requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 60_000 }, (request, response) => void dispatch(routes, request, response, log));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new GantryError('unavailable', `cannot listen on 127.0.0.1:${port}`, { cause: error })));
      server.listen(port, '127.0.0.1', resolve);
    });
    return new WebServer(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function dispatch(routes: readonly WebRoutes[], request: IncomingMessage, response: ServerResponse, log: Logger): Promise<void> {
  try {
    for (const part of routes) if (await part.handle(request, response)) return;
    throw new GantryError('not-found', 'there is nothing here');
  } catch (error) {
    const { code } = toGantryError(error);
    if (code === 'internal') log.error('request failed', { path: request.url?.split('?')[0], err: error });
    if (response.headersSent) return void response.destroy();
    response.writeHead(plainHttpStatuses[code], { 'content-type': 'text/plain; charset=utf-8', ...(code === 'unauthenticated' ? { 'www-authenticate': 'Bearer' } : {}) });
    response.end(`${code === 'internal' ? 'internal error' : formatError(error)}\n`);
  }
}

/** `/healthz`: whether the server serves. Needs no token, tells nothing else. */
export const healthRoutes: WebRoutes = {
  handle: (request, response) => {
    if (request.url !== '/healthz') return Promise.resolve(false);
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    return Promise.resolve(true);
  },
};

/** Checks `Authorization: Bearer`, and Basic with the token as password. `unauthenticated` without a token that may. */
export function requireAdministrator(request: IncomingMessage, tokens: readonly AccessToken[]): void {
  const [, scheme = '', value = ''] = /^(\S+)\s+(\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  const token = /^basic$/i.test(scheme) ? Buffer.from(value, 'base64').toString().replace(/^[^:]*:/, '') : value;
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  const user = tokens.find((known) => timingSafeEqual(hash(known.token), hash(token)))?.user;
  if (user === undefined) throw new GantryError('unauthenticated', 'a token is needed: Authorization: Bearer <token>');
  if (!isAdministrator(user)) throw new GantryError('forbidden', `${user.name} may not read this`);
}
