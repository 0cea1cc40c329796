import { refOf, resources, type Stored, type WorkflowRun, type WorkflowRunStatus } from '../../api/mod.ts';
import type { KubeClient, Lister, Plan, Reconciler } from '../../client/mod.ts';
import { type Clock, type GantryError, isError, shortHash } from '../../kernel/mod.ts';
import { Evaluation } from '../expressions/evaluate.ts';
import { githubContext, type RunFacts } from '../job/contexts.ts';
import type { JobExecutor, LogStore, RepositoryRef, SourceReader } from '../ports.ts';
import { isRunFinished, type ObservedRun, planRun, type RunAction } from '../plan/plan-run.ts';
import type { WorkflowLoader } from '../workflow/load-workflows.ts';
import type { Workflow } from '../workflow/model.ts';
import type { Toolkit } from '../workflow/toolkit.ts';
import type { JobPool } from './job-pool.ts';
import { runLabels } from './labels.ts';

export interface RunReconcilerOptions {
  readonly client: KubeClient;
  readonly runs: Lister<WorkflowRun>;
  readonly loader: WorkflowLoader;
  readonly toolkit: Toolkit;
  readonly source: SourceReader;
  readonly pool: JobPool;
  readonly executor: JobExecutor;
  readonly logs: LogStore;
  readonly serverUrl: string;
  readonly clock: Clock;
  /** Asks for another pass over the run. */
  readonly enqueue: (key: string) => void;
}

/** What a run is of, read once: a commit does not change. */
interface Loaded { readonly workflow: Workflow | GantryError; readonly facts: RunFacts }

type Observed = ObservedRun & { readonly key: string; readonly stored: Stored<WorkflowRun>; readonly facts: RunFacts | undefined };

/** Brings WorkflowRuns to their end: starts jobs through the pool and writes what the pool knows into the status. */
export class RunReconciler implements Reconciler<Observed, RunAction, WorkflowRunStatus> {
  readonly name = 'workflow-run';
  readonly #options: RunReconcilerOptions;
  readonly #loaded = new Map<string, Loaded>();

  constructor(options: RunReconcilerOptions) {
    this.#options = options;
  }

  async observe(key: string, signal: AbortSignal): Promise<Observed | undefined> {
    const { pool, runs, clock, toolkit } = this.#options;
    const run = runs.get(key);
    if (run === undefined) {
      this.#loaded.delete(key);
      await pool.drop(key, 'the run was deleted');
      await this.#options.logs.remove(runRef(key));
      return undefined;
    }
    for (const { id, phase } of run.status?.jobs ?? []) if (phase !== 'Waiting' && phase !== 'Running') pool.forget(key, id);
    const live = pool.statuses(key);
    if (isRunFinished(run) && live.size === 0) {
      this.#loaded.delete(key);
      return undefined;
    }
    const { workflow, facts } = await this.#load(key, run, signal);
    const github = githubContext(facts, 'jobs' in workflow ? workflow : { path: '', name: '', triggers: { push: undefined, isManual: false }, env: [], jobs: [] });
    return {
      key,
      stored: run,
      facts,
      run,
      workflow,
      live,
      now: new Date(clock.now()).toISOString(),
      isWanted: (job, needs, soFar) => new Evaluation(toolkit, { github, needs, matrix: job.matrix ?? {} }, soFar).condition(job.condition),
    };
  }

  plan(observed: Observed): Plan<RunAction, WorkflowRunStatus> {
    return planRun(observed);
  }

  act(action: RunAction, { key, workflow, facts, stored }: Observed, signal: AbortSignal): Promise<void> {
    if (action.type === 'sweep') return this.#options.executor.sweep(runRef(key), signal);
    if (action.type === 'cancel-job') this.#options.pool.cancel(key, action.jobId, action.reason);
    else if ('jobs' in workflow && facts !== undefined) {
      const { job, attempt, needs } = action;
      const podName = podNameOf(stored.metadata.name, job.id, attempt);
      this.#options.pool.start(key, { run: facts, workflow, job, needs, attempt, podName, onChange: () => this.#options.enqueue(key) });
    }
    return Promise.resolve();
  }

  async report(status: WorkflowRunStatus, { key, stored }: Observed, signal: AbortSignal): Promise<void> {
    // Jobs that the plan started are live now and know more than the plan did.
    const live = this.#options.pool.statuses(key);
    const whole = { ...status, ...(status.jobs === undefined ? {} : { jobs: status.jobs.map((job) => (job.phase === 'Running' ? (live.get(job.id) ?? job) : job)) }) };
    if (JSON.stringify(whole) === JSON.stringify(stored.status)) return;
    await this.#options.client.patch(resources.workflowRuns, refOf(key), { type: 'merge', subresource: 'status', body: { status: whole } }, signal);
  }

  async #load(key: string, run: Stored<WorkflowRun>, signal: AbortSignal): Promise<Loaded> {
    const known = this.#loaded.get(key);
    if (known !== undefined) return known;
    const { loader, source, serverUrl } = this.#options;
    const spec = run.spec ?? { repository: '', commit: '', ref: '', event: 'push', actor: '' };
    const repository: RepositoryRef = { namespace: run.metadata.namespace ?? '', name: spec.repository };
    const facts: RunFacts = { namespace: repository.namespace, name: run.metadata.name, uid: run.metadata.uid, spec, serverUrl, isProtected: run.metadata.labels?.[runLabels.waits] === 'true', commit: { message: '', author: '', email: '', timestamp: '' } };
    let loaded: Loaded;
    try {
      const commit = await source.commitInfo(repository, spec.commit, signal);
      loaded = { facts: { ...facts, commit }, workflow: await loader.load(repository, spec.commit, spec.workflowPath, signal) };
    } catch (error) {
      // What will not change by trying again ends the run; the rest is retried by the controller.
      if (!isError(error, 'invalid', 'not-found', 'unsupported', 'exhausted')) throw error;
      loaded = { facts, workflow: error };
    }
    this.#loaded.set(key, loaded);
    return loaded;
  }
}

function runRef(key: string): RepositoryRef {
  const { namespace = '', name } = refOf(key);
  return { namespace, name };
}

/** A pod's name for a job: a DNS label, readable, and never the same for two jobs or attempts. */
export function podNameOf(run: string, jobId: string, attempt: number): string {
  const plain = `${run}-${jobId.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')}`;
  const isExact = plain === `${run}-${jobId}` && plain.length <= 58;
  const base = isExact ? plain : `${plain.slice(0, 49).replace(/-+$/, '')}-${shortHash(`${run}/${jobId}`)}`;
  return attempt === 1 ? base : `${base}-${attempt}`;
}

