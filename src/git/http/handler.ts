import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { GantryError, type Logger, plainHttpStatuses, toGantryError } from '../../kernel/mod.ts';
import { gitEnvironment, type GitSettings } from '../git-command.ts';
import type { GitAuthenticator } from '../ports.ts';
import type { PushServer } from '../push/push-server.ts';
import type { RepositoryRoot } from '../repository-root.ts';
import { runCgi } from './cgi.ts';
import { type GitRoute, parseGitRoute } from './route.ts';

export interface GitHttpOptions {
  readonly root: RepositoryRoot;
  readonly settings: GitSettings;
  readonly authenticator: GitAuthenticator;
  readonly pushes: PushServer;
  readonly log: Logger;
}

/**
 * The smart HTTP front of all repositories, and their archives at `…/archive/<commit>.tar`. Everything asks for a token.
 * The owner of the HTTP server must not limit the time of a request: a push lasts as long as its pipeline.
 */
export class GitHttpHandler {
  readonly #options: GitHttpOptions;

  constructor(options: GitHttpOptions) {
    this.#options = options;
  }

  /** Whether the request was for git hosting; if so it has been answered. Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const route = parseGitRoute(request.method ?? 'GET', request.url ?? '/');
    if (route.kind === 'none') return false;
    const gone = new AbortController();
    response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
    try {
      const actor = await this.#actorOf(request, gone.signal);
      if (route.kind === 'unknown') throw new GantryError('not-found', 'there is nothing here: repositories are at /<name>.git or /<namespace>/<name>.git');
      await this.#serve(route, actor, request, response, gone.signal);
    } catch (error) {
      this.#fail(error, request, response, gone.signal);
    }
    return true;
  }

  async #serve(route: GitRoute, actor: string, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const repository = await this.#options.root.get(route.repository);
    if (route.kind === 'archive') {
      const archive = await repository.archive(route.commit, signal);
      response.writeHead(200, { 'content-type': 'application/x-tar', 'cache-control': 'no-store' });
      return pipeline(archive, response, { signal });
    }
    const push = route.kind === 'service' && route.service === 'git-receive-pack' ? this.#options.pushes.announce(route.repository, actor, signal) : undefined;
    try {
      const environment = {
        ...gitEnvironment(this.#options.settings),
        ...cgiVariables(route, actor, request),
        GIT_PROJECT_ROOT: repository.folder,
        GIT_HTTP_EXPORT_ALL: '1',
        ...push?.variables,
      };
      await runCgi('git', ['http-backend'], environment, request, response, signal);
    } finally {
      push?.end();
    }
  }

  async #actorOf(request: IncomingMessage, signal: AbortSignal): Promise<string> {
    const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const [, user = '', token = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
    const actor = encoded === undefined ? undefined : await this.#options.authenticator.authenticate(user, token, signal);
    if (actor === undefined) throw new GantryError('unauthenticated', 'git needs a user name and a token as password');
    return actor;
  }

  #fail(error: unknown, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): void {
    const failure = toGantryError(error);
    if (signal.aborted) return void response.destroy();
    if (failure.code === 'internal') this.#options.log.error('git request failed', { url: request.url, err: error });
    if (response.headersSent) return void response.destroy();
    if (failure.code === 'unauthenticated') response.setHeader('www-authenticate', 'Basic realm="gantry"');
    response.writeHead(plainHttpStatuses[failure.code], { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
    response.end(`${failure.message}\n`);
  }
}

/** What git-http-backend(1) reads of the request. Only known headers are passed on. */
function cgiVariables(route: Exclude<GitRoute, { kind: 'archive' }>, actor: string, request: IncomingMessage): Record<string, string> {
  const { headers } = request;
  const protocol = headers['git-protocol'];
  const present: [string, string | undefined][] = [
    ['REQUEST_METHOD', request.method],
    ['PATH_INFO', route.kind === 'advertise' ? '/info/refs' : `/${route.service}`],
    ['QUERY_STRING', route.kind === 'advertise' ? `service=${route.service}` : ''],
    ['CONTENT_TYPE', headers['content-type']],
    ['CONTENT_LENGTH', headers['content-length']],
    ['HTTP_CONTENT_ENCODING', headers['content-encoding']],
    ['GIT_PROTOCOL', typeof protocol === 'string' ? protocol : undefined],
    ['REMOTE_USER', actor],
    ['REMOTE_ADDR', request.socket.remoteAddress],
    ['GATEWAY_INTERFACE', 'CGI/1.1'],
    ['SERVER_PROTOCOL', `HTTP/${request.httpVersion}`],
  ];
  return Object.fromEntries(present.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
