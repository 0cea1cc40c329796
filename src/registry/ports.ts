import type { Readable } from 'node:stream';

/** Who may do what at the registry. Absent: everybody may do everything, as suits a listener on loopback. */
export interface RegistryAuthorizer {
  /** The scheme of the challenge: `basic` asks for a password with every request, `token` sends clients to the token end point. */
  readonly scheme: 'basic' | 'token';
  /** The user of the credentials, or undefined when they are wrong. Compares in constant time. */
  authenticate(credentials: RegistryCredentials, signal: AbortSignal): Promise<string | undefined>;
  /** `user` is undefined for requests without credentials. */
  isAllowed(user: string | undefined, repository: string, verb: RegistryVerb, signal: AbortSignal): Promise<boolean>;
}

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token that the registry's token server takes instead of the password (distribution spec, "OAuth2"). */
  readonly identityToken?: string;
  /** A token that the registry itself takes. */
  readonly registryToken?: string;
}

/** Scope actions of the distribution spec's token authentication. */
export type RegistryVerb = 'pull' | 'push' | 'delete';

/** What holds for one repository. */
export interface RepositoryRules {
  /** Glob patterns of tags that, once set, neither move nor go. */
  readonly immutableTags: readonly string[];
  /** Each counts by itself: a tag goes when any of them lets it go. */
  readonly retention: readonly RetentionRule[];
}

export interface RetentionRule {
  /** How many of the newest tags stay. Absent: all. */
  readonly keepTags?: number;
  /** Tags that were set longer ago go. */
  readonly maxTagAgeMs?: number;
  /** Glob patterns of tags that this rule neither counts nor removes. */
  readonly keep: readonly string[];
}

/** The rules of a repository, asked at every request and collection. */
export type RulesOf = (repository: string) => RepositoryRules;

/** Other registries that this one keeps copies of. */
export interface Upstreams {
  /** The upstream of a repository; undefined for the registry's own. */
  find(repository: string): Upstream | undefined;
  /** The repository here for a name that a client asked for as the mirror of a host (`ns` parameter, "Registry Proxying"). */
  repositoryOf(host: string, name: string): string | undefined;
}

/** One repository of another registry. Errors as RegistryHttpClient has them; `retryAfterMs` when the registry said so. */
export interface Upstream {
  /** For people: host and repository. */
  readonly name: string;
  /** What goes quiet together when the registry asks to be left alone. */
  readonly host: string;
  /** How long a tag is served without asking again. */
  readonly freshMs: number;
  /** The digest that a tag names, asked without fetching the manifest; undefined when the registry does not say. */
  findDigest(tag: string, signal: AbortSignal): Promise<string | undefined>;
  fetchManifest(reference: { readonly tag: string } | { readonly digest: string }, signal: AbortSignal): Promise<{ readonly mediaType: string; readonly digest: string; readonly bytes: Uint8Array }>;
  fetchBlob(descriptor: { readonly digest: string; readonly size: number }, signal: AbortSignal): Promise<Readable>;
}
