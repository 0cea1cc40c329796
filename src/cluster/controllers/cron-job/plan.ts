import { parseCronSchedule, type k8s, type Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { toTimestamp } from '../conditions.ts';
import { isConditionTrue, isJobFinished } from '../job/observed.ts';
import { dueAt, manyMissed } from './schedule.ts';

type Job = Stored<k8s.Job>;

export interface ObservedCronJob {
  readonly cronJob: Stored<k8s.CronJob>;
  /** The Jobs it controls. */
  readonly jobs: readonly Job[];
  readonly nowMs: number;
}

export type CronJobAction =
  | { type: 'create'; job: k8s.Job }
  | { type: 'delete'; job: Job }
  | { type: 'tell'; eventType: 'Normal' | 'Warning'; reason: string; message: string };

/** The annotation that says for which moment a Job was made. */
export const scheduledAnnotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

/** One pass over a CronJob: forget what has finished, start what is due, tidy up. */
export function planCronJob(observed: ObservedCronJob): Plan<CronJobAction, k8s.CronJobStatus> {
  const { cronJob, jobs, nowMs } = observed;
  const active = jobs.filter((job) => !isJobFinished(job));
  const before = new Set((cronJob.status?.active ?? []).map(({ uid }) => uid));
  const ended = jobs.filter((job) => isJobFinished(job) && before.has(job.metadata.uid));
  const actions: CronJobAction[] = ended.map((job) => ({ type: 'tell', eventType: 'Normal', reason: 'SawCompletedJob', message: `Saw completed job: ${job.metadata.name}, condition: ${isConditionTrue(job, 'Complete') ? 'Complete' : 'Failed'}` }));
  const successes = jobs.flatMap(({ status }) => (status?.completionTime === undefined ? [] : [status.completionTime]));
  const status: k8s.CronJobStatus = {
    ...cronJob.status,
    active: active.length === 0 ? undefined : active.map(referenceOf),
    lastSuccessfulTime: [cronJob.status?.lastSuccessfulTime ?? '', ...successes].toSorted().at(-1) || undefined,
  };
  actions.push(...tidy(cronJob, jobs));
  if (cronJob.metadata.deletionTimestamp !== undefined) return { actions: [], status };
  if (cronJob.spec.suspend === true) return { actions, status };
  return planRun(observed, active, actions, status, nowMs);
}

function planRun({ cronJob, jobs }: ObservedCronJob, active: readonly Job[], actions: CronJobAction[], status: k8s.CronJobStatus, nowMs: number): Plan<CronJobAction, k8s.CronJobStatus> {
  const { spec } = cronJob;
  const schedule = parseCronSchedule(spec.schedule, spec.timeZone);
  const tell = (eventType: 'Normal' | 'Warning', reason: string, message: string): number => actions.push({ type: 'tell', eventType, reason, message });
  if (typeof schedule === 'string') {
    tell('Warning', 'UnparseableSchedule', `unparseable schedule: ${JSON.stringify(spec.schedule)}: ${schedule}`);
    return { actions, status };
  }
  const madeAtMs = jobs.map(({ metadata }) => Date.parse(metadata.annotations?.[scheduledAnnotation] ?? '')).filter((at) => !Number.isNaN(at));
  // A run whose Job exists was started, although the status was not written before a crash.
  const servedMs = Math.max(Date.parse(status.lastScheduleTime ?? cronJob.metadata.creationTimestamp), ...madeAtMs);
  // What is too late is as if it had never been due.
  const sinceMs = spec.startingDeadlineSeconds === undefined ? servedMs : Math.max(servedMs, nowMs - spec.startingDeadlineSeconds * 1000);
  const { atMs, missed, nextMs } = dueAt(schedule, sinceMs, nowMs);
  const requeue = nextMs === undefined ? {} : { requeueAfterMs: Math.min(nextMs - nowMs, 86_400_000) };
  if (atMs === undefined) return { actions, status, ...requeue };
  if (missed > manyMissed) tell('Warning', 'TooManyMissedTimes', 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew');
  if (spec.concurrencyPolicy === 'Forbid' && active.length > 0) {
    tell('Normal', 'JobAlreadyActive', 'Not starting job because prior execution is running and concurrency policy is Forbid');
    // Tried again when that one ends: its change wakes this controller.
    return { actions, status, ...requeue };
  }
  if (spec.concurrencyPolicy === 'Replace') actions.push(...active.map((job): CronJobAction => ({ type: 'delete', job })));
  actions.push({ type: 'create', job: jobFor(cronJob, atMs) });
  return { actions, status: { ...status, lastScheduleTime: toTimestamp(atMs) }, ...requeue };
}

/** A name for each minute of the schedule: the same run cannot be started twice. */
function jobFor({ metadata, spec }: Stored<k8s.CronJob>, atMs: number): k8s.Job {
  const { labels, annotations } = spec.jobTemplate.metadata ?? {};
  const suffix = spec.schedule.startsWith('@every') ? Math.floor(atMs / 1_000) : Math.floor(atMs / 60_000);
  return {
    metadata: {
      name: `${metadata.name}-${suffix}`,
      namespace: metadata.namespace,
      labels,
      annotations: { ...annotations, [scheduledAnnotation]: timeIn(atMs, spec.timeZone) },
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: structuredClone(spec.jobTemplate.spec),
  };
}

/** RFC 3339 in the schedule's own zone. */
function timeIn(atMs: number, timeZone = 'UTC'): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'longOffset', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).formatToParts(new Date(atMs));
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  const offset = part('timeZoneName').replace('GMT', '');
  return `${part('year')}-${part('month')}-${part('day')}T${part('hour')}:${part('minute')}:${part('second')}${offset === '' || offset === '+00:00' ? 'Z' : offset}`;
}

/** Finished Jobs beyond the limits, the oldest first. */
function tidy({ spec }: Stored<k8s.CronJob>, jobs: readonly Job[]): CronJobAction[] {
  const going = ({ metadata }: Job): boolean => metadata.deletionTimestamp !== undefined;
  const beyond = (type: string, limit: number): CronJobAction[] => {
    const finished = jobs.filter((job) => isConditionTrue(job, type) && !going(job)).toSorted((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
    return finished.slice(0, Math.max(0, finished.length - limit)).map((job) => ({ type: 'delete', job }));
  };
  return [...beyond('Complete', spec.successfulJobsHistoryLimit ?? 3), ...beyond('Failed', spec.failedJobsHistoryLimit ?? 1)];
}

function startOf({ metadata, status }: Job): string {
  return `${status?.startTime ?? metadata.creationTimestamp} ${metadata.name}`;
}

function referenceOf(job: Job): k8s.ObjectReference {
  const { name, namespace, uid } = job.metadata;
  return { apiVersion: 'batch/v1', kind: 'Job', name, namespace, uid };
}
