import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { isJobFinished } from '../job/observed.ts';

export interface ObservedTtl { readonly job: Stored<k8s.Job>; readonly nowMs: number }

/** Whether a finished Job's time is over, and when to look again. */
export function planTtl({ job, nowMs }: ObservedTtl): Plan<'delete', never> {
  const { metadata, spec, status } = job;
  if (spec?.ttlSecondsAfterFinished === undefined || metadata.deletionTimestamp !== undefined || !isJobFinished(job)) return { actions: [] };
  const final = status?.conditions?.find(({ type, status: value }) => (type === 'Complete' || type === 'Failed') && value === 'True');
  const finishedMs = Date.parse(status?.completionTime ?? final?.lastTransitionTime ?? '');
  if (Number.isNaN(finishedMs)) return { actions: [] };
  const waitMs = finishedMs + spec.ttlSecondsAfterFinished * 1000 - nowMs;
  return waitMs > 0 ? { actions: [], requeueAfterMs: waitMs } : { actions: ['delete'] };
}

/** Deletes Jobs some time after they have finished, pods first (Kubernetes, "Automatic Cleanup for Finished Jobs"). */
export function ttlController(context: ControllerContext): Controller<ObservedTtl, 'delete', never> {
  const jobs = context.informers.of(resources.jobs);
  const reconciler: Reconciler<ObservedTtl, 'delete', never> = {
    name: 'ttl-after-finished',
    observe: (key) => {
      const job = jobs.get(key);
      return job === undefined ? undefined : { job, nowMs: context.clock.now() };
    },
    plan: planTtl,
    act: async (_action, { job }, signal) => {
      const { uid, resourceVersion } = job.metadata;
      try {
        // Guarded: the time may have been changed meanwhile.
        await context.client.delete(resources.jobs, refOf(keyOf(job)), { propagationPolicy: 'Foreground', preconditions: { uid, resourceVersion } }, signal);
      } catch (error) {
        if (!isError(error, 'not-found')) throw error;
      }
    },
  };
  return new Controller(reconciler, { ...context.controllerOptions }, context.log).watch(jobs);
}
