import type { JobStatus } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { JobRun, type JobParts, type JobRunOptions } from '../job/job-run.ts';

interface Entry {
  readonly job: JobRun;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** The jobs that this process carries out, by run and job id. A job stays until it is forgotten, so that its end cannot be missed. */
export class JobPool implements AsyncDisposable {
  readonly #parts: JobParts;
  readonly #runs = new Map<string, Map<string, Entry>>();
  #isClosed = false;

  constructor(parts: JobParts) {
    this.#parts = parts;
  }

  /** Starts the job unless it is here already. */
  start(runKey: string, options: JobRunOptions): void {
    const jobs = this.#runs.get(runKey) ?? new Map<string, Entry>();
    if (this.#isClosed || jobs.has(options.job.id)) return;
    this.#runs.set(runKey, jobs);
    const controller = new AbortController();
    const onChange = (): void => {
      // What happens while the pool closes is the server's doing and must not be taken for the jobs' end.
      if (!this.#isClosed) options.onChange();
    };
    const job = new JobRun({ ...options, onChange }, this.#parts);
    const done = job.run(controller.signal).then(() => {
      // Nobody carries it out any more, and it has not ended: the plan starts it again, as after a stop of the server.
      if (job.isInterrupted && !controller.signal.aborted) this.forget(runKey, options.job.id);
      onChange();
    });
    jobs.set(options.job.id, { job, controller, done });
  }

  cancel(runKey: string, jobId: string, reason: string): void {
    this.#runs.get(runKey)?.get(jobId)?.controller.abort(new GantryError('cancelled', reason));
  }

  get isIdle(): boolean {
    return this.#runs.size === 0;
  }

  /** What is known of the run's jobs. */
  statuses(runKey: string): Map<string, JobStatus> {
    return new Map([...(this.#runs.get(runKey) ?? [])].map(([id, { job }]) => [id, job.status()]));
  }

  forget(runKey: string, jobId: string): void {
    const jobs = this.#runs.get(runKey);
    jobs?.delete(jobId);
    if (jobs?.size === 0) this.#runs.delete(runKey);
  }

  /** Cancels and forgets everything of a run that is gone. */
  async drop(runKey: string, reason: string): Promise<void> {
    const jobs = [...(this.#runs.get(runKey)?.values() ?? [])];
    for (const { controller } of jobs) controller.abort(new GantryError('cancelled', reason));
    this.#runs.delete(runKey);
    await Promise.all(jobs.map(({ done }) => done));
  }

  /** Ends all jobs without a word about them: the next server finds them cut off and starts them again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const key of [...this.#runs.keys()]) await this.drop(key, 'the server is stopping');
  }
}
