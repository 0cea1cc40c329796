import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { GantryError, parseWith } from '../../kernel/mod.ts';
import type { RegistryCredentials } from '../ports.ts';
import { answerError } from './answers.ts';
import { parseChallenges } from './challenge.ts';

const tokenSchema = z.looseObject({ token: z.string().optional(), access_token: z.string().optional(), refresh_token: z.string().optional(), expires_in: z.number().optional() });

/** Sends a request, a POST when there is a form, and gives the answer's text. `isInsecure`: the certificate is not checked. */
export type Fetch = (request: { url: string; headers: Record<string, string>; form?: URLSearchParams; isInsecure: boolean }, signal: AbortSignal) => Promise<{ status: number; headers: Dispatcher.ResponseData['headers']; text: string }>;

export interface AuthenticationScope {
  /** Scheme, host and port of the registry that is asked. */
  readonly origin: string;
  readonly repository: string;
  readonly actions: 'pull' | 'pull,push';
  /** Of the registry; its own token server is treated alike. */
  readonly isInsecure: boolean;
  /** A repository that is also read, to mount a blob from. */
  readonly from?: string;
}

/** No repository in particular. */
type LoginScope = Pick<AuthenticationScope, 'origin' | 'isInsecure'> & { readonly isLogin: true };

/**
 * Finds the Authorization header a registry wants: Basic, or a token from the server its challenge names (distribution spec, "Token
 * Authentication"). Tokens are kept per user and scope until shortly before they end.
 */
export class Authentication {
  readonly #fetch: Fetch;
  readonly #kept = new Map<string, { header: string; expiresAtMs: number }>();

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  /** What was right the last time. */
  kept(scope: AuthenticationScope, credentials: RegistryCredentials | undefined): string | undefined {
    if (credentials?.registryToken !== undefined) return `Bearer ${credentials.registryToken}`;
    const found = this.#kept.get(keyOf(scope, credentials));
    return found !== undefined && found.expiresAtMs > Date.now() ? found.header : undefined;
  }

  /** Answers a challenge. Undefined when it cannot be: no credentials, or a scheme that is not known. */
  async answer(challengeHeader: string, scope: AuthenticationScope, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<string | undefined> {
    // A token that was given is all there is to show.
    if (credentials?.registryToken !== undefined) return undefined;
    const challenges = parseChallenges(challengeHeader);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      const { token, lifetimeMs } = await this.#token(bearer.parameters, scope, credentials, signal);
      return this.#keep(scope, credentials, `Bearer ${token}`, lifetimeMs);
    }
    if (credentials === undefined || credentials.identityToken !== undefined || !challenges.some(({ scheme }) => scheme === 'basic')) return undefined;
    return this.#keep(scope, credentials, basic(credentials), 60 * 60_000);
  }

  /**
   * Answers the challenge of a registry's base end point for a login: nothing is kept, and a token server is asked for a refresh token too,
   * which clients store instead of the password. Undefined when the challenge cannot be answered.
   */
  async logIn(challengeHeader: string, registry: Pick<AuthenticationScope, 'origin' | 'isInsecure'>, credentials: RegistryCredentials, signal: AbortSignal): Promise<{ authorization: string; identityToken?: string } | undefined> {
    const challenges = parseChallenges(challengeHeader);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer === undefined) return credentials.identityToken === undefined && challenges.some(({ scheme }) => scheme === 'basic') ? { authorization: basic(credentials) } : undefined;
    const { token, identityToken } = await this.#token(bearer.parameters, { ...registry, isLogin: true }, credentials, signal);
    return { authorization: `Bearer ${token}`, ...(identityToken === undefined ? {} : { identityToken }) };
  }

  forget(scope: AuthenticationScope, credentials: RegistryCredentials | undefined): void {
    this.#kept.delete(keyOf(scope, credentials));
  }

  #keep(scope: AuthenticationScope, credentials: RegistryCredentials | undefined, header: string, lifetimeMs: number): string {
    for (const [key, { expiresAtMs }] of this.#kept) if (expiresAtMs <= Date.now()) this.#kept.delete(key);
    this.#kept.set(keyOf(scope, credentials), { header, expiresAtMs: Date.now() + lifetimeMs });
    return header;
  }

  async #token(
    parameters: ReadonlyMap<string, string>, scope: AuthenticationScope | LoginScope, credentials: RegistryCredentials | undefined, signal: AbortSignal,
  ): Promise<{ token: string; lifetimeMs: number; identityToken: string | undefined }> {
    const realm = URL.parse(parameters.get('realm') ?? '');
    if (realm === null || !['http:', 'https:'].includes(realm.protocol)) throw new GantryError('unsupported', `${scope.origin} names no token server in its challenge`);
    // A password must not leave a TLS registry over a connection that anybody can read.
    if (realm.protocol === 'http:' && scope.origin.startsWith('https:')) throw new GantryError('forbidden', `${scope.origin} wants the password sent to ${realm.origin} without TLS`);
    const isInsecure = scope.isInsecure && new URL(scope.origin).host === realm.host;
    const { status, text } = await this.#fetch({ ...tokenRequest(realm, parameters.get('service'), scope, credentials), isInsecure }, signal);
    if (status !== 200) throw answerError('isLogin' in scope ? `Get "${scope.origin}/v2/"` : `token for ${scope.repository} from ${realm.origin}`, status, text, undefined);
    const answer = parseWith(tokenSchema, JSON.parse(text), `answer of ${realm.origin}`);
    const token = answer.token ?? answer.access_token;
    if (token === undefined) throw new GantryError('unsupported', `${realm.origin} answered without a token`);
    // The spec's default is a minute; a tenth is left for clocks and slow requests.
    return { token, lifetimeMs: Math.max(answer.expires_in ?? 60, 60) * 900, identityToken: answer.refresh_token };
  }
}

/** A GET with the password, or for an identity token a POST of OAuth2's `refresh_token` grant (distribution spec, "OAuth2"). */
function tokenRequest(realm: URL, service: string | undefined, scope: AuthenticationScope | LoginScope, credentials: RegistryCredentials | undefined): { url: string; headers: Record<string, string>; form?: URLSearchParams } {
  const scopes = 'isLogin' in scope ? [] : [`repository:${scope.repository}:${scope.actions}`, ...(scope.from === undefined ? [] : [`repository:${scope.from}:pull`])];
  const asked: Record<string, string> = service === undefined ? {} : { service };
  if (credentials?.identityToken !== undefined) {
    return { url: realm.href, headers: {}, form: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'gantry', refresh_token: credentials.identityToken, ...asked, ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }) }) };
  }
  if (service !== undefined) realm.searchParams.set('service', service);
  if ('isLogin' in scope) {
    realm.searchParams.set('client_id', 'gantry');
    realm.searchParams.set('offline_token', 'true');
    if (credentials !== undefined) realm.searchParams.set('account', credentials.username);
  }
  for (const each of scopes) realm.searchParams.append('scope', each);
  return { url: realm.href, headers: credentials === undefined ? {} : { authorization: basic(credentials) } };
}

function keyOf({ origin, repository, actions, from }: AuthenticationScope, credentials: RegistryCredentials | undefined): string {
  return JSON.stringify([origin, repository, actions, from, credentials?.username, credentials?.password, credentials?.identityToken]);
}

function basic({ username, password }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
