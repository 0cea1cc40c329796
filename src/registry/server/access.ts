import { randomBytes } from 'node:crypto';
import type { RegistryAuthorizer, RegistryCredentials, RegistryVerb } from '../ports.ts';
import { answerJson, type Exchange } from './http.ts';
import { registryError } from './registry-error.ts';

interface Token { readonly user: string | undefined; readonly expiresAtMs: number }

const tokenLifetimeMs = 15 * 60_000;
const maxTokens = 10_000;
const realm = 'gantry registry';

/**
 * Basic authentication, or tokens as the distribution spec's "Token Authentication" describes: a client without one is sent to
 * `/v2/_token`, which answers Basic credentials with an opaque token. Rights are asked anew with every request.
 */
export class AccessControl {
  readonly #authorizer: RegistryAuthorizer | undefined;
  readonly #tokens = new Map<string, Token>();

  constructor(authorizer: RegistryAuthorizer | undefined) {
    this.#authorizer = authorizer;
  }

  /** Passes, or throws UNAUTHORIZED with a challenge, or DENIED. Without `needs` any user may, and nobody without credentials. */
  async check(exchange: Exchange, needs: { repository: string; verb: RegistryVerb } | undefined): Promise<void> {
    if (this.#authorizer === undefined) return;
    const user = await this.#userOf(exchange, needs);
    if (needs === undefined) {
      if (user === undefined) throw this.#challenge(exchange, needs);
      return;
    }
    if (await this.#authorizer.isAllowed(user, needs.repository, needs.verb, exchange.signal)) return;
    if (user === undefined) throw this.#challenge(exchange, needs);
    throw registryError('forbidden', 'DENIED', `${user} may not ${needs.verb} ${needs.repository}`);
  }

  async isAllowed(exchange: Exchange, repository: string, verb: RegistryVerb): Promise<boolean> {
    if (this.#authorizer === undefined) return true;
    return this.#authorizer.isAllowed(await this.#userOf(exchange, undefined), repository, verb, exchange.signal);
  }

  /** GET of the token end point. Without credentials the token is that of an anonymous client. */
  async issueToken(exchange: Exchange): Promise<void> {
    const authorizer = this.#authorizer;
    if (authorizer?.scheme !== 'token') throw registryError('not-found', 'UNSUPPORTED', 'this registry issues no tokens');
    const credentials = basicCredentials(exchange.request.headers.authorization);
    const user = credentials === undefined ? undefined : await authorizer.authenticate(credentials, exchange.signal);
    if (credentials !== undefined && user === undefined) throw this.#challengeBasic(exchange);
    const token = randomBytes(32).toString('base64url');
    this.#forgetOld();
    this.#tokens.set(token, { user, expiresAtMs: Date.now() + tokenLifetimeMs });
    answerJson(exchange, { token, access_token: token, expires_in: tokenLifetimeMs / 1000, issued_at: new Date().toISOString() }, { 'cache-control': 'no-store' });
  }

  async #userOf(exchange: Exchange, needs: { repository: string; verb: RegistryVerb } | undefined): Promise<string | undefined> {
    const header = exchange.request.headers.authorization;
    if (header === undefined) return undefined;
    const bearer = /^Bearer +(\S+)$/i.exec(header)?.[1];
    const token = bearer === undefined ? undefined : this.#tokens.get(bearer);
    if (token !== undefined && token.expiresAtMs > Date.now()) return token.user;
    const credentials = basicCredentials(header);
    const user = credentials === undefined ? undefined : await this.#authorizer?.authenticate(credentials, exchange.signal);
    if (user === undefined) throw this.#challenge(exchange, needs);
    return user;
  }

  #challenge(exchange: Exchange, needs: { repository: string; verb: RegistryVerb } | undefined): Error {
    if (this.#authorizer?.scheme !== 'token') return this.#challengeBasic(exchange);
    const host = exchange.request.headers.host ?? 'localhost';
    const actions = needs?.verb === 'push' ? 'pull,push' : needs?.verb;
    const scope = needs === undefined ? '' : `,scope="repository:${needs.repository}:${actions ?? ''}"`;
    exchange.response.setHeader('www-authenticate', `Bearer realm="http://${host}/v2/_token",service="${host}"${scope}`);
    return registryError('unauthenticated', 'UNAUTHORIZED', 'authentication is required');
  }

  #challengeBasic(exchange: Exchange): Error {
    exchange.response.setHeader('www-authenticate', `Basic realm="${realm}"`);
    return registryError('unauthenticated', 'UNAUTHORIZED', 'authentication is required');
  }

  #forgetOld(): void {
    for (const [token, { expiresAtMs }] of this.#tokens) if (expiresAtMs <= Date.now() || this.#tokens.size >= maxTokens) this.#tokens.delete(token);
  }
}

/** User and password of a Basic header (RFC 7617). */
function basicCredentials(header: string | undefined): RegistryCredentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  return username === undefined || password === undefined ? undefined : { username, password };
}
