import { apiVersionOf, type JobStatus, keyOf, resources, type Stored, type WorkflowRun, type WorkflowRunStatus } from '../../api/mod.ts';
import type { Informer, KubeClient } from '../../client/mod.ts';
import { formatPlace, GantryError, isError, type Logger, randomNameSuffix } from '../../kernel/mod.ts';
import { stepHeading } from '../job/job-log.ts';
import { isRunFinished } from '../plan/plan-run.ts';
import type { LogStore, SourceReader } from '../ports.ts';
import { nothingToRun, type WorkflowLoader } from '../workflow/load-workflows.ts';
import { defaultWorkflowPath } from '../workflow/default-workflow.ts';
import type { Workflow } from '../workflow/model.ts';
import { isTriggeredByPush } from '../workflow/triggers.ts';
import { runLabels } from '../run/labels.ts';
import { failedStepOf, progressLines, refusalOf } from './progress.ts';

/** A pushed commit. */
export interface PushedCommit {
  readonly namespace: string;
  readonly repository: string;
  readonly ref: string;
  readonly before: string | undefined;
  readonly commit: string;
  readonly actor: string;
}

export type PipelineVerdict = { isAccepted: true } | { isAccepted: false; reason: string };

const logTailLines = 25;
const cancelTimeoutMs = 10_000;

export interface PushPipelineOptions {
  readonly client: KubeClient;
  readonly runs: Informer<WorkflowRun>;
  readonly loader: WorkflowLoader;
  readonly source: SourceReader;
  readonly logs: LogStore;
  readonly log: Logger;
}

/** Runs the workflows that a push asks for, and tells the pusher how they go. */
export class PushPipeline {
  readonly #options: PushPipelineOptions;

  constructor(options: PushPipelineOptions) {
    this.#options = options;
  }

  /** Tests the commit while the pusher waits. Aborting cancels what runs. Workflow files with mistakes are a verdict, not an error. */
  async check(push: PushedCommit, write: (line: string) => void, signal: AbortSignal): Promise<PipelineVerdict> {
    let workflows: Workflow[];
    try {
      workflows = await this.#triggered(push, signal);
    } catch (error) {
      if (!isError(error, 'invalid')) throw error;
      return refuseMistakes(error, write);
    }
    if (workflows.length === 0) return { isAccepted: false, reason: `no test ran: ${await this.#whyNothing(push, signal)}` };
    const runs = await this.#create(push, workflows, true, signal);
    try {
      for (const [index, run] of runs.entries()) write(`run ${run.metadata.name}: ${workflows[index]?.name ?? ''}`);
      const finished = await Promise.all(runs.map((run) => this.#follow(run, write, signal)));
      const reason = refusalOf(finished);
      if (reason !== undefined) return { isAccepted: false, reason };
      write(finished.map(({ status }) => status?.message).filter((message) => message !== undefined).join(', '));
      return { isAccepted: true };
    } catch (error) {
      await this.#cancel(runs);
      throw error;
    }
  }

  /** Starts the workflows of a commit that nobody waits for. Mistakes in workflow files are told and end nothing. */
  async start(push: PushedCommit, write: (line: string) => void, signal: AbortSignal): Promise<void> {
    try {
      const runs = await this.#create(push, await this.#triggered(push, signal), false, signal);
      for (const run of runs) write(`run ${run.metadata.name} started; see: gantry run logs ${run.metadata.name} --follow`);
    } catch (error) {
      if (!isError(error, 'invalid')) throw error;
      refuseMistakes(error, write);
    }
  }

  /** Cancels runs whose pusher went away with the server that it was connected to. Call once, before pushes are accepted. */
  async cancelAbandoned(): Promise<void> {
    await this.#cancel(this.#options.runs.list().filter((run) => run.metadata.labels?.[runLabels.waits] === 'true' && !isRunFinished(run)));
  }

  async #triggered(push: PushedCommit, signal: AbortSignal): Promise<Workflow[]> {
    const { loader, source } = this.#options;
    const repository = { namespace: push.namespace, name: push.repository };
    const [workflows, changed] = await Promise.all([loader.loadAll(repository, push.commit, signal), source.changedFiles(repository, push.before, push.commit, signal)]);
    return workflows.filter(({ triggers }) => isTriggeredByPush(triggers, push.ref, changed));
  }

  async #whyNothing(push: PushedCommit, signal: AbortSignal): Promise<string> {
    const all = await this.#options.loader.loadAll({ namespace: push.namespace, name: push.repository }, push.commit, signal);
    return all.length === 0 ? nothingToRun : `no workflow is started by a push of these files to ${push.ref}`;
  }

  async #create(push: PushedCommit, workflows: readonly Workflow[], isWaitedFor: boolean, signal: AbortSignal): Promise<Stored<WorkflowRun>[]> {
    const type = resources.workflowRuns;
    const runs: Stored<WorkflowRun>[] = [];
    try {
      for (const { path } of workflows) {
        runs.push(await this.#options.client.create(type, {
          apiVersion: apiVersionOf(type),
          kind: type.kind,
          metadata: {
            namespace: push.namespace,
            name: `${push.repository.slice(0, 30).replace(/-+$/, '')}-${push.commit.slice(0, 8)}-${randomNameSuffix()}`,
            labels: { [runLabels.repository]: push.repository, [runLabels.commit]: push.commit, ...(isWaitedFor ? { [runLabels.waits]: 'true' } : {}) },
          },
          spec: {
            repository: push.repository,
            commit: push.commit,
            ref: push.ref,
            ...(push.before === undefined ? {} : { before: push.before }),
            event: 'push',
            actor: push.actor,
            ...(path === defaultWorkflowPath ? {} : { workflowPath: path }),
          },
        }, signal));
      }
    } catch (error) {
      await this.#cancel(runs);
      throw error;
    }
    return runs;
  }

  /** Writes lines until the run has ended; resolves to its last state. */
  async #follow(run: Stored<WorkflowRun>, write: (line: string) => void, signal: AbortSignal): Promise<WorkflowRun> {
    let previous: WorkflowRunStatus | undefined;
    for await (const current of this.#changes(run, signal)) {
      const status = current.status ?? {};
      const isNewlyFailed = (job: JobStatus): boolean => job.phase === 'Failed' && previous?.jobs?.find(({ id }) => id === job.id)?.phase !== 'Failed';
      for (const line of progressLines(previous, status)) write(line);
      for (const job of (status.jobs ?? []).filter(isNewlyFailed)) for (const line of await this.#logTail(run, job, signal)) write(line);
      previous = status;
      if (isRunFinished(current)) return current;
    }
    throw new GantryError('unavailable', 'the run was deleted while it ran');
  }

  /** The run as it changes, states in between left out when the reader is slow; ends when it is deleted. */
  async *#changes(run: Stored<WorkflowRun>, signal: AbortSignal): AsyncGenerator<WorkflowRun> {
    let wake = Promise.withResolvers<void>();
    let latest: Stored<WorkflowRun> | undefined;
    let isDeleted = false;
    const stop = this.#options.runs.onChange(({ type, object }) => {
      if (object.metadata.uid !== run.metadata.uid) return;
      if (type === 'deleted') isDeleted = true;
      else latest = object;
      wake.resolve();
    });
    const onAbort = (): void => wake.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      for (;;) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
        wake.promise.catch(() => undefined);
        signal.throwIfAborted();
        if (isDeleted) return;
        if (latest !== undefined) yield latest;
      }
    } finally {
      stop();
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #logTail(run: Stored<WorkflowRun>, job: JobStatus, signal: AbortSignal): Promise<string[]> {
    const step = failedStepOf(job);
    let text = '';
    for await (const part of this.#options.logs.read({ namespace: run.metadata.namespace ?? '', name: run.metadata.name }, job.id, false, signal)) text += part;
    const lines = text.trimEnd().split('\n');
    const own = step === undefined ? lines : lines.slice(lines.lastIndexOf(stepHeading(step)) + 1);
    const end = step === undefined ? -1 : own.findIndex((line) => line.startsWith(stepHeading('')));
    const tail = (end < 0 ? own : own.slice(0, end)).slice(-logTailLines);
    return [`  the end of the log of ${job.name}${step === undefined ? '' : `, step ${JSON.stringify(step)}`}:`, ...tail.map((line) => `  | ${line}`)];
  }

  async #cancel(runs: readonly Stored<WorkflowRun>[]): Promise<void> {
    for (const run of runs) {
      try {
        await this.#options.client.patch(resources.workflowRuns, { namespace: run.metadata.namespace, name: run.metadata.name }, { type: 'merge', body: { spec: { cancelRequested: true } } }, AbortSignal.timeout(cancelTimeoutMs));
      } catch (error) {
        if (!isError(error, 'not-found')) this.#options.log.warn('run could not be cancelled', { run: keyOf(run), err: error });
      }
    }
  }
}

function refuseMistakes(error: GantryError, write: (line: string) => void): PipelineVerdict {
  const { places } = error;
  for (const place of places) write(formatPlace(place));
  const [first] = places;
  const more = places.length > 1 ? ` and ${places.length - 1} more` : '';
  return { isAccepted: false, reason: `${first === undefined ? error.message : formatPlace(first)}${more}` };
}
