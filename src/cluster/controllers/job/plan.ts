import type { k8s } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { toTimestamp, withCondition } from '../conditions.ts';
import { isFinished, isReady } from '../pods/readiness.ts';
import { countPods, indexesText, type JobCount } from './counting.ts';
import { isConditionTrue, isJobFinished, isTracked, type Job, type JobAction, type ObservedJob, type Pod } from './observed.ts';
import { deadlineMs, type Outcome, outcomeOf } from './outcome.ts';
import { planSize } from './sizing.ts';

type JobPlan = Plan<JobAction, k8s.JobStatus>;

/** One step of a Job: count what ended, decide whether it is over, else make or take pods. */
export function planJob(observed: ObservedJob): JobPlan {
  const { job, claim, pendingDeletions, nowMs } = observed;
  if (job.metadata.deletionTimestamp !== undefined || isJobFinished(job)) return { actions: untrack(claim.owned.filter(isTracked)) };
  const pods = [...claim.owned, ...claim.adopt];
  const count = countPods(job, pods);
  const isLeaving = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined || pendingDeletions.has(metadata.uid);
  const unfinished = pods.filter((pod) => !isFinished(pod));
  const active = unfinished.filter((pod) => !isLeaving(pod));
  const leaving = unfinished.filter(isLeaving);
  const outcome = outcomeOf(job, count, active, nowMs);
  const ownership: JobAction[] = [...claim.adopt.map((pod): JobAction => ({ type: 'adopt', pod })), ...claim.release.map((pod): JobAction => ({ type: 'release', pod }))];
  const base = baseStatus(job, count, active, leaving);
  const step = outcome !== undefined ? planEnd(observed, count, outcome, active, leaving, base) : job.spec.suspend === true ? planSuspended(job, active, base, nowMs) : planWork(observed, count, active, leaving, base);
  return { ...step, actions: [...ownership, ...untrack(count.untrack), ...step.actions] };
}

function untrack(pods: readonly Pod[]): JobAction[] {
  return pods.length === 0 ? [] : [{ type: 'untrack', pods: [...pods] }];
}

function baseStatus(job: Job, count: JobCount, active: readonly Pod[], leaving: readonly Pod[]): k8s.JobStatus {
  const { uncounted } = count;
  return {
    ...job.status,
    active: active.length === 0 ? undefined : active.length,
    ready: active.filter(isReady).length,
    terminating: leaving.length,
    succeeded: count.counted.succeeded === 0 ? undefined : count.counted.succeeded,
    failed: count.counted.failed === 0 ? undefined : count.counted.failed,
    completedIndexes: indexesText(count.completedIndexes),
    failedIndexes: job.spec.backoffLimitPerIndex === undefined ? undefined : (indexesText(count.failedIndexes) ?? ''),
    uncountedTerminatedPods: {
      ...(uncounted.succeeded.length === 0 ? {} : { succeeded: [...uncounted.succeeded] }),
      ...(uncounted.failed.length === 0 ? {} : { failed: [...uncounted.failed] }),
    },
  };
}

/** Stops what still runs; the final condition comes when everything has stopped and is counted. */
function planEnd({ job, nowMs, pendingCreations }: ObservedJob, count: JobCount, { target, reason, message }: Outcome, active: readonly Pod[], leaving: readonly Pod[], base: k8s.JobStatus): JobPlan {
  const isFailure = target === 'FailureTarget';
  const startTime = base.startTime ?? toTimestamp(nowMs);
  const conditions = withCondition(base.conditions, condition(target, reason, message, nowMs), nowMs);
  const isQuiet = active.length + leaving.length + pendingCreations + count.uncounted.succeeded.length + count.uncounted.failed.length === 0 && isConditionTrue(job, target);
  if (!isQuiet) {
    const actions: JobAction[] = active.length === 0 ? [] : [{ type: 'delete', pods: [...active], isCounted: isFailure }];
    return { actions, status: { ...base, startTime, conditions } };
  }
  const final = condition(isFailure ? 'Failed' : 'Complete', reason, message, nowMs);
  const tell: JobAction = isFailure ? { type: 'tell', eventType: 'Warning', reason, message } : { type: 'tell', eventType: 'Normal', reason: 'Completed', message: 'Job completed' };
  return { actions: [tell], status: { ...base, startTime, conditions: withCondition(conditions, final, nowMs), ...(isFailure ? {} : { completionTime: toTimestamp(nowMs) }) } };
}

/** A suspended Job has no pods, and its clock begins anew when it goes on. */
function planSuspended(job: Job, active: readonly Pod[], base: k8s.JobStatus, nowMs: number): JobPlan {
  const isNew = !isConditionTrue(job, 'Suspended');
  const actions: JobAction[] = active.length === 0 ? [] : [{ type: 'delete', pods: [...active], isCounted: false }];
  if (isNew) actions.push({ type: 'tell', eventType: 'Normal', reason: 'Suspended', message: 'Job suspended' });
  const conditions = withCondition(base.conditions, condition('Suspended', 'JobSuspended', 'Job suspended', nowMs), nowMs);
  return { actions, status: { ...base, startTime: undefined, conditions } };
}

function planWork(observed: ObservedJob, count: JobCount, active: readonly Pod[], leaving: readonly Pod[], base: k8s.JobStatus): JobPlan {
  const { job, nowMs, pendingCreations } = observed;
  const actions: JobAction[] = [];
  let { conditions } = base;
  let startTime = base.startTime ?? toTimestamp(nowMs);
  if (isConditionTrue(job, 'Suspended')) {
    conditions = withCondition(conditions, { ...condition('Suspended', 'JobResumed', 'Job resumed', nowMs), status: 'False' }, nowMs);
    startTime = toTimestamp(nowMs);
    actions.push({ type: 'tell', eventType: 'Normal', reason: 'Resumed', message: 'Job resumed' });
  }
  const size = pendingCreations > 0 ? { create: [], remove: [] } : planSize(observed, count, active, leaving);
  if (size.remove.length > 0) actions.push({ type: 'delete', pods: size.remove, isCounted: false });
  if (size.create.length > 0) actions.push({ type: 'create', pods: size.create });
  const due = deadlineMs({ ...job, status: { ...base, startTime } });
  const waits = [size.waitMs, due === undefined ? undefined : Math.max(0, due - nowMs)].filter((waitMs) => waitMs !== undefined);
  return { actions, status: { ...base, startTime, conditions }, ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }) };
}

function condition(type: string, reason: string, message: string, nowMs: number): k8s.JobCondition {
  return { type, status: 'True', reason, message, lastProbeTime: toTimestamp(nowMs) };
}
