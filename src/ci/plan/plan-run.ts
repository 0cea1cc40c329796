import type { JobStatus, RunPhase, WorkflowRun, WorkflowRunStatus } from '../../api/mod.ts';
import type { Plan } from '../../client/mod.ts';
import type { GantryError } from '../../kernel/mod.ts';
import { addCounts, describeCounts } from '../reports/test-report.ts';
import type { StatusSoFar } from '../expressions/contexts.ts';
import { jobName } from '../job/names.ts';
import type { Job, Workflow } from '../workflow/model.ts';

/** The `needs` context: result and outputs of each job a job waits for. */
export type Needs = Readonly<Record<string, { readonly result: string; readonly outputs: Record<string, string> }>>;

/** Everything a decision about a run rests on. */
export interface ObservedRun {
  readonly run: WorkflowRun;
  /** The workflow of the commit, or why there is none. */
  readonly workflow: Workflow | GantryError;
  /** Jobs that this process carries out, or has just ended and not yet seen in the stored status. */
  readonly live: ReadonlyMap<string, JobStatus>;
  /** Whether the job's `if` holds. Throws `invalid` when it cannot be evaluated. */
  readonly isWanted: (job: Job, needs: Needs, soFar: StatusSoFar) => boolean;
  /** RFC 3339. */
  readonly now: string;
}

/** `sweep`: nothing of the run goes on; remove what a crash may have left of it. It comes before the run's end is written down. */
export type RunAction = { type: 'start-job'; job: Job; attempt: number; needs: Needs } | { type: 'cancel-job'; jobId: string; reason: string } | { type: 'sweep' };

/** A job that a stop of the server or of its node cut off is started so many times in all. */
const maxAttempts = 3;

const endPhases: readonly (RunPhase | undefined)[] = ['Succeeded', 'Failed', 'Cancelled', 'Error'];
const isEnded = ({ phase }: Pick<JobStatus, 'phase'>): boolean => phase !== 'Waiting' && phase !== 'Running';

/** Whether the run has come to its end. */
export function isRunFinished(run: WorkflowRun): boolean {
  return endPhases.includes(run.status?.phase);
}

/**
 * Pure: what to start or cancel now, and what the run's status is. Job: waiting → (running → (succeeded | failed | cancelled) | skipped).
 * The status is whole, so that a lost write is made good by the next.
 */
export function planRun(observed: ObservedRun): Plan<RunAction, WorkflowRunStatus> {
  const { run, workflow, live, now } = observed;
  const cancelAll = (reason: string): RunAction[] => [...live.values()].filter(({ phase }) => phase === 'Running').map(({ id }) => ({ type: 'cancel-job', jobId: id, reason }));
  if (run.metadata?.deletionTimestamp !== undefined) return { actions: cancelAll('the run is being deleted') };
  if (isRunFinished(run)) return { actions: cancelAll('the run is over') };
  const startedAt = run.status?.startedAt ?? now;
  if (!('jobs' in workflow)) return { actions: [], status: { ...run.status, phase: 'Error', startedAt, finishedAt: now, message: workflow.message } };
  const stored = new Map(run.status?.jobs?.map((job) => [job.id, job]));
  const jobs = new Map(workflow.jobs.map((job): [string, JobStatus] => [job.id, live.get(job.id) ?? stored.get(job.id) ?? { id: job.id, name: jobName(job), phase: 'Waiting' }]));
  const actions = run.spec?.cancelRequested === true ? planCancel(jobs, live, cancelAll) : planJobs(observed, workflow, jobs);
  const summary = summarise(run, [...jobs.values()], now);
  const isOver = summary.finishedAt !== undefined;
  return { actions: isOver ? [...actions, { type: 'sweep' }] : actions, status: { ...run.status, startedAt, ...summary } };
}

function planCancel(jobs: Map<string, JobStatus>, live: ObservedRun['live'], cancelAll: (reason: string) => RunAction[]): RunAction[] {
  for (const [id, job] of jobs) if (!isEnded(job) && !(live.has(id) && job.phase === 'Running')) jobs.set(id, { ...job, phase: 'Cancelled' });
  return cancelAll('the run was cancelled');
}

function planJobs(observed: ObservedRun, workflow: Workflow, jobs: Map<string, JobStatus>): RunAction[] {
  const actions: RunAction[] = [];
  const decided = new Set<string>();
  // The file may name a job before those it needs, so what one pass ends may free another job in the next.
  for (let isChanged = true; isChanged; ) {
    isChanged = false;
    for (const job of workflow.jobs) {
      const status = jobs.get(job.id);
      if (status === undefined || isEnded(status) || decided.has(job.id)) continue;
      const step = status.phase === 'Running' ? planRunning(observed, job, status, workflow, jobs) : planWaiting(observed, job, workflow, jobs);
      if (step === undefined) continue;
      decided.add(job.id);
      isChanged = true;
      if (step.job !== undefined) jobs.set(job.id, step.job);
      if (step.action !== undefined) actions.push(step.action);
    }
  }
  return actions;
}

interface Step { job?: JobStatus; action?: RunAction }

/** A running job: lost if nobody carries it out, to be cancelled if its matrix has failed. */
function planRunning({ live, now }: ObservedRun, job: Job, status: JobStatus, workflow: Workflow, jobs: ReadonlyMap<string, JobStatus>): Step | undefined {
  const isDoomed = hasFailedSibling(job, workflow, jobs);
  if (live.has(job.id)) return isDoomed ? { action: { type: 'cancel-job', jobId: job.id, reason: 'another job of the matrix failed' } } : undefined;
  const attempt = (status.attempt ?? 1) + 1;
  if (isDoomed) return { job: { ...status, phase: 'Cancelled', finishedAt: now } };
  if (attempt > maxAttempts) return { job: { ...status, phase: 'Failed', finishedAt: now, message: `the job was cut off ${maxAttempts} times by a stop of the server or of its node` } };
  return { job: { id: job.id, name: status.name, phase: 'Running', attempt, startedAt: now }, action: { type: 'start-job', job, attempt, needs: needsOf(job, workflow, jobs) } };
}

function planWaiting({ isWanted, now }: ObservedRun, job: Job, workflow: Workflow, jobs: ReadonlyMap<string, JobStatus>): Step | undefined {
  const before = workflow.jobs.filter(({ key }) => job.needs.includes(key)).map(({ id }) => jobs.get(id));
  if (before.some((needed) => needed === undefined || !isEnded(needed))) return undefined;
  const ended = { id: job.id, name: jobName(job), startedAt: now, finishedAt: now };
  if (hasFailedSibling(job, workflow, jobs)) return { job: { ...ended, phase: 'Cancelled', message: 'another job of the matrix failed' } };
  const needs = needsOf(job, workflow, jobs);
  try {
    if (!isWanted(job, needs, soFar(job, workflow, jobs))) return { job: { id: job.id, name: jobName(job), phase: 'Skipped' } };
  } catch (error) {
    return { job: { ...ended, phase: 'Failed', message: error instanceof Error ? error.message : String(error) } };
  }
  return { job: { id: job.id, name: jobName(job), phase: 'Running', attempt: 1, startedAt: now }, action: { type: 'start-job', job, attempt: 1, needs } };
}

function hasFailedSibling(job: Job, workflow: Workflow, jobs: ReadonlyMap<string, JobStatus>): boolean {
  return job.isFailFast && workflow.jobs.some((other) => other.key === job.key && other.id !== job.id && jobs.get(other.id)?.phase === 'Failed');
}

/** A failure counts however far back it is; a skipped job only where it is needed directly. */
function soFar(job: Job, workflow: Workflow, jobs: ReadonlyMap<string, JobStatus>): StatusSoFar {
  const seen = new Set<string>();
  const visit = (keys: readonly string[]): void => {
    for (const other of workflow.jobs) {
      if (!keys.includes(other.key) || seen.has(other.id)) continue;
      seen.add(other.id);
      visit(other.needs);
    }
  };
  visit(job.needs);
  const phases = [...seen].map((id) => jobs.get(id)?.phase);
  if (phases.includes('Failed')) return 'failure';
  if (phases.includes('Cancelled')) return 'failure';
  const direct = workflow.jobs.filter(({ key }) => job.needs.includes(key)).map(({ id }) => jobs.get(id)?.phase);
  return direct.includes('Skipped') ? 'skipped' : 'success';
}

/** Of a matrix, the worst result, and the outputs of all, later jobs winning. */
function needsOf(job: Job, workflow: Workflow, jobs: ReadonlyMap<string, JobStatus>): Needs {
  const results = { Failed: 'failure', Cancelled: 'cancelled', Succeeded: 'success', Skipped: 'skipped' } as const;
  return Object.fromEntries(job.needs.map((key) => {
    const own = workflow.jobs.filter((other) => other.key === key).flatMap(({ id }) => jobs.get(id) ?? []);
    const worst = (['Failed', 'Cancelled', 'Succeeded', 'Skipped'] as const).find((phase) => own.some((status) => status.phase === phase)) ?? 'Skipped';
    return [key, { result: results[worst], outputs: Object.assign({}, ...own.map(({ outputs }) => outputs ?? {})) as Record<string, string> }];
  }));
}

function summarise(run: WorkflowRun, jobs: readonly JobStatus[], now: string): WorkflowRunStatus {
  const tests = addCounts(jobs.flatMap((job) => job.tests ?? []));
  const parts = { jobs: [...jobs], tests, failedTests: jobs.flatMap((job) => job.failedTests ?? []), images: jobs.flatMap((job) => job.images ?? []) };
  if (!jobs.every(isEnded)) return { ...parts, phase: 'Running' };
  const phase: RunPhase = run.spec?.cancelRequested === true ? 'Cancelled' : jobs.some((job) => job.phase === 'Failed' || job.phase === 'Cancelled') ? 'Failed' : 'Succeeded';
  return { ...parts, phase, finishedAt: now, message: messageOf(phase, jobs, tests) };
}

/** One sentence: the levels that failed, else the first job that did, else what passed. */
function messageOf(phase: RunPhase, jobs: readonly JobStatus[], tests: NonNullable<WorkflowRunStatus['tests']>): string {
  if (phase === 'Cancelled') return 'cancelled';
  const failedLevels = tests.filter(({ failed }) => failed > 0);
  if (phase === 'Failed' && failedLevels.length > 0) return describeCounts(failedLevels);
  if (phase === 'Failed') {
    const job = jobs.find((candidate) => candidate.phase === 'Failed') ?? jobs.find((candidate) => candidate.phase === 'Cancelled');
    return `job ${job?.id ?? ''}: ${job?.message ?? 'failed'}`;
  }
  return tests.some(({ passed, failed }) => passed + failed > 0) ? describeCounts(tests) : 'no test ran';
}
