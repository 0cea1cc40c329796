import { type k8s, keyOf, refOf, resources, selectorMatches, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { adopt, release } from '../ownership/adoption.ts';
import { controllerOf, planClaim } from '../ownership/claim.ts';
import { orphanIndex, orphansOf } from '../ownership/orphans.ts';
import { PodControl } from '../pods/pod-control.ts';
import { writeStatus } from '../write-status.ts';
import { jobPod } from './job-pod.ts';
import { isTracked, type Job, type JobAction, type ObservedJob, type Pod, trackingFinalizer } from './observed.ts';
import { planJob } from './plan.ts';

const kind = resources.jobs;
const maxBackoffMs = 600_000;
const byJob = 'tracked-by-job';

/** Where pods with a tracking finalizer are found by the name of their Job, also when it is gone. */
function jobKeysOf(pod: Pod): string[] {
  const controller = controllerOf(pod);
  return controller?.kind === kind.kind && isTracked(pod) ? [keyOf({ namespace: pod.metadata.namespace, name: controller.name })] : [];
}

/** A Job, or what the pods of one that is gone need. */
type Observed = ObservedJob | { readonly lost: readonly Pod[] };

/** Runs Jobs' pods to their end. */
export function jobController(context: ControllerContext, settings: ControllerSettings): Controller<Observed, JobAction, k8s.JobStatus> {
  const jobs = context.informers.of(kind);
  const pods = orphanIndex(context.informers.of(resources.pods)).defineIndex(byJob, jobKeysOf);
  const expectations = new Expectations(context.clock);
  pods.onChange(expectations.observe);
  const reconciler = new JobReconciler(context, settings, jobs, pods, expectations);
  const ownersOf = (pod: Pod): string[] => {
    const controller = controllerOf(pod);
    if (controller !== undefined) return controller.kind === kind.kind ? [keyOf({ namespace: pod.metadata.namespace, name: controller.name })] : [];
    return jobs.list(pod.metadata.namespace ?? '').filter(({ spec }) => spec?.selector !== undefined && selectorMatches(spec.selector, pod.metadata.labels)).map(keyOf);
  };
  return new Controller(reconciler, { workers: 4, ...context.controllerOptions }, context.log).watch(jobs).watch(pods, ownersOf);
}

class JobReconciler implements Reconciler<Observed, JobAction, k8s.JobStatus> {
  readonly name = 'job';
  readonly #context: ControllerContext;
  readonly #settings: ControllerSettings;
  readonly #jobs: Informer<k8s.Job>;
  readonly #pods: Informer<k8s.Pod>;
  readonly #expectations: Expectations;
  readonly #control: PodControl;

  constructor(context: ControllerContext, settings: ControllerSettings, jobs: Informer<k8s.Job>, pods: Informer<k8s.Pod>, expectations: Expectations) {
    this.#context = context;
    this.#settings = settings;
    this.#jobs = jobs;
    this.#pods = pods;
    this.#expectations = expectations;
    this.#control = new PodControl(context.client, context.events, expectations);
  }

  observe(key: string): Observed | undefined {
    const job = this.#jobs.get(key);
    const lost = this.#lostPods(key, job);
    if (lost.length > 0) return { lost };
    if (job?.spec?.selector === undefined) return undefined;
    const { uid, namespace = '' } = job.metadata;
    const claim = planClaim(job, job.spec.selector, [...this.#pods.ownedBy(uid), ...orphansOf(this.#pods, namespace)]);
    const pendingDeletions = new Set(claim.owned.map((pod) => pod.metadata.uid).filter((pod) => this.#expectations.isDeletionPending(pod)));
    return {
      job: { ...job, spec: job.spec },
      claim,
      pendingCreations: this.#expectations.pendingCreations(uid),
      pendingDeletions,
      backoff: { initialMs: this.#settings.jobBackoffMs, maxMs: maxBackoffMs },
      nowMs: this.#context.clock.now(),
    };
  }

  plan(observed: Observed): Plan<JobAction, k8s.JobStatus> {
    return 'lost' in observed ? { actions: [{ type: 'untrack', pods: [...observed.lost] }] } : planJob(observed);
  }

  async act(action: JobAction, observed: Observed, signal: AbortSignal): Promise<void> {
    if (action.type === 'untrack') return void (await Promise.all(action.pods.map((pod) => this.#untrack(pod, signal))));
    if ('lost' in observed) return;
    const { client, events } = this.#context;
    const { job } = observed;
    switch (action.type) {
      case 'adopt':
        await this.#track(action.pod, signal);
        return adopt(client, kind, job, resources.pods, action.pod, signal);
      case 'release':
        await this.#untrack(action.pod, signal);
        return release(client, job, resources.pods, action.pod, signal);
      case 'create':
        return this.#control.createMany(job, action.pods.map((order) => jobPod(job, order)), signal);
      case 'delete':
        return this.#delete(job, action, signal);
      case 'tell':
        return events[action.eventType === 'Normal' ? 'normal' : 'warning'](job, action.reason, action.message);
    }
  }

  /** Guarded: what is counted depends on what the status said before. */
  async report(status: k8s.JobStatus, observed: Observed, signal: AbortSignal): Promise<void> {
    if ('lost' in observed) return;
    await writeStatus(this.#context.client, kind, observed.job, status, signal, { isGuarded: true });
  }

  /** Pods whose Job is gone, or is another one of the same name: nobody counts them any more. */
  #lostPods(key: string, job: Stored<k8s.Job> | undefined): Pod[] {
    return this.#pods.indexed(byJob, key).filter((pod) => controllerOf(pod)?.uid !== job?.metadata.uid);
  }

  async #delete(job: Job, { pods, isCounted }: Extract<JobAction, { type: 'delete' }>, signal: AbortSignal): Promise<void> {
    if (!isCounted) await Promise.all(pods.map((pod) => this.#untrack(pod, signal)));
    return this.#control.deleteMany(job, pods, signal);
  }

  #untrack(pod: Pod, signal: AbortSignal): Promise<void> {
    return isTracked(pod) ? this.#patch(pod, { '$deleteFromPrimitiveList/finalizers': [trackingFinalizer] }, signal) : Promise.resolve();
  }

  #track(pod: Pod, signal: AbortSignal): Promise<void> {
    return isTracked(pod) ? Promise.resolve() : this.#patch(pod, { finalizers: [trackingFinalizer] }, signal);
  }

  async #patch(pod: Pod, metadata: object, signal: AbortSignal): Promise<void> {
    try {
      await this.#context.client.patch(resources.pods, refOf(keyOf(pod)), { type: 'strategic', body: { metadata: { uid: pod.metadata.uid, ...metadata } } }, signal);
    } catch (error) {
      // Gone, or a later pod of the same name.
      if (!isError(error, 'not-found', 'conflict')) throw error;
    }
  }
}
