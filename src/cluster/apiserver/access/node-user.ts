import type { User } from './user.ts';

const nodePrefix = 'system:node:';
const nodesGroup = 'system:nodes';

/** The node whose agent a user is; undefined for everybody else. */
export function nodeOf({ name, groups }: User): string | undefined {
  return groups.includes(nodesGroup) && name.startsWith(nodePrefix) ? name.slice(nodePrefix.length) : undefined;
}
