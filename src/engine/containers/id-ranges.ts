import type { IdRange } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { UserNamespaceMode } from '../types.ts';

/** How containers get user namespaces. */
export interface UserNamespaceOptions {
  /** Whether containers that do not say `host` get one, as with dockerd's `userns-remap`. */
  readonly isDefault: boolean;
  /** Of containers that share a range. */
  readonly range: IdRange;
}

/** As many ids as a system has that was made before user namespaces; all images fit. */
export const idsPerContainer = 65_536;

/** 0x70000000 to 0x7fffffff are given to nobody: neither by useradd nor by systemd (systemd.io/UIDS-GIDS). */
const firstFreeId = 0x7000_0000;
const rangeCount = 4096;

/** The range that containers share where none is set. */
export const defaultIdRange: IdRange = { firstId: firstFreeId, size: idsPerContainer };

/** The namespace of a new container: a mode that asks becomes one that says what it is. `exhausted` when all ranges are given away. */
export function chooseUserNamespace(asked: UserNamespaceMode, options: UserNamespaceOptions, others: Iterable<UserNamespaceMode>): UserNamespaceMode {
  const mode = asked.mode === 'default' ? (options.isDefault ? 'shared' : 'host') : asked.mode;
  switch (mode) {
    case 'host':
      return { mode };
    case 'shared':
      return { mode: 'remapped', range: options.range };
    case 'unique':
      return { mode: 'remapped', range: freeIdRange(others) };
    case 'remapped':
      return asked;
  }
}

/**
 * A range that none of the others has; `exhausted` when all are given away. Ids on disk are not those of the range, so it can be given to the
 * next as soon as its container or pod is gone.
 */
export function freeIdRange(others: Iterable<UserNamespaceMode>): IdRange {
  const taken = new Set([...others].flatMap((other) => (other.mode === 'remapped' ? [other.range.firstId] : [])));
  for (let index = 1; index < rangeCount; index += 1) {
    const firstId = firstFreeId + index * idsPerContainer;
    if (!taken.has(firstId)) return { firstId, size: idsPerContainer };
  }
  throw new GantryError('exhausted', `all ${rangeCount - 1} ranges of ids are given to containers`);
}

/**
 * The range of a user in the texts of /etc/subuid and /etc/subgid (subuid(5)), which must be the same in both and hold 65536 ids.
 * `not-found` and `invalid` say which file is wrong.
 */
export function parseSubordinateRange(user: string, subuid: string, subgid: string): IdRange {
  const [uids, gids] = [rangeIn(subuid, user, '/etc/subuid'), rangeIn(subgid, user, '/etc/subgid')];
  if (uids.firstId !== gids.firstId) throw new GantryError('invalid', `usernsRemap: the ranges of ${user} in /etc/subuid and /etc/subgid must begin with the same id`);
  return { firstId: uids.firstId, size: idsPerContainer };
}

function rangeIn(text: string, user: string, file: string): IdRange {
  const line = text.split('\n').map((entry) => entry.trim().split(':')).find(([name, firstId, size]) => name === user && /^\d{1,10}$/.test(firstId ?? '') && /^\d{1,10}$/.test(size ?? ''));
  if (line === undefined) throw new GantryError('not-found', `usernsRemap: ${file} has no range for ${JSON.stringify(user)}`);
  const range = { firstId: Number(line[1]), size: Number(line[2]) };
  if (range.size < idsPerContainer || range.firstId < 1 || range.firstId + idsPerContainer > 0xffff_fffe) throw new GantryError('invalid', `usernsRemap: the range of ${user} in ${file} must have ${idsPerContainer} ids and begin above 0`);
  return range;
}
