import type { IncomingMessage } from 'node:http';

/** Who asks. */
export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** What else is known, for example the scopes or the pod of a token. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Finds out who asks. Undefined: it cannot tell, ask the next one. `unauthenticated`: what was shown is wrong. */
export interface Authenticator {
  authenticate(request: IncomingMessage): User | undefined;
  /** The same for a bearer token alone, for TokenReview. `audiences`: those it may be meant for, and those of them it is. */
  authenticateToken?(token: string, audiences: readonly string[]): { user: User; audiences: string[] } | undefined;
}

/** Full access to everything (Kubernetes' group of cluster administrators). */
export const systemMasters = 'system:masters';

/** Who shows nothing. */
export const anonymous: User = { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'] };

/** The user with the group every authenticated one is in. */
export function authenticated(name: string, uid: string, groups: readonly string[]): User {
  return { name, uid, groups: groups.includes('system:authenticated') ? groups : [...groups, 'system:authenticated'] };
}
