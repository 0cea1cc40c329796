import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { formatError, isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { controllerOf } from '../ownership/claim.ts';
import { writeStatus } from '../write-status.ts';
import { type CronJobAction, type ObservedCronJob, planCronJob } from './plan.ts';

const kind = resources.cronJobs;

/** Starts Jobs by the clock. */
export function cronJobController(context: ControllerContext): Controller<ObservedCronJob, CronJobAction, k8s.CronJobStatus> {
  const cronJobs = context.informers.of(kind);
  const jobs = context.informers.of(resources.jobs);
  const ownerOf = (job: Stored<k8s.Job>): string[] => {
    const controller = controllerOf(job);
    return controller?.kind === kind.kind ? [keyOf({ namespace: job.metadata.namespace, name: controller.name })] : [];
  };
  return new Controller(new CronJobReconciler(context, cronJobs, jobs), { ...context.controllerOptions }, context.log).watch(cronJobs).watch(jobs, ownerOf);
}

class CronJobReconciler implements Reconciler<ObservedCronJob, CronJobAction, k8s.CronJobStatus> {
  readonly name = 'cronjob';
  readonly #context: ControllerContext;
  readonly #cronJobs: Informer<k8s.CronJob>;
  readonly #jobs: Informer<k8s.Job>;

  constructor(context: ControllerContext, cronJobs: Informer<k8s.CronJob>, jobs: Informer<k8s.Job>) {
    this.#context = context;
    this.#cronJobs = cronJobs;
    this.#jobs = jobs;
  }

  observe(key: string): ObservedCronJob | undefined {
    const cronJob = this.#cronJobs.get(key);
    if (cronJob === undefined) return undefined;
    const jobs = this.#jobs.ownedBy(cronJob.metadata.uid).filter((job) => controllerOf(job)?.uid === cronJob.metadata.uid);
    return { cronJob, jobs, nowMs: this.#context.clock.now() };
  }

  plan(observed: ObservedCronJob): Plan<CronJobAction, k8s.CronJobStatus> {
    return planCronJob(observed);
  }

  async act(action: CronJobAction, { cronJob }: ObservedCronJob, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#context;
    switch (action.type) {
      case 'create':
        try {
          const { metadata } = await client.create(resources.jobs, action.job, signal);
          events.normal(cronJob, 'SuccessfulCreate', `Created job ${metadata.name}`);
        } catch (error) {
          // The same run, started before a crash or by a stale cache.
          if (isError(error, 'already-exists')) return;
          events.warning(cronJob, 'FailedCreate', `Error creating job: ${formatError(error)}`);
          throw error;
        }
        return;
      case 'delete':
        await client.delete(resources.jobs, refOf(keyOf(action.job)), { propagationPolicy: 'Background', preconditions: { uid: action.job.metadata.uid } }, signal);
        events.normal(cronJob, 'SuccessfulDelete', `Deleted job ${action.job.metadata.name}`);
        return;
      case 'tell':
        return events[action.eventType === 'Normal' ? 'normal' : 'warning'](cronJob, action.reason, action.message);
    }
  }

  report(status: k8s.CronJobStatus, { cronJob }: ObservedCronJob, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, cronJob, status, signal);
  }
}
