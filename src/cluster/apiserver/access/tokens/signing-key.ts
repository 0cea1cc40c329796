import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { shortHash } from '../../../../kernel/mod.ts';
import type { ObjectStore } from '../../../../store/mod.ts';

/** Beside the objects, where no API path leads. */
const storeKey = '/internal/keys/service-accounts';

/** Signs and checks tokens: ECDSA P-256 (JWS ES256). */
export class SigningKey {
  readonly id: string;
  readonly publicKey: KeyObject;
  readonly #privateKey: KeyObject;

  constructor(privateKeyPem: string) {
    this.#privateKey = createPrivateKey(privateKeyPem);
    this.publicKey = createPublicKey(this.#privateKey);
    this.id = shortHash(this.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 32);
  }

  /** The key of this store, made when there is none yet: tokens stay valid over restarts. */
  static async load(store: ObjectStore): Promise<SigningKey> {
    const known = await store.get(storeKey);
    if (known !== undefined) return new SigningKey((JSON.parse(known.value) as { privateKey: string }).privateKey);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await store.put(storeKey, JSON.stringify({ privateKey: pem }), 0);
    return new SigningKey(pem);
  }

  /** A JSON Web Token with these claims. */
  sign(claims: object): string {
    const text = `${encode({ alg: 'ES256', kid: this.id, typ: 'JWT' })}.${encode(claims)}`;
    return `${text}.${sign('sha256', Buffer.from(text), { key: this.#privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  /** The claims of a token that this key has signed; undefined for any other. */
  verify(token: string): Record<string, unknown> | undefined {
    const [header = '', claims = '', signature = '', ...rest] = token.split('.');
    if (rest.length > 0 || signature === '' || decode(header)?.['alg'] !== 'ES256') return undefined;
    const isGenuine = verify('sha256', Buffer.from(`${header}.${claims}`), { key: this.publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    return isGenuine ? decode(claims) : undefined;
  }
}

/** The claims of a token, unverified; undefined when it is no token. */
export function peekClaims(token: string): Record<string, unknown> | undefined {
  const parts = token.split('.');
  return parts.length === 3 ? decode(parts[1] ?? '') : undefined;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
