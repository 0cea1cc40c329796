import { matchesBranchPattern } from '../branch-pattern.ts';
import { refNameProblem } from '../names.ts';
import type { RefChange } from '../bare-repository.ts';

/** What a Repository resource says of its branches. */
export interface BranchPolicy {
  readonly defaultBranch: string;
  /** Glob patterns; see branch-pattern.ts. */
  readonly protectedBranches: readonly string[];
}

/** What has to be known of the repository to judge a command. */
export interface RefFacts {
  /** What the ref points at now. */
  readonly current: string | undefined;
  /** Whether `after` is a commit that has `current` in its history; true for new refs and deletions. */
  readonly isFastForward: boolean;
  /** Whether `after` is a commit (tags may name any object). */
  readonly isCommit: boolean;
}

/** `move`: at once. `gate`: when the gate accepts it. */
export type Judgement = { decision: 'move' | 'gate' } | { decision: 'refuse'; reason: string };

/** The branch a full ref name names, or undefined for tags and others. */
export function branchOf(ref: string): string | undefined {
  return ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : undefined;
}

export function isProtectedRef(ref: string, policy: BranchPolicy): boolean {
  const branch = branchOf(ref);
  return branch !== undefined && policy.protectedBranches.some((pattern) => matchesBranchPattern(pattern, branch));
}

/** Decides one command of a push, short of asking the gate. */
export function judgeCommand({ ref, before, after }: RefChange, policy: BranchPolicy, facts: RefFacts): Judgement {
  const problem = refNameProblem(ref);
  if (problem !== undefined) return refuse(`invalid ref name: ${problem}`);
  const branch = branchOf(ref);
  if (branch === undefined && !ref.startsWith('refs/tags/')) return refuse('only branches (refs/heads/) and tags (refs/tags/) are accepted');
  if (facts.current !== before) return refuse('it moved in the meantime; fetch and push again');
  if (branch !== undefined && after !== undefined && !facts.isCommit) return refuse('a branch can only point at a commit');
  if (branch === policy.defaultBranch && after === undefined) return refuse('the default branch cannot be deleted');
  if (!isProtectedRef(ref, policy)) return { decision: 'move' };
  if (after === undefined) return refuse('a protected branch cannot be deleted');
  if (!facts.isFastForward) return refuse('a protected branch only moves forward: no force-push');
  return { decision: 'gate' };
}

function refuse(reason: string): Judgement {
  return { decision: 'refuse', reason };
}
