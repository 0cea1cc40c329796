import { resources } from '../api/mod.ts';
import { Controller, type Informers, type KubeClient } from '../client/mod.ts';
import { type Logger, type Service, systemClock } from '../kernel/mod.ts';
import { trimCaches } from './job/package-cache.ts';
import { DiskLogStore } from './logs/disk-log-store.ts';
import { ResourceImageBuilder } from './pod/image-builds.ts';
import { PodJobExecutor } from './pod/pod-executor.ts';
import type { JobEnvironment, JobExecutor, JobImageBuilder, LogStore, RepositoryRef, SourceReader } from './ports.ts';
import { PushPipeline } from './push/push-pipeline.ts';
import { JobPool } from './run/job-pool.ts';
import { readRunLogs, type RunLogSelection } from './run/read-run-logs.ts';
import { RunReconciler } from './run/run-controller.ts';
import { runsToPrune } from './run/runs-to-prune.ts';
import { WorkflowLoader } from './workflow/load-workflows.ts';
import { Toolkit } from './workflow/toolkit.ts';

export interface CiOptions {
  readonly client: KubeClient;
  /** Open ci before they run. */
  readonly informers: Informers;
  readonly source: SourceReader;
  readonly environment: JobEnvironment;
  /** Folder of the job logs. */
  readonly logFolder: string;
  /** Base URL of git hosting and logs, for the `github` context. */
  readonly serverUrl: string;
  readonly log: Logger;
  /** Where jobs are carried out. Default: pods of the cluster. */
  readonly executor?: JobExecutor;
  /** Default: ImageBuild resources. */
  readonly builder?: JobImageBuilder;
}

const houseKeepingMs = 3_600_000;

/** All of continuous integration in one process. */
export class Ci implements Service, AsyncDisposable {
  readonly name = 'ci';
  readonly pipeline: PushPipeline;
  readonly logs: LogStore;
  readonly #options: CiOptions;
  readonly #pool: JobPool;
  readonly #controller: Service;

  constructor(options: CiOptions, parts: { pipeline: PushPipeline; logs: LogStore; pool: JobPool; controller: Service }) {
    this.#options = options;
    this.pipeline = parts.pipeline;
    this.logs = parts.logs;
    this.#pool = parts.pool;
    this.#controller = parts.controller;
  }

  static async open(options: CiOptions): Promise<Ci> {
    const { client, informers, source, environment, log } = options;
    const toolkit = await Toolkit.load();
    const [runs, pods, builds] = [informers.of(resources.workflowRuns), informers.of(resources.pods), informers.of(resources.imageBuilds)];
    const logs = new DiskLogStore(options.logFolder);
    const executor = options.executor ?? new PodJobExecutor(client, pods, { certificateBundle: environment.certificateBundle });
    const builder = options.builder ?? new ResourceImageBuilder(client, builds);
    const pool = new JobPool({ toolkit, executor, builder, source, logs, environment, clock: systemClock });
    const loader = new WorkflowLoader(toolkit, source);
    const reconciler = new RunReconciler({ client, runs, loader, toolkit, source, pool, executor, logs, serverUrl: options.serverUrl, clock: systemClock, enqueue: (key) => controller.enqueue(key) });
    const controller = new Controller(reconciler, { workers: 2 }, log).watch(runs).reads(pods).reads(builds);
    const pipeline = new PushPipeline({ client, runs, loader, source, logs, log });
    return new Ci(options, { pipeline, logs, pool, controller });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#options.informers.of(resources.workflowRuns).ready(signal);
    await this.pipeline.cancelAbandoned();
    try {
      await Promise.all([this.#controller.run(signal), this.#keepHouse(signal)]);
    } finally {
      await this.#pool[Symbol.asyncDispose]();
    }
  }

  async #keepHouse(signal: AbortSignal): Promise<void> {
    const { client, environment, informers, log } = this.#options;
    while (!signal.aborted) {
      try {
        if (environment.cacheFolder !== undefined && this.#pool.isIdle) await trimCaches(environment.cacheFolder);
        const old = runsToPrune(informers.of(resources.workflowRuns).list());
        for (const { metadata } of old) await client.delete(resources.workflowRuns, { namespace: metadata.namespace, name: metadata.name }, {}, signal);
      } catch (error) {
        if (!signal.aborted) log.warn('old runs and caches could not be removed', { err: error });
      }
      await systemClock.sleep(houseKeepingMs, signal).catch(() => undefined);
    }
  }

  readLogs(run: RepositoryRef, selection: RunLogSelection, signal: AbortSignal): AsyncIterable<string> {
    return readRunLogs(this.#options.informers.of(resources.workflowRuns), this.logs, run, selection, signal);
  }

  /** Ends the jobs of this process; the next one starts them again. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

