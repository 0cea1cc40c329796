import type { JobStatus, WorkflowRun, WorkflowRunStatus } from '../../api/mod.ts';
import { describeCounts } from '../reports/test-report.ts';

const maxFailuresShown = 10;

/** Pure: what a pusher reads when a run's status has changed from one to the other. Concise: a line when a job starts or ends, and the failing tests. */
export function progressLines(previous: WorkflowRunStatus | undefined, next: WorkflowRunStatus): string[] {
  const before = new Map(previous?.jobs?.map((job) => [job.id, job]));
  const width = Math.max(0, ...(next.jobs ?? []).map(({ name }) => name.length));
  return (next.jobs ?? []).flatMap((job) => jobLines(before.get(job.id), job, width));
}

function jobLines(before: JobStatus | undefined, job: JobStatus, width: number): string[] {
  const lines: string[] = [];
  const say = (text: string): void => void lines.push(`${job.name.padEnd(width)}  ${text}`);
  const wasRunning = before?.phase === 'Running';
  if (job.phase === 'Running' && wasRunning && (before.attempt ?? 1) < (job.attempt ?? 1)) say('started again');
  else if (before?.phase !== job.phase) {
    if (job.phase === 'Running') say('started');
    else if (job.phase !== 'Waiting') say(`${endings[job.phase]}${duration(job)}${detail(job)}`);
  }
  const newImages = (job.images ?? []).slice(before?.images?.length ?? 0);
  for (const image of newImages) say(`pushed ${image.name}@${image.digest.slice(0, 19)}`);
  if (job.phase === 'Failed' && before?.phase !== 'Failed') lines.push(...failureLines(job));
  return lines;
}

const endings = { Succeeded: 'passed', Failed: 'failed', Cancelled: 'cancelled', Skipped: 'skipped' } as const;

function duration({ phase, startedAt, finishedAt }: JobStatus): string {
  if (startedAt === undefined || finishedAt === undefined || phase === 'Skipped') return '';
  return ` in ${((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000).toFixed(1)} s`;
}

function detail({ phase, message, tests }: JobStatus): string {
  const text = phase === 'Succeeded' ? describeCounts(tests ?? []) : (message ?? '').split('\n')[0];
  return text === undefined || text === '' || phase === 'Skipped' ? '' : ` (${text})`;
}

function failureLines({ failedTests = [] }: JobStatus): string[] {
  const shown = failedTests.slice(0, maxFailuresShown).flatMap(({ name, message }) => [`  ✗ ${name}`, ...(message === undefined ? [] : message.split('\n').slice(0, 4).map((line) => `      ${line}`))]);
  return failedTests.length > maxFailuresShown ? [...shown, `  … and ${failedTests.length - maxFailuresShown} more`] : shown;
}

/** The name of the step at which the job failed, as it stands in its log. */
export function failedStepOf({ steps }: JobStatus): string | undefined {
  return steps?.find(({ phase }) => phase === 'Failed')?.name;
}

/** Why the runs of a push do not let it through, or undefined when they do. Runs that tested nothing let nothing through. */
export function refusalOf(runs: readonly WorkflowRun[]): string | undefined {
  const bad = runs.find(({ status }) => status?.phase !== 'Succeeded');
  if (bad !== undefined) return (bad.status?.message ?? `the run ended as ${bad.status?.phase ?? 'unknown'}`).split('\n')[0];
  const counted = runs.flatMap(({ status }) => status?.tests ?? []).reduce((sum, { passed, failed }) => sum + passed + failed, 0);
  return counted === 0 ? 'no test ran' : undefined;
}
