import { matchesFilterPatterns } from './filter-pattern.ts';
import type { Triggers } from './model.ts';

/** Whether a push of the ref, changing the files, starts a workflow ("Events that trigger workflows", push). */
export function isTriggeredByPush({ push }: Triggers, ref: string, changedFiles: readonly string[]): boolean {
  if (push === undefined) return false;
  const [, kind, name = ''] = /^refs\/(heads|tags)\/(.*)$/s.exec(ref) ?? [];
  const hasBranchFilter = push.branches !== undefined || push.branchesIgnore !== undefined;
  const hasTagFilter = push.tags !== undefined || push.tagsIgnore !== undefined;
  if (kind === 'heads' && !hasBranchFilter && hasTagFilter) return false;
  if (kind === 'tags' && !hasTagFilter && hasBranchFilter) return false;
  const [only, except] = kind === 'heads' ? [push.branches, push.branchesIgnore] : [push.tags, push.tagsIgnore];
  if (only !== undefined && !matchesFilterPatterns(only, name)) return false;
  if (except !== undefined && matchesFilterPatterns(except, name)) return false;
  if (kind === 'tags') return true;
  if (push.paths !== undefined && !changedFiles.some((path) => matchesFilterPatterns(push.paths ?? [], path))) return false;
  if (push.pathsIgnore !== undefined && changedFiles.length > 0 && changedFiles.every((path) => matchesFilterPatterns(push.pathsIgnore ?? [], path))) return false;
  return true;
}
