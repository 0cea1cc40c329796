import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isFields, type k8s } from '../../../../api/mod.ts';
import { GantryError } from '../../../../kernel/mod.ts';
import type { Machine } from '../../operations/machine.ts';
import { bearerToken } from '../authenticators.ts';
import { authenticated, type Authenticator, type User } from '../user.ts';
import { peekClaims, type SigningKey } from './signing-key.ts';

/** Who the tokens say they come from. */
export const tokenIssuer = 'https://kubernetes.default.svc.cluster.local';

/** What a token is bound to: it ends with it. */
export interface TokenBinding { readonly kind: 'Pod' | 'Secret' | 'Node'; readonly name: string; readonly uid: string }

/** A token that is to be made. */
export interface TokenOrder {
  readonly namespace: string;
  readonly account: k8s.ServiceAccount;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  readonly binding: TokenBinding | undefined;
}

/** Makes service account tokens, and knows them again: signed, not expired, the account and what it is bound to still there. */
export class ServiceAccountTokens implements Authenticator {
  readonly #machine: Machine;
  readonly #key: SigningKey;

  constructor(machine: Machine, key: SigningKey) {
    this.#machine = machine;
    this.#key = key;
  }

  /** The public key as a JSON Web Key. */
  get publicKey(): Record<string, unknown> {
    return { ...this.#key.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: this.#key.id };
  }

  issue({ namespace, account, audiences, expirationSeconds, binding }: TokenOrder): { token: string; expiresAtMs: number } {
    const now = Math.floor(this.#machine.clock.now() / 1000);
    const { name, uid } = account.metadata ?? {};
    const claims = {
      aud: audiences.length === 0 ? [tokenIssuer] : audiences,
      exp: now + expirationSeconds,
      iat: now,
      iss: tokenIssuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...(binding === undefined ? {} : { [binding.kind.toLowerCase()]: { name: binding.name, uid: binding.uid } }) },
      nbf: now,
      sub: `system:serviceaccount:${namespace}:${name ?? ''}`,
    };
    return { token: this.#key.sign(claims), expiresAtMs: (now + expirationSeconds) * 1000 };
  }

  authenticate(request: IncomingMessage): User | undefined {
    const token = bearerToken(request);
    return token === undefined ? undefined : this.authenticateToken(token, [tokenIssuer])?.user;
  }

  authenticateToken(token: string, audiences: readonly string[]): { user: User; audiences: string[] } | undefined {
    if (peekClaims(token)?.['iss'] !== tokenIssuer) return undefined;
    const claims = this.#key.verify(token);
    const given = Array.isArray(claims?.['aud']) ? claims['aud'].map(String) : [];
    const shared = given.filter((audience) => audiences.includes(audience));
    if (claims === undefined || !this.#isCurrent(claims) || shared.length === 0) throw new GantryError('unauthenticated', 'Unauthorized');
    const user = this.#userOf(claims);
    if (user === undefined) throw new GantryError('unauthenticated', 'Unauthorized');
    return { user, audiences: shared };
  }

  #isCurrent({ exp, nbf }: Record<string, unknown>): boolean {
    const now = this.#machine.clock.now() / 1000;
    return typeof exp === 'number' && exp > now && (typeof nbf !== 'number' || nbf <= now + 60);
  }

  #userOf(claims: Record<string, unknown>): User | undefined {
    const about = isFields(claims['kubernetes.io']) ? claims['kubernetes.io'] : {};
    const namespace = typeof about['namespace'] === 'string' ? about['namespace'] : '';
    const account = reference(about['serviceaccount']);
    if (account === undefined || !this.#exists(`/core/serviceaccounts/${namespace}/${account.name}`, account.uid)) return undefined;
    const bound = [['pod', `/core/pods/${namespace}/`], ['secret', `/core/secrets/${namespace}/`], ['node', '/core/nodes/']] as const;
    for (const [field, prefix] of bound) {
      const to = reference(about[field]);
      if (to !== undefined && !this.#exists(prefix + to.name, to.uid)) return undefined;
    }
    return authenticated(`system:serviceaccount:${namespace}:${account.name}`, account.uid, ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]);
  }

  #exists(key: string, uid: string): boolean {
    return this.#machine.objects.get(key)?.object.metadata.uid === uid;
  }
}

function reference(value: unknown): { name: string; uid: string } | undefined {
  return isFields(value) && typeof value['name'] === 'string' && typeof value['uid'] === 'string' ? { name: value['name'], uid: value['uid'] } : undefined;
}
