import type { FailedTest, JobPhase, JobStatus, StepStatus, TestCounts, BuiltImage } from '../../api/mod.ts';
import { cancelled, type Clock, GantryError, isError, throwIfAborted, toGantryError, withTimeout } from '../../kernel/mod.ts';
import type { Contexts, StatusSoFar } from '../expressions/contexts.ts';
import { Evaluation } from '../expressions/evaluate.ts';
import type { JobEnvironment, JobExecutor, JobImageBuilder, JobRequest, JobSession, LogStore, SourceReader } from '../ports.ts';
import { addCounts, describeCounts, toFailedTests } from '../reports/test-report.ts';
import type { Job, Step, Workflow } from '../workflow/model.ts';
import type { Toolkit } from '../workflow/toolkit.ts';
import { toBuiltImages, toImageBuildSpec } from './build-push.ts';
import { checkout } from './checkout.ts';
import { defaultVariables, githubContext, type RunFacts } from './contexts.ts';
import { JobLog } from './job-log.ts';
import { jobName, plainStepName, stepName } from './names.ts';
import { cachePathOf } from './package-cache.ts';
import { prepareJob } from './prepare-job.ts';
import { runStep, type StepResult } from './run-step.ts';

/** What all jobs share. */
export interface JobParts {
  readonly toolkit: Toolkit;
  readonly executor: JobExecutor;
  readonly builder: JobImageBuilder;
  readonly source: SourceReader;
  readonly logs: LogStore;
  readonly environment: JobEnvironment;
  readonly clock: Clock;
}

export interface JobRunOptions {
  readonly run: RunFacts;
  readonly workflow: Workflow;
  readonly job: Job;
  /** The `needs` context: result and outputs of the jobs before. */
  readonly needs: Readonly<Record<string, { result: string; outputs: Record<string, string> }>>;
  readonly podName: string;
  readonly attempt: number;
  /** Called after every change of `status()`. */
  readonly onChange: () => void;
}

const defaultTimeoutMinutes = 360;
const startTimeoutMs = 10 * 60_000;

type Outcome = 'success' | 'failure' | 'skipped';

/** Carries out one job from its container to its outputs. What it knows is in `status()`; it writes nothing but its log. */
export class JobRun {
  readonly #options: JobRunOptions;
  readonly #parts: JobParts;
  readonly #log: JobLog;
  readonly #github: Record<string, unknown>;
  readonly #steps: StepStatus[];
  readonly #stepContext: Record<string, { outputs: Record<string, string>; outcome: string; conclusion: string }> = {};
  readonly #tests: TestCounts[] = [];
  readonly #failedTests: FailedTest[] = [];
  readonly #images: BuiltImage[] = [];
  readonly #seenReports = new Set<string>();
  #phase: JobPhase = 'Running';
  #message: string | undefined;
  #startedAt: string;
  #finishedAt: string | undefined;
  #outputs: Record<string, string> = {};
  #addedEnv: Record<string, string> = {};
  #addedPaths: string[] = [];
  #sofar: StatusSoFar = 'success';
  #interruption: GantryError | undefined;

  constructor(options: JobRunOptions, parts: JobParts) {
    this.#options = options;
    this.#parts = parts;
    this.#github = githubContext(options.run, options.workflow);
    this.#log = new JobLog(parts.logs, { namespace: options.run.namespace, name: options.run.name }, options.job.id);
    this.#startedAt = this.#now();
    this.#steps = options.job.steps.map((step) => ({ name: plainStepName(step), phase: 'Waiting' }));
  }

  /** A copy of what is known now. */
  status(): JobStatus {
    const { job, podName, attempt } = this.#options;
    return structuredClone({
      id: job.id,
      name: jobName(job),
      phase: this.#phase,
      pod: podName,
      attempt,
      startedAt: this.#startedAt,
      steps: this.#steps,
      outputs: this.#outputs,
      ...(this.#finishedAt === undefined ? {} : { finishedAt: this.#finishedAt }),
      ...(this.#message === undefined ? {} : { message: this.#message }),
      ...(this.#tests.length === 0 ? {} : { tests: addCounts(this.#tests) }),
      ...(this.#failedTests.length === 0 ? {} : { failedTests: this.#failedTests }),
      ...(this.#images.length === 0 ? {} : { images: this.#images }),
    });
  }

  /** Whether the connection to the job was lost, through no fault of its own. It has no end then and should be started over. */
  get isInterrupted(): boolean {
    return this.#interruption !== undefined;
  }

  /** Resolves when the job has ended, however it ended. Aborting cancels it: its containers are removed at once. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#log.open();
      const minutes = this.#evaluation({}).number(this.#options.job.timeoutMinutes, defaultTimeoutMinutes);
      await this.#runLimited(minutes, signal);
      this.#end(this.#sofar === 'success' ? 'Succeeded' : 'Failed', this.#message);
    } catch (error) {
      const failure = signal.aborted ? cancelled(signal) : toGantryError(error);
      await this.#log.line(`Error: ${failure.message}`).catch(() => undefined);
      if (!this.isInterrupted || signal.aborted) this.#end(signal.aborted ? 'Cancelled' : 'Failed', failure.message);
    } finally {
      await this.#log.close().catch(() => undefined);
      this.#options.onChange();
    }
  }

  async #runLimited(minutes: number, signal: AbortSignal): Promise<void> {
    const limited = withTimeout(signal, minutes * 60_000);
    try {
      await this.#runIn(limited);
    } catch (error) {
      if (limited.aborted && !signal.aborted) throw new GantryError('timeout', `the job ran longer than its timeout-minutes: ${minutes}`, { cause: error });
      throw error;
    }
  }

  async #runIn(signal: AbortSignal): Promise<void> {
    const { run, job, podName } = this.#options;
    const cachePath = cachePathOf(this.#parts.environment.cacheFolder, { namespace: run.namespace, repository: run.spec.repository, isProtected: run.isProtected });
    const request = prepareJob(job, this.#evaluation({}), this.#parts.environment, { run: { namespace: run.namespace, name: run.name, uid: run.uid }, podName, cachePath });
    await using opened = await this.#open(request, signal);
    const session = this.#watched(opened);
    for (const [index, step] of job.steps.entries()) await this.#step(session, step, index, signal);
    const evaluation = this.#evaluation(this.#jobContexts(session, {}));
    this.#outputs = evaluation.record(job.outputs);
  }

  async #open(request: JobRequest, signal: AbortSignal): Promise<JobSession> {
    await this.#log.heading('Set up job');
    await this.#log.line(`image ${request.image}${request.services.map(({ name, image }) => `, service ${name} ${image}`).join('')}`);
    return this.#parts.executor.open(request, (line) => void this.#log.line(line).catch(() => undefined), withTimeout(signal, startTimeoutMs));
  }

  /** The session, with a note taken when the connection to it is lost. */
  #watched(session: JobSession): JobSession {
    const exec: JobSession['exec'] = async (...call) => {
      try {
        return await session.exec(...call);
      } catch (error) {
        if (isError(error, 'unavailable')) this.#interruption = error;
        throw error;
      }
    };
    return { workspace: session.workspace, temporary: session.temporary, exec, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
  }

  async #step(session: JobSession, step: Step, index: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const status = this.#steps[index];
    if (status === undefined) return;
    let outcome: Outcome = 'failure';
    let outputs: Record<string, string> = {};
    let isForgiven = false;
    try {
      const env = this.#evaluation(this.#jobContexts(session, {})).record(step.env);
      const evaluation = this.#evaluation(this.#jobContexts(session, env));
      if (!evaluation.condition(step.condition)) {
        outcome = 'skipped';
      } else {
        status.name = stepName(step, evaluation);
        Object.assign(status, { phase: 'Running', startedAt: this.#now() });
        this.#options.onChange();
        await this.#log.heading(status.name);
        isForgiven = evaluation.boolean(step.continueOnError, false);
        ({ outcome, outputs } = await this.#act(session, step, status, env, evaluation, signal));
      }
    } catch (error) {
      if (signal.aborted || this.isInterrupted) throw error;
      await this.#fail(`step ${JSON.stringify(status.name)}: ${toGantryError(error).message}`);
    }
    this.#finishStep(step, status, outcome, outputs, isForgiven);
  }

  #finishStep(step: Step, status: StepStatus, outcome: Outcome, outputs: Record<string, string>, isForgiven: boolean): void {
    const conclusion = outcome === 'failure' && isForgiven ? 'success' : outcome;
    if (step.id !== undefined) this.#stepContext[step.id] = { outputs, outcome, conclusion };
    status.phase = ({ success: 'Succeeded', failure: 'Failed', skipped: 'Skipped' } as const)[outcome];
    if (outcome !== 'skipped') status.finishedAt = this.#now();
    if (conclusion === 'failure') this.#sofar = 'failure';
    else if (outcome === 'failure') this.#message = undefined;
    this.#options.onChange();
  }

  async #act(session: JobSession, step: Step, status: StepStatus, env: Record<string, string>, evaluation: Evaluation, signal: AbortSignal): Promise<{ outcome: Outcome; outputs: Record<string, string> }> {
    switch (step.kind) {
      case 'checkout': {
        const { run } = this.#options;
        await checkout(session, this.#parts.source, { namespace: run.namespace, name: run.spec.repository }, run.spec.commit, evaluation.optional(step.path) ?? '.', signal);
        await this.#log.line(`checked out ${run.spec.commit}`);
        return { outcome: 'success', outputs: { commit: run.spec.commit, ref: run.spec.ref } };
      }
      case 'build-push':
        return { outcome: 'success', outputs: await this.#buildImage(step, evaluation, signal) };
      case 'run': {
        const result = await this.#runScript(session, step, env, evaluation, signal);
        status.exitCode = result.exitCode;
        this.#addedEnv = { ...this.#addedEnv, ...result.env };
        this.#addedPaths = [...result.paths.toReversed(), ...this.#addedPaths];
        const isGood = result.exitCode === 0 && result.problem === undefined;
        if (!isGood) await this.#fail(this.#failureOf(status.name, result));
        return { outcome: isGood ? 'success' : 'failure', outputs: { ...result.outputs } };
      }
    }
  }

  async #runScript(session: JobSession, step: Extract<Step, { kind: 'run' }>, env: Record<string, string>, evaluation: Evaluation, signal: AbortSignal): Promise<StepResult> {
    const { job } = this.#options;
    const text = evaluation.text(step.run);
    const folder = evaluation.optional(step.workingDirectory ?? job.workingDirectory) ?? '.';
    const script = {
      text,
      shell: evaluation.optional(step.shell ?? job.shell),
      workingDirectory: folder.startsWith('/') ? folder : `${session.workspace}/${folder}`,
      env: { ...defaultVariables(this.#github, { id: job.key, workspace: session.workspace, temporary: session.temporary }), ...this.#jobEnv(), ...env },
      paths: this.#addedPaths,
      folder: `${session.temporary}/step-${job.steps.indexOf(step) + 1}`,
    };
    const timeoutMs = evaluation.number(step.timeoutMinutes, defaultTimeoutMinutes) * 60_000;
    const own = [evaluation.optional(step.name), step.id].filter((part) => part !== undefined).join(' ');
    const result = await runStep({ session, log: this.#log, script, levelTexts: [own, text, `${job.key} ${jobName(job)}`], timeoutMs, seenReports: this.#seenReports }, signal);
    if (result.tests !== undefined) {
      const { level, report } = result.tests;
      this.#tests.push({ level, passed: report.passed, failed: report.failed, skipped: report.skipped });
      this.#failedTests.push(...toFailedTests(level, report));
    }
    return result;
  }

  async #buildImage(step: Extract<Step, { kind: 'build-push' }>, evaluation: Evaluation, signal: AbortSignal): Promise<Record<string, string>> {
    const { run, job, podName } = this.#options;
    const asked = toImageBuildSpec(step, evaluation, { repository: run.spec.repository, commit: run.spec.commit }, this.#parts.environment.registryHost);
    // What an unprotected branch builds is not reused for a protected one.
    const spec = run.isProtected ? asked : { ...asked, untrustedScope: `${run.namespace}/${run.spec.repository}` };
    const owner = { namespace: run.namespace, name: run.name, uid: run.uid };
    const lines: Promise<void>[] = [];
    const log = (text: string): void => void lines.push(this.#log.line(text.replace(/\n$/, '')).catch(() => undefined));
    const { imageId, digest } = await this.#parts.builder.build(owner, `${podName}-${job.steps.indexOf(step) + 1}`, spec, log, signal);
    await Promise.all(lines);
    if (digest !== undefined) this.#images.push(...toBuiltImages(spec.tags, digest));
    return { imageid: imageId ?? '', digest: digest ?? '', metadata: JSON.stringify({ 'containerimage.digest': digest, 'image.name': spec.tags.join(',') }) };
  }

  #failureOf(name: string, result: StepResult): string {
    const report = result.tests?.report;
    if (report !== undefined && report.failed > 0) return describeCounts([{ level: result.tests?.level ?? 'unit', passed: report.passed, failed: report.failed, skipped: report.skipped }]);
    return `step ${JSON.stringify(name)}: ${result.problem ?? `exit code ${result.exitCode}`}`;
  }

  async #fail(message: string): Promise<void> {
    this.#message ??= message;
    await this.#log.line(`Error: ${message}`);
  }

  #jobEnv(): Record<string, string> {
    const evaluation = this.#evaluation({});
    return { ...evaluation.record(this.#options.workflow.env), ...evaluation.record(this.#options.job.env), ...this.#addedEnv };
  }

  #jobContexts(session: JobSession, stepEnv: Record<string, string>): Contexts {
    return {
      env: { ...this.#jobEnv(), ...stepEnv },
      steps: this.#stepContext,
      job: { status: this.#sofar },
      runner: { os: 'Linux', arch: process.arch === 'arm64' ? 'ARM64' : 'X64', temp: `${session.temporary}/runner`, name: this.#options.podName },
      github: { ...this.#github, job: this.#options.job.key, workspace: session.workspace },
    };
  }

  #evaluation(contexts: Contexts): Evaluation {
    const { job, needs } = this.#options;
    const vars = { GANTRY_REGISTRY: this.#parts.environment.registryHost };
    return new Evaluation(this.#parts.toolkit, { github: { ...this.#github, job: job.key }, needs, matrix: job.matrix ?? {}, strategy: { 'fail-fast': job.isFailFast }, vars, ...contexts }, this.#sofar);
  }

  #end(phase: JobPhase, message: string | undefined): void {
    this.#phase = phase;
    this.#message = message;
    this.#finishedAt = this.#now();
    for (const step of this.#steps) {
      if (step.phase === 'Waiting') step.phase = phase === 'Cancelled' ? 'Cancelled' : 'Skipped';
      else if (step.phase === 'Running') Object.assign(step, { phase: phase === 'Cancelled' ? 'Cancelled' : 'Failed', finishedAt: this.#finishedAt });
    }
  }

  #now(): string {
    return new Date(this.#parts.clock.now()).toISOString();
  }
}
