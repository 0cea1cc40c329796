/**
 * What of the cache a build may use. Results and cache mounts are written to its own scope; those of the readable ones are used and
 * never changed. So what a build of an untrusted branch leaves is seen by builds of its own scope only.
 */
export interface CacheAccess {
  readonly scope: string;
  readonly readable: readonly string[];
}

/** Of builds that are trusted with what all others use. */
export const sharedCache: CacheAccess = { scope: '', readable: [] };

/** Of builds that nobody vouches for: a scope of their own, over the shared one. */
export function untrustedCache(scope: string): CacheAccess {
  return { scope: `untrusted:${scope}`, readable: [''] };
}
