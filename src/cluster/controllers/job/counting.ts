import { formatIndexes, parseIndexes } from '../../../api/mod.ts';
import { judgeFailure } from './failure-policy.ts';
import { failuresAnnotation, indexOf, isIndexed, isPodFailed, isTracked, type Job, type Pod } from './observed.ts';

/** What has ended so far, and what the status will say of it. */
export interface JobCount {
  readonly succeeded: number;
  readonly failed: number;
  /** Those whose object still has to lose its finalizer are listed, so that nobody counts twice and nobody is forgotten. */
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] };
  /** What status.succeeded and status.failed will be. */
  readonly counted: { readonly succeeded: number; readonly failed: number };
  readonly completedIndexes: ReadonlySet<number>;
  readonly failedIndexes: ReadonlySet<number>;
  /** Failures so far of every index whose last pod failed. */
  readonly indexFailures: ReadonlyMap<number, number>;
  /** Written down already in the status that was observed: their finalizers can go. */
  readonly untrack: readonly Pod[];
  /** Why the whole Job has failed, by its failure policy. */
  readonly failJob: string | undefined;
}

/**
 * Counts each ended pod exactly once although status and pods are different objects: its uid is first written to
 * `uncountedTerminatedPods`, then its finalizer goes, then it becomes a number. Completed indexes are a set and need no such list.
 */
export function countPods(job: Job, pods: readonly Pod[]): JobCount {
  const { status = {} } = job;
  const completions = job.spec.completions ?? 0;
  const written = { succeeded: new Set(status.uncountedTerminatedPods?.succeeded), failed: new Set(status.uncountedTerminatedPods?.failed) };
  const tracked = new Map(pods.filter(isTracked).map((pod) => [pod.metadata.uid, pod]));
  const isStill = (uid: string): boolean => tracked.has(uid);
  const uncounted = { succeeded: [...written.succeeded].filter(isStill), failed: [...written.failed].filter(isStill) };
  const counted = { succeeded: (status.succeeded ?? 0) + written.succeeded.size - uncounted.succeeded.length, failed: (status.failed ?? 0) + written.failed.size - uncounted.failed.length };
  const writtenIndexes = parseIndexes(status.completedIndexes ?? '') ?? new Set<number>();
  const completedIndexes = new Set([...writtenIndexes].filter((index) => index < completions));
  const failedIndexes = new Set(parseIndexes(status.failedIndexes ?? '') ?? []);
  const writtenFailedIndexes = new Set(failedIndexes);
  const lastFailures = new Map<number, { pod: Pod; failures: number; isFinal: boolean }>();
  const untrack: Pod[] = [];
  let failJob: string | undefined;
  for (const pod of tracked.values()) {
    const { uid } = pod.metadata;
    const index = indexOf(pod, completions);
    if (pod.status?.phase === 'Succeeded') {
      if (!isIndexed(job)) {
        if (written.succeeded.has(uid)) untrack.push(pod);
        else uncounted.succeeded.push(uid);
      } else if (index === undefined || writtenIndexes.has(index)) untrack.push(pod);
      else completedIndexes.add(index);
    } else if (isPodFailed(job, pod)) {
      const verdict = judgeFailure(job, pod);
      if (verdict.action === 'FailJob') failJob ??= verdict.message;
      const isCounted = verdict.action !== 'Ignore';
      if (index !== undefined && isIndexed(job) && job.spec.backoffLimitPerIndex !== undefined) {
        const failures = failuresBefore(pod) + (isCounted ? 1 : 0);
        const known = lastFailures.get(index);
        if (known === undefined || known.failures < failures) lastFailures.set(index, { pod, failures, isFinal: verdict.action === 'FailIndex' || failures > job.spec.backoffLimitPerIndex });
      }
      if (!isCounted || written.failed.has(uid)) untrack.push(pod);
      else if (isIndexed(job) && index === undefined) untrack.push(pod);
      else uncounted.failed.push(uid);
    }
  }
  for (const [index, { isFinal }] of lastFailures) if (isFinal && !completedIndexes.has(index)) failedIndexes.add(index);
  const isSettled = (pod: Pod): boolean => {
    const index = indexOf(pod, completions);
    if (index === undefined || lastFailures.get(index)?.pod !== pod) return true;
    return writtenIndexes.has(index) || writtenFailedIndexes.has(index) || pods.some((other) => failuresBefore(other) >= (lastFailures.get(index)?.failures ?? 0) && other !== pod && indexOf(other, completions) === index);
  };
  const succeeded = isIndexed(job) ? completedIndexes.size : counted.succeeded + uncounted.succeeded.length;
  return {
    succeeded,
    failed: counted.failed + uncounted.failed.length,
    uncounted,
    counted: { succeeded: isIndexed(job) ? completedIndexes.size : counted.succeeded, failed: counted.failed },
    completedIndexes,
    failedIndexes,
    indexFailures: new Map([...lastFailures].map(([index, { failures }]) => [index, failures])),
    // The last failed pod of an index remembers how often the index failed, until its successor does.
    untrack: untrack.filter(isSettled),
    failJob,
  };
}

function failuresBefore({ metadata }: Pod): number {
  const text = metadata.annotations?.[failuresAnnotation] ?? '';
  return /^\d+$/.test(text) ? Number(text) : 0;
}

/** Text of a set of indexes for the status; undefined when it is empty. */
export function indexesText(indexes: ReadonlySet<number>): string | undefined {
  return indexes.size === 0 ? undefined : formatIndexes(indexes);
}
