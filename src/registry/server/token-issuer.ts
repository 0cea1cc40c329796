import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { RepositoryScope } from './scopes.ts';

const issuer = 'gantry';
/** RFC 7515, 4.1.1: the only algorithm that is ever accepted, whatever a token's header says. */
const header = encode({ alg: 'HS256', typ: 'JWT' });

const claimsSchema = z.object({
  iss: z.literal(issuer),
  aud: z.string(),
  sub: z.string(),
  nbf: z.number(),
  exp: z.number(),
  access: z.array(z.object({ type: z.literal('repository'), name: z.string(), actions: z.array(z.enum(['pull', 'push', 'delete'])) })),
});

/** Who a token stands for, and what it may be used for. */
export interface TokenContent {
  /** Undefined: an anonymous client. */
  readonly user: string | undefined;
  readonly scopes: readonly RepositoryScope[];
}

/**
 * Signed tokens (JSON Web Tokens, RFC 7519, with the `access` claim of distribution's "Token Authentication Implementation"). The registry that
 * issues them is the one that reads them, so the key is a secret of its own and signatures are HMAC-SHA256.
 */
export class TokenIssuer {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** The key is made at the first start and kept in a file of mode 0600: tokens outlive a restart. */
  static async open(keyFile: string): Promise<TokenIssuer> {
    const known = await readTextIfExists(keyFile);
    const key = known ?? randomBytes(32).toString('base64url');
    if (known === undefined) await writeFileAtomic(keyFile, key);
    return new TokenIssuer(Buffer.from(key, 'base64url'));
  }

  issue({ user, scopes }: TokenContent, service: string, lifetimeSeconds: number): string {
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.map(({ repository, verbs }) => ({ type: 'repository', name: repository, actions: verbs }));
    const payload = encode({ iss: issuer, aud: service, sub: user ?? '', iat: now, nbf: now - 5, exp: now + lifetimeSeconds, jti: randomUUID(), access });
    return `${header}.${payload}.${this.#sign(payload).toString('base64url')}`;
  }

  /** Undefined when the token is not of this issuer for the service, has been changed, or has run out. */
  verify(token: string, service: string): TokenContent | undefined {
    const [given, payload = '', signature = '', ...rest] = token.split('.');
    const found = Buffer.from(signature, 'base64url');
    const wanted = this.#sign(payload);
    if (given !== header || rest.length > 0 || found.length !== wanted.length || !timingSafeEqual(found, wanted)) return undefined;
    const { data } = claimsSchema.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
    const now = Date.now() / 1000;
    if (data === undefined || data.aud !== service || data.nbf > now || data.exp <= now) return undefined;
    return { user: data.sub === '' ? undefined : data.sub, scopes: data.access.map(({ name, actions }) => ({ repository: name, verbs: actions })) };
  }

  #sign(payload: string): Buffer {
    return createHmac('sha256', this.#key).update(`${header}.${payload}`).digest();
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
