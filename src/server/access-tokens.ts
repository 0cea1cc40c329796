import { readFile } from 'node:fs/promises';
import { authenticated, parseTokenFile, systemMasters, type User } from '../cluster/apiserver/mod.ts';
import { errnoOf, GantryError } from '../kernel/mod.ts';

export interface AccessToken { readonly token: string; readonly user: User }

/** All tokens of an instance: the administrator's own, and those of the static token file. One list for API, git, registry and logs. */
export async function readAccessTokens(ownToken: string, tokenFile: string | undefined): Promise<AccessToken[]> {
  const own: AccessToken = { token: ownToken, user: authenticated('admin', '', [systemMasters]) };
  if (tokenFile === undefined) return [own];
  try {
    return [own, ...parseTokenFile(await readFile(tokenFile, 'utf8'), tokenFile)];
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new GantryError('not-found', `there is no token file ${tokenFile}`, { cause: error });
    throw error;
  }
}

/** Whether the user may use git, the registry and run logs: administrators only, until these have rules of their own. */
export function isAdministrator(user: User): boolean {
  return user.groups.includes(systemMasters);
}
