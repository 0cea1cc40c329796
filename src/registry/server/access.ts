import type { RegistryAuthorizer, RegistryCredentials, RegistryVerb } from '../ports.ts';
import { answerJson, type Exchange, readBody } from './http.ts';
import { registryError } from './registry-error.ts';
import { parseScopes, type RepositoryScope } from './scopes.ts';
import type { TokenIssuer } from './token-issuer.ts';

const tokenLifetimeSeconds = 15 * 60;
const maxFormBytes = 64 * 1024;

/** What an end point asks for: a verb on a repository, or no more than a known user. */
export type Need = { readonly repository: string; readonly verb: RegistryVerb } | undefined;

/** The user behind a request; `scopes` is absent when the password itself was sent, which has all of the user's rights. */
interface Caller { readonly user: string | undefined; readonly scopes?: readonly RepositoryScope[] }

/**
 * Basic authentication with every request, and tokens as distribution's "Token Authentication Specification" describes: a client without one is
 * sent to `/token`, which answers Basic credentials with a signed token for the scopes that the user has. Rights are asked anew with
 * every request too, so that a user who is taken away is out at once.
 */
export class AccessControl {
  readonly #authorizer: RegistryAuthorizer | undefined;
  readonly #issuer: TokenIssuer;

  constructor(authorizer: RegistryAuthorizer | undefined, issuer: TokenIssuer) {
    this.#authorizer = authorizer;
    this.#issuer = issuer;
  }

  /** Passes, or throws UNAUTHORIZED with a challenge, or DENIED. */
  async check(exchange: Exchange, needs: Need): Promise<void> {
    const authorizer = this.#authorizer;
    if (authorizer === undefined) return;
    const caller = await this.#callerOf(exchange, needs);
    if (needs === undefined) {
      if (caller.user === undefined) throw this.#challenge(exchange, needs);
      return;
    }
    const isAllowed = await authorizer.isAllowed(caller.user, needs.repository, needs.verb, exchange.signal);
    if (isAllowed && isWithin(caller, needs)) return;
    if (isAllowed) throw this.#challenge(exchange, needs, 'insufficient_scope');
    if (caller.user === undefined) throw this.#challenge(exchange, needs);
    throw registryError('forbidden', 'DENIED', `${caller.user} may not ${needs.verb} ${needs.repository}`);
  }

  /** Whether the request may also do this, beside what it is for. */
  async isAllowed(exchange: Exchange, repository: string, verb: RegistryVerb): Promise<boolean> {
    if (this.#authorizer === undefined) return true;
    const caller = await this.#callerOf(exchange, undefined);
    return isWithin(caller, { repository, verb }) && this.#authorizer.isAllowed(caller.user, repository, verb, exchange.signal);
  }

  /** Whether the user may see that the repository is there, whatever the request's token is for. */
  async isListed(exchange: Exchange, repository: string): Promise<boolean> {
    if (this.#authorizer === undefined) return true;
    const { user } = await this.#callerOf(exchange, undefined);
    return this.#authorizer.isAllowed(user, repository, 'pull', exchange.signal);
  }

  /**
   * The token end point: GET with Basic credentials, or POST of a form with `grant_type=password` ("OAuth2 Token Authentication"). A client without
   * credentials gets the rights of everybody. What of the scopes the user may not have is left out, as the specification asks.
   */
  async issueToken(exchange: Exchange): Promise<void> {
    const authorizer = this.#authorizer;
    if (authorizer?.scheme !== 'token') throw registryError('not-found', 'UNSUPPORTED', 'this registry issues no tokens');
    const { credentials, parameters } = await tokenRequest(exchange);
    const user = credentials === undefined ? undefined : await authorizer.authenticate(credentials, exchange.signal);
    if (credentials !== undefined && user === undefined) throw this.#challengeBasic(exchange);
    const service = serviceOf(exchange);
    const asked = parameters.get('service');
    if (asked !== null && asked !== '' && asked !== service) throw registryError('invalid', 'DENIED', `this registry is ${service}, not ${asked.slice(0, 100)}`);
    const scopes: RepositoryScope[] = [];
    for (const { repository, verbs } of parseScopes(parameters.getAll('scope'))) {
      const allowed: RegistryVerb[] = [];
      for (const verb of verbs) if (await authorizer.isAllowed(user, repository, verb, exchange.signal)) allowed.push(verb);
      if (allowed.length > 0) scopes.push({ repository, verbs: allowed });
    }
    const token = this.#issuer.issue({ user, scopes }, service, tokenLifetimeSeconds);
    const granted = scopes.map(({ repository, verbs }) => `repository:${repository}:${verbs.join(',')}`).join(' ');
    answerJson(exchange, { token, access_token: token, scope: granted, expires_in: tokenLifetimeSeconds, issued_at: new Date().toISOString() }, { 'cache-control': 'no-store' });
  }

  async #callerOf(exchange: Exchange, needs: Need): Promise<Caller> {
    const { authorization } = exchange.request.headers;
    if (authorization === undefined) return { user: undefined };
    const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (bearer !== undefined && this.#authorizer?.scheme === 'token') {
      const content = this.#issuer.verify(bearer, serviceOf(exchange));
      if (content === undefined) throw this.#challenge(exchange, needs, 'invalid_token');
      return content;
    }
    const credentials = basicCredentials(authorization);
    const user = credentials === undefined ? undefined : await this.#authorizer?.authenticate(credentials, exchange.signal);
    if (user === undefined) throw this.#challenge(exchange, needs);
    return { user };
  }

  #challenge(exchange: Exchange, needs: Need, problem?: 'insufficient_scope' | 'invalid_token'): Error {
    if (this.#authorizer?.scheme !== 'token') return this.#challengeBasic(exchange);
    const service = serviceOf(exchange);
    const scheme = 'encrypted' in exchange.request.socket ? 'https' : 'http';
    const actions = needs?.verb === 'push' ? 'pull,push' : needs?.verb;
    const scope = needs === undefined ? '' : `,scope="repository:${needs.repository}:${actions ?? ''}"`;
    const error = problem === undefined ? '' : `,error="${problem}"`;
    exchange.response.setHeader('www-authenticate', `Bearer realm="${scheme}://${service}/token",service="${service}"${scope}${error}`);
    return registryError('unauthenticated', 'UNAUTHORIZED', 'authentication is required');
  }

  #challengeBasic(exchange: Exchange): Error {
    exchange.response.setHeader('www-authenticate', 'Basic realm="gantry registry"');
    return registryError('unauthenticated', 'UNAUTHORIZED', 'authentication is required');
  }
}

function isWithin({ scopes }: Caller, { repository, verb }: { repository: string; verb: RegistryVerb }): boolean {
  return scopes === undefined || scopes.some((scope) => scope.repository === repository && scope.verbs.includes(verb));
}

/** The registry as the client names it. A Host header that could not stand in a quoted text is left out. */
function serviceOf({ request }: Exchange): string {
  const host = request.headers.host ?? '';
  return /^[A-Za-z0-9.:[\]-]+$/.test(host) ? host : 'localhost';
}

async function tokenRequest(exchange: Exchange): Promise<{ credentials: RegistryCredentials | undefined; parameters: URLSearchParams }> {
  if (exchange.request.method !== 'POST') return { credentials: basicCredentials(exchange.request.headers.authorization), parameters: exchange.query };
  const parameters = new URLSearchParams((await readBody(exchange, maxFormBytes)).toString());
  const grantType = parameters.get('grant_type');
  if (grantType !== 'password') throw registryError('invalid', 'UNSUPPORTED', `the grant type ${JSON.stringify(grantType?.slice(0, 50) ?? '')} is not supported; password is`);
  return { credentials: { username: parameters.get('username') ?? '', password: parameters.get('password') ?? '' }, parameters };
}

/** User and password of a Basic header (RFC 7617). */
function basicCredentials(header: string | undefined): RegistryCredentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  return username === undefined || password === undefined ? undefined : { username, password };
}
