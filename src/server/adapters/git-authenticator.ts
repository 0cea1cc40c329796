import { createHash, timingSafeEqual } from 'node:crypto';
import type { GitAuthenticator } from '../../git/mod.ts';
import { type AccessToken, isAdministrator } from '../access-tokens.ts';

/** Lets administrators' tokens push and fetch. The user name of HTTP Basic is anything; the token says who it is. */
export function gitAuthenticatorOf(tokens: readonly AccessToken[]): GitAuthenticator {
  const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();
  const known = tokens.filter(({ user }) => isAdministrator(user)).map(({ token, user }) => ({ hash: hashOf(token), name: user.name }));
  return {
    authenticate: (_, token) => {
      const hash = hashOf(token);
      return Promise.resolve(known.find((candidate) => timingSafeEqual(candidate.hash, hash))?.name);
    },
  };
}
