import { readFileSync, statSync } from 'node:fs';
import { resolveInside } from '../../host/mod.ts';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

export interface ResolvedUser { uid: number; gid: number; additionalGids: number[]; home: string; name: string }

/** Larger user databases are not read: they come from images. */
const maxDatabaseBytes = 4 << 20;

/** The user databases of an image, as text; empty when it has none. */
export interface UserDatabases { readonly passwd: string; readonly group: string }

/** Reads them without leaving the root folder by a symlink. */
export function readUserDatabases(rootPath: string): UserDatabases {
  return { passwd: readConfined(rootPath, '/etc/passwd'), group: readConfined(rootPath, '/etc/group') };
}

/**
 * `user[:group]` with names or numbers → ids, as Docker does: a user of the database also gets its groups; a number that is in no database
 * gets group 0. `invalid` for a name that the image does not have.
 */
export function resolveUser(text: string, supplementalGroups: readonly string[], databases: UserDatabases): ResolvedUser {
  const [userText = '', groupText] = text.split(':', 2);
  const users = parseLines(databases.passwd, 7);
  const groups = parseLines(databases.group, 4);
  const wanted = userText === '' ? '0' : userText;
  // A name that looks like a number is a number, unless the database has it as a name.
  const entry = users.find(([name]) => name === wanted) ?? users.find(([, , uid]) => uid === wanted);
  const uid = entry === undefined ? parseId(wanted, 'user') : Number(entry[2]);
  const name = entry?.[0] ?? '';
  const groupOf = (group: string): number => {
    const found = groups.find(([groupName]) => groupName === group);
    return found === undefined ? parseId(group, 'group') : Number(found[2]);
  };
  const gid = groupText === undefined || groupText === '' ? Number(entry?.[3] ?? 0) : groupOf(groupText);
  // With an explicit group the database's memberships do not apply (moby user.GetExecUser).
  const memberships = groupText === undefined && name !== '' ? groups.filter(([, , , members = '']) => members.split(',').includes(name)).map(([, , id]) => Number(id)) : [];
  const additionalGids = [...new Set([...memberships, ...supplementalGroups.map(groupOf)])].filter((id) => Number.isSafeInteger(id));
  return { uid, gid, additionalGids, home: entry?.[5] || '/', name };
}

function parseId(text: string, kind: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || id > 2_147_483_647) throw new GantryError('invalid', `unable to find ${kind} ${text}: no matching entries in the image's ${kind === 'user' ? 'passwd' : 'group'} file`);
  return id;
}

function parseLines(text: string, fields: number): string[][] {
  return text.split('\n').map((line) => line.trim().split(':')).filter((parts) => parts.length >= Math.min(fields, 3) && /^\d+$/.test(parts[2] ?? ''));
}

function readConfined(rootPath: string, path: string): string {
  const file = resolveInside(rootPath, path);
  try {
    const stat = statSync(file);
    // A FIFO or device of the image would block or never end.
    if (!stat.isFile() || stat.size > maxDatabaseBytes) return '';
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return '';
    throw error;
  }
}
