import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { GantryError } from '../../../kernel/mod.ts';
import { authenticated, type Authenticator, type User } from './user.ts';

/** TLS client certificates signed by the server's client authority: CN is the user, each O a group. */
export class CertificateAuthenticator implements Authenticator {
  /** By connection: one certificate is read once. */
  readonly #users = new WeakMap<object, User>();

  authenticate(request: IncomingMessage): User | undefined {
    const connection = connectionOf(request);
    const known = this.#users.get(connection);
    if (known !== undefined) return known;
    const socket: unknown = request.socket;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const { subject } = socket.getPeerCertificate();
    if (subject?.CN === undefined) return undefined;
    const organizations: unknown = subject.O;
    const groups = Array.isArray(organizations) ? organizations.map(String) : typeof organizations === 'string' ? [organizations] : [];
    const name: unknown = subject.CN;
    const user = authenticated(Array.isArray(name) ? String(name[0]) : String(name), '', groups);
    this.#users.set(connection, user);
    return user;
  }
}

/** The socket, or the session that an HTTP/2 request is one stream of. */
function connectionOf(request: IncomingMessage): object {
  const stream = 'stream' in request ? (request.stream as { session?: object }) : undefined;
  return stream?.session ?? request.socket;
}

/** The token of an `Authorization: Bearer` header, or undefined. */
export function bearerToken(request: IncomingMessage): string | undefined {
  const match = /^Bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '');
  return match?.[1];
}

/** Bearer tokens that are not made for an audience: they are good for any. */
export abstract class BearerAuthenticator implements Authenticator {
  /** Undefined: the token is none of these. */
  protected abstract find(token: string): User | undefined;

  authenticate(request: IncomingMessage): User | undefined {
    const token = bearerToken(request);
    return token === undefined ? undefined : this.find(token);
  }

  authenticateToken(token: string, audiences: readonly string[]): { user: User; audiences: string[] } | undefined {
    const user = this.find(token);
    return user === undefined ? undefined : { user, audiences: [...audiences] };
  }
}

/** Tokens that are known from the start. Compared by hash, so that time tells nothing. */
export class TokenAuthenticator extends BearerAuthenticator {
  readonly #users: readonly { hash: Buffer; user: User }[];

  constructor(tokens: readonly { token: string; user: User }[]) {
    super();
    this.#users = tokens.map(({ token, user }) => ({ hash: hashOf(token), user }));
  }

  protected find(token: string): User | undefined {
    const hash = hashOf(token);
    return this.#users.find((known) => timingSafeEqual(known.hash, hash))?.user;
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Reads Kubernetes' static token file: `token,user,uid,"group1,group2"` a line. `invalid` names file and line. */
export function parseTokenFile(text: string, file: string): { token: string; user: User }[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    if (line.trim() === '' || line.trimStart().startsWith('#')) return [];
    const [token = '', name = '', uid = '', groups = '', ...rest] = splitCsv(line);
    const refuse = (message: string): GantryError => new GantryError('invalid', `${file}:${index + 1}: ${message}`, { places: [{ file, line: index + 1, message }] });
    if (rest.length > 0) throw refuse('more than four columns: token,user,uid,"group1,group2"');
    if (token === '') throw refuse('the token is empty');
    if (name === '') throw refuse('the user name is empty');
    return [{ token, user: authenticated(name, uid, groups.split(',').map((group) => group.trim()).filter((group) => group !== '')) }];
  });
}

function splitCsv(line: string): string[] {
  const cells = [...line.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)].map(([, quoted, plain]) => (quoted === undefined ? (plain ?? '').trim() : quoted.replaceAll('""', '"')));
  // The pattern also matches the nothing after the last cell.
  return cells.slice(0, -1);
}
