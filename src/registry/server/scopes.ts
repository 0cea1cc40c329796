import type { RegistryVerb } from '../ports.ts';

/** What a token allows in one repository. */
export interface RepositoryScope { readonly repository: string; readonly verbs: readonly RegistryVerb[] }

export const registryVerbs = ['pull', 'push', 'delete'] as const satisfies readonly RegistryVerb[];

/**
 * The repository scopes of `scope` parameters (distribution, "Token Scope Documentation": `repository:<name>:<actions>`, several with
 * spaces between). `*` stands for every action. Other resource types and actions give no rights, so they are left out.
 */
export function parseScopes(parameters: readonly string[]): RepositoryScope[] {
  return parameters
    .flatMap((parameter) => parameter.split(' '))
    .map((scope) => /^repository(?:\([a-z0-9]+\))?:(.+):([a-z*,]*)$/.exec(scope))
    .filter((match) => match !== null)
    .map(([, repository = '', actions = '']) => {
      const asked = new Set(actions.split(','));
      return { repository, verbs: registryVerbs.filter((verb) => asked.has('*') || asked.has(verb)) };
    });
}
