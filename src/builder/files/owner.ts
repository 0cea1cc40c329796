import { readFileSync } from 'node:fs';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import { resolveInRoot } from './resolve-in-root.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * `user[:group]` as numbers or as names of the tree's /etc/passwd and /etc/group. A named user without a group has its own group,
 * a number without a group is also the group's. `invalid` when a name is unknown.
 */
export function resolveOwner(rootPath: string, text: string): Owner {
  const [user = '', group] = text.split(':', 2);
  const account = findUser(rootPath, user);
  return { uid: account.uid, gid: group === undefined || group === '' ? account.gid : findGroup(rootPath, group) };
}

function findUser(rootPath: string, name: string): Owner {
  if (/^\d{1,10}$/.test(name)) return { uid: Number(name), gid: Number(name) };
  const row = readRows(rootPath, '/etc/passwd').find(([entry]) => entry === name);
  if (row === undefined) throw new GantryError('invalid', `unknown user ${JSON.stringify(name)}: it is not in the image's /etc/passwd`);
  return { uid: Number(row[2]), gid: Number(row[3]) };
}

function findGroup(rootPath: string, name: string): number {
  if (/^\d{1,10}$/.test(name)) return Number(name);
  const row = readRows(rootPath, '/etc/group').find(([entry]) => entry === name);
  if (row === undefined) throw new GantryError('invalid', `unknown group ${JSON.stringify(name)}: it is not in the image's /etc/group`);
  return Number(row[2]);
}

function readRows(rootPath: string, path: string): string[][] {
  try {
    return readFileSync(resolveInRoot(rootPath, path), 'utf8').split('\n').map((line) => line.split(':'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EISDIR' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}
