import type { k8s } from '../../api/mod.ts';
import type { PodEnding } from './pod-view.ts';

/** Pods of at least this priority are what others stand on (Kubernetes, "system-cluster-critical"): they are ended last. */
const criticalPriority = 2_000_000_000;

/** How long the pods may take that are ended first, and then the critical ones. */
export interface ShutdownGrace { readonly graceSeconds: number; readonly criticalGraceSeconds: number }

export const defaultShutdownGrace: ShutdownGrace = { graceSeconds: 30, criticalGraceSeconds: 10 };

/** A pod's worker, as the shutdown sees it. */
export interface EndingWorker {
  readonly pod: k8s.Pod;
  /** Ends the pod; resolves when none of its containers runs any more. */
  end(ending: PodEnding): Promise<void>;
}

/** What ended pods say, in Kubernetes' words ("Graceful node shutdown"). */
export function shutdownEnding(graceSeconds: number): PodEnding {
  return { reason: 'Terminated', message: 'Pod was terminated in response to imminent node shutdown.', graceSeconds, isDisruption: true };
}

/** Ends all pods, ordinary ones first, then the critical ones; each gets its own grace period or what its group has, whichever is less. */
export async function shutDownPods(workers: readonly EndingWorker[], { graceSeconds, criticalGraceSeconds }: ShutdownGrace): Promise<void> {
  const isCritical = ({ pod }: EndingWorker): boolean => (pod.spec?.priority ?? 0) >= criticalPriority;
  await Promise.all(workers.filter((worker) => !isCritical(worker)).map((worker) => worker.end(shutdownEnding(graceSeconds))));
  await Promise.all(workers.filter(isCritical).map((worker) => worker.end(shutdownEnding(criticalGraceSeconds))));
}
