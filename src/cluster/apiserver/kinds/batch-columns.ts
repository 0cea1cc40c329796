import type { k8s } from '../../../api/mod.ts';
import { ageSince, durationText } from './age.ts';
import type { ColumnOf } from './define.ts';
import { joined, selectorText } from './text.ts';

/** Jobs. */
export const jobColumns: readonly ColumnOf<k8s.Job>[] = [
  { name: 'Status', type: 'string', description: 'Status of the job.', cell: jobStatus },
  { name: 'Completions', type: 'string', description: 'How many pods have succeeded of how many.', cell: jobCompletions },
  { name: 'Duration', type: 'string', description: 'Time required to complete the job.', cell: jobDuration },
];

export const jobWideColumns: readonly ColumnOf<k8s.Job>[] = [
  ...templateColumns<k8s.Job>(({ spec }) => spec?.template),
  { name: 'Selector', type: 'string', priority: 1, description: 'Label selector for pods.', cell: ({ spec }) => selectorText(spec?.selector) },
];

/** CronJobs. */
export const cronJobColumns: readonly ColumnOf<k8s.CronJob>[] = [
  { name: 'Schedule', type: 'string', description: 'The schedule in Cron format.', cell: ({ spec }) => spec.schedule },
  { name: 'Timezone', type: 'string', description: 'The time zone name for the given schedule.', cell: ({ spec }) => spec.timeZone ?? '<none>' },
  { name: 'Suspend', type: 'boolean', description: 'Whether further runs are suspended.', cell: ({ spec }) => (spec.suspend === true ? 'True' : 'False') },
  { name: 'Active', type: 'integer', description: 'Number of running jobs.', cell: ({ status }) => status?.active?.length ?? 0 },
  { name: 'Last Schedule', type: 'string', description: 'When a job was last started.', cell: ({ status }, nowMs) => (status?.lastScheduleTime === undefined ? '<none>' : ageSince(status.lastScheduleTime, nowMs)) },
];

export const cronJobWideColumns: readonly ColumnOf<k8s.CronJob>[] = [
  ...templateColumns<k8s.CronJob>(({ spec }) => spec.jobTemplate.spec?.template),
  { name: 'Selector', type: 'string', priority: 1, description: 'Label selector for pods.', cell: ({ spec }) => selectorText(spec.jobTemplate.spec?.selector) },
];

function templateColumns<T>(templateOf: (object: T) => k8s.PodTemplateSpec | undefined): ColumnOf<T>[] {
  const containers = (object: T): k8s.Container[] => templateOf(object)?.spec?.containers ?? [];
  return [
    { name: 'Containers', type: 'string', priority: 1, description: 'Names of each container in the template.', cell: (object) => joined(containers(object).map(({ name }) => name)) },
    { name: 'Images', type: 'string', priority: 1, description: 'Images referenced by each container in the template.', cell: (object) => joined(containers(object).map(({ image }) => image ?? '')) },
  ];
}

function jobStatus({ metadata, status }: k8s.Job): string {
  const has = (type: string): boolean => status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (metadata?.deletionTimestamp !== undefined) return 'Terminating';
  if (has('Suspended')) return 'Suspended';
  if (has('FailureTarget')) return 'FailureTarget';
  if (has('SuccessCriteriaMet')) return 'SuccessCriteriaMet';
  return 'Running';
}

function jobCompletions({ spec, status }: k8s.Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration({ status }: k8s.Job, nowMs: number): string {
  if (status?.startTime === undefined) return '';
  if (status.completionTime === undefined) return ageSince(status.startTime, nowMs);
  return durationText(Math.max(0, Math.floor((Date.parse(status.completionTime) - Date.parse(status.startTime)) / 1000)));
}
