import { createHash, timingSafeEqual } from 'node:crypto';
import { type RegistryPolicy, type RegistryPolicySpec, type RegistryToken, type RegistryTokenSpec, resources, type Stored } from '../../api/mod.ts';
import type { Informer, Informers } from '../../client/mod.ts';
import { matchesAny, type RegistryAuthorizer, type RegistryCredentials, type RegistryVerb, type RepositoryRules } from '../../registry/mod.ts';
import { type AccessToken, isAdministrator } from '../access-tokens.ts';

/** The names under which the instance's own parts log in; no resource can be called so. */
export const registryRobots = { node: '_node', ci: '_ci' } as const;

const robotPrefix = 'robot:';
const dayMs = 86_400_000;

export interface RegistryAccessParts {
  readonly informers: Informers;
  /** The administrator's token and those of the token file. */
  readonly tokens: readonly AccessToken[];
  /** Secrets of `registryRobots`. */
  readonly robots: { readonly node: string; readonly ci: string };
}

/**
 * Who may use the registry: administrators all of it; the node and the pipelines to pull and push; robots what their RegistryToken says; users of the
 * token file what a RegistryPolicy grants; everybody to pull where a policy says so. Waits until the resources are known.
 */
export class RegistryAccess implements RegistryAuthorizer {
  readonly scheme = 'token';
  readonly #robots: Informer<RegistryToken>;
  readonly #policies: Informer<RegistryPolicy>;
  readonly #users: readonly AccessToken[];
  readonly #own: ReadonlyMap<string, Buffer>;

  constructor({ informers, tokens, robots }: RegistryAccessParts) {
    this.#robots = informers.of(resources.registryTokens);
    this.#policies = informers.of(resources.registryPolicies);
    // A user of the token file must not pass for one of ours.
    this.#users = tokens.filter(({ user }) => !user.name.startsWith(robotPrefix) && !Object.values<string>(registryRobots).includes(user.name));
    this.#own = new Map([[registryRobots.node, hashOf(robots.node)], [registryRobots.ci, hashOf(robots.ci)]]);
  }

  /** Robots by name and secret; of users the token alone says who it is, as for git. */
  async authenticate({ username, password }: RegistryCredentials, signal: AbortSignal): Promise<string | undefined> {
    await this.#robots.ready(signal);
    const hash = hashOf(password);
    const own = this.#own.get(username);
    if (own !== undefined) return timingSafeEqual(own, hash) ? username : undefined;
    const robot = this.#robots.get(username);
    if (isLive(robot) && timingSafeEqual(Buffer.from(robot.spec.secretHash.slice('sha256:'.length), 'hex'), hash)) return `${robotPrefix}${username}`;
    return this.#users.find(({ token }) => timingSafeEqual(hashOf(token), hash))?.user.name;
  }

  async isAllowed(name: string | undefined, repository: string, verb: RegistryVerb, signal: AbortSignal): Promise<boolean> {
    await Promise.all([this.#robots.ready(signal), this.#policies.ready(signal)]);
    const policies = this.#policiesOf(repository);
    if (verb === 'pull' && policies.some(({ anonymousPull }) => anonymousPull === true)) return true;
    if (name === undefined) return false;
    if (this.#own.has(name)) return verb !== 'delete';
    if (name.startsWith(robotPrefix)) {
      const robot = this.#robots.get(name.slice(robotPrefix.length));
      return isLive(robot) && robot.spec.verbs.includes(verb) && matchesAny(robot.spec.repositories, repository);
    }
    const user = this.#users.find((known) => known.user.name === name)?.user;
    if (user === undefined) return false;
    const grants = policies.flatMap((policy) => policy.grants ?? []).filter(({ verbs }) => verbs.includes(verb));
    return isAdministrator(user) || grants.some(({ users = [], groups = [] }) => users.includes(user.name) || groups.some((group) => user.groups.includes(group)));
  }

  /** Immutable tags and retention of a repository, for the registry itself. */
  rulesOf(repository: string): RepositoryRules {
    const policies = this.#policiesOf(repository);
    return {
      immutableTags: policies.flatMap(({ immutableTags }) => immutableTags ?? []),
      retention: policies.flatMap(({ retention }) => {
        if (retention === undefined) return [];
        const { keepTags, maxTagAgeDays, keep = [] } = retention;
        return [{ keep, ...(keepTags === undefined ? {} : { keepTags }), ...(maxTagAgeDays === undefined ? {} : { maxTagAgeMs: maxTagAgeDays * dayMs }) }];
      }),
    };
  }

  #policiesOf(repository: string): RegistryPolicySpec[] {
    return this.#policies.list().flatMap(({ spec }) => (spec !== undefined && matchesAny(spec.repositories, repository) ? [spec] : []));
  }
}

function isLive(robot: Stored<RegistryToken> | undefined): robot is Stored<RegistryToken> & { spec: RegistryTokenSpec } {
  const expiresAt = robot?.spec?.expiresAt;
  return robot?.spec !== undefined && (expiresAt === undefined || Date.parse(expiresAt) > Date.now());
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
