import type { k8s } from '../../api/mod.ts';

/** What is known of one Deployment of a release and of the pods of its newest template. */
export interface WorkloadView {
  readonly deployment: k8s.Deployment;
  readonly newPods: readonly k8s.Pod[];
}

export type Health =
  | { readonly state: 'healthy' }
  | { readonly state: 'progressing'; readonly message: string }
  | { readonly state: 'failed'; readonly reason: FailureReason; readonly deployment: string; readonly message: string };

export type FailureReason = 'ProgressDeadlineExceeded' | 'CrashLoop' | 'CannotStart' | 'DeadlineExceeded';

/** A container of a new version that has died this often in a row is not going to come up: no need to wait for the deadline. */
const maxRestarts = 4;
/** Reasons for waiting that no time heals: the manifest has to change (Kubernetes, container state "waiting"). */
const hopelessReasons = ['InvalidImageName', 'ErrImageNeverPull', 'CreateContainerConfigError', 'ImageInspectError'];
/** What delivery waits longer than the Deployment's own deadline, should nobody watch that. */
const graceMs = 30_000;
const defaultProgressDeadlineSeconds = 600;

/** The health of a release from its Deployments: failed as soon as one fails, healthy when all have only new, available pods. */
export function assessHealth(workloads: readonly WorkloadView[], elapsedMs: number): Health {
  const each = workloads.map((workload) => assessOne(workload, elapsedMs));
  const failed = each.find(({ state }) => state === 'failed');
  if (failed !== undefined) return failed;
  return each.find(({ state }) => state === 'progressing') ?? { state: 'healthy' };
}

function assessOne({ deployment, newPods }: WorkloadView, elapsedMs: number): Health {
  const name = deployment.metadata?.name ?? '';
  const { spec, status } = deployment;
  const isObserved = (status?.observedGeneration ?? 0) >= (deployment.metadata?.generation ?? 0);
  const wanted = spec?.replicas ?? 1;
  const [updated, available, total] = [status?.updatedReplicas ?? 0, status?.availableReplicas ?? 0, status?.replicas ?? 0];
  if (isObserved && updated >= wanted && total <= updated && available >= wanted) return { state: 'healthy' };
  const deadlineSeconds = spec?.progressDeadlineSeconds ?? defaultProgressDeadlineSeconds;
  const failure = (reason: FailureReason, message: string): Health => ({ state: 'failed', reason, deployment: name, message });
  const isOverdue = status?.conditions?.some((condition) => condition.type === 'Progressing' && condition.status === 'False' && condition.reason === 'ProgressDeadlineExceeded') === true;
  if (isObserved && isOverdue) return failure('ProgressDeadlineExceeded', `Deployment ${name} made no progress for ${deadlineSeconds} s (ProgressDeadlineExceeded)`);
  const statuses = newPods.flatMap((pod) => [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]);
  const looping = statuses.find(({ ready, restartCount, state }) => !ready && restartCount >= maxRestarts && state?.waiting?.reason === 'CrashLoopBackOff');
  if (looping !== undefined) return failure('CrashLoop', `container ${looping.name} of Deployment ${name} keeps crashing (${looping.restartCount} restarts)`);
  const hopeless = statuses.find(({ state }) => hopelessReasons.includes(state?.waiting?.reason ?? ''));
  if (hopeless !== undefined) return failure('CannotStart', `container ${hopeless.name} of Deployment ${name} cannot start (${hopeless.state?.waiting?.reason ?? ''})`);
  if (elapsedMs > deadlineSeconds * 1000 + graceMs) return failure('DeadlineExceeded', `Deployment ${name} was not available after ${Math.round(elapsedMs / 1000)} s`);
  return { state: 'progressing', message: progress(name, { isObserved, wanted, updated, available, total }) };
}

/** In the words of `kubectl rollout status`. */
function progress(name: string, { isObserved, wanted, updated, available, total }: { isObserved: boolean; wanted: number; updated: number; available: number; total: number }): string {
  if (!isObserved) return `Deployment ${name}: waiting for the controller`;
  if (updated < wanted) return `Deployment ${name}: ${updated} of ${wanted} new pods started`;
  if (total > updated) return `Deployment ${name}: ${total - updated} old pods still to end`;
  return `Deployment ${name}: ${available} of ${wanted} new pods available`;
}
