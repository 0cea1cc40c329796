import type { Stored, WorkflowRun } from '../../api/mod.ts';
import { isRunFinished } from '../plan/plan-run.ts';

/** Finished runs that a repository keeps, with their logs. */
const keptRuns = 100;

/** Pure: the finished runs that are more than their repository keeps, oldest first. */
export function runsToPrune(runs: readonly Stored<WorkflowRun>[], kept: number = keptRuns): Stored<WorkflowRun>[] {
  const groups = Map.groupBy(runs.filter(isRunFinished), ({ metadata, spec }) => `${metadata.namespace ?? ''}/${spec?.repository ?? ''}`);
  return [...groups.values()].flatMap((group) => {
    const sorted = group.toSorted((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
    return sorted.slice(0, Math.max(0, sorted.length - kept));
  });
}
