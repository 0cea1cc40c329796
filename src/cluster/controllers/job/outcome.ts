import { parseIndexes } from '../../../api/mod.ts';
import type { JobCount } from './counting.ts';
import { isIndexed, type Job, type Pod } from './observed.ts';

/** What a Job is heading for; the condition is written before its pods are stopped, and the final one when they have. */
export interface Outcome {
  readonly target: 'FailureTarget' | 'SuccessCriteriaMet';
  readonly reason: string;
  readonly message: string;
}

/** Whether the Job is decided: by what an earlier pass wrote, else by what has happened since. */
export function outcomeOf(job: Job, count: JobCount, active: readonly Pod[], nowMs: number): Outcome | undefined {
  for (const target of ['FailureTarget', 'SuccessCriteriaMet'] as const) {
    const written = job.status?.conditions?.find(({ type, status }) => type === target && status === 'True');
    if (written !== undefined) return { target, reason: written.reason ?? '', message: written.message ?? '' };
  }
  return failureOf(job, count, active, nowMs) ?? successOf(job, count, active);
}

function failureOf(job: Job, count: JobCount, active: readonly Pod[], nowMs: number): Outcome | undefined {
  const { spec } = job;
  const fail = (reason: string, message: string): Outcome => ({ target: 'FailureTarget', reason, message });
  if (count.failJob !== undefined) return fail('PodFailurePolicy', count.failJob);
  if (count.failed > (spec.backoffLimit ?? 6) || restartsExceedLimit(job, active)) return fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  if ((deadlineMs(job) ?? Infinity) <= nowMs) return fail('DeadlineExceeded', 'Job was active longer than specified deadline');
  if (spec.maxFailedIndexes !== undefined && count.failedIndexes.size > spec.maxFailedIndexes) return fail('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
  const isExhausted = spec.backoffLimitPerIndex !== undefined && count.failedIndexes.size > 0 && count.completedIndexes.size + count.failedIndexes.size >= (spec.completions ?? 0);
  return isExhausted ? fail('FailedIndexes', 'Job has failed indexes') : undefined;
}

function successOf(job: Job, count: JobCount, active: readonly Pod[]): Outcome | undefined {
  const { spec } = job;
  const met = (reason: string, message: string): Outcome => ({ target: 'SuccessCriteriaMet', reason, message });
  for (const [index, { succeededIndexes, succeededCount }] of (isIndexed(job) ? (spec.successPolicy?.rules ?? []) : []).entries()) {
    const wanted = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes);
    const done = [...count.completedIndexes].filter((one) => wanted === undefined || wanted.has(one)).length;
    if (done >= (succeededCount ?? wanted?.size ?? Infinity)) return met('SuccessPolicy', `Matched rules at index ${index}`);
  }
  const isReached = spec.completions === undefined ? count.succeeded > 0 && active.length === 0 : count.succeeded >= spec.completions;
  // A work queue is empty when one of its pods says so and the others have ended.
  return isReached ? met('CompletionsReached', 'Reached expected number of succeeded pods') : undefined;
}

/** With restartPolicy OnFailure failures are restarts of containers. */
function restartsExceedLimit({ spec }: Job, active: readonly Pod[]): boolean {
  if (spec.template.spec?.restartPolicy !== 'OnFailure') return false;
  const restarts = active
    .filter(({ status }) => status?.phase === 'Running' || status?.phase === 'Pending')
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);
  const limit = spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** When the Job's time is over, in milliseconds; undefined when it has all the time. */
export function deadlineMs({ spec, status }: Job): number | undefined {
  if (spec.activeDeadlineSeconds === undefined || status?.startTime === undefined || spec.suspend === true) return undefined;
  return Date.parse(status.startTime) + spec.activeDeadlineSeconds * 1000;
}
