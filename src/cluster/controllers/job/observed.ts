import type { k8s, Stored } from '../../../api/mod.ts';
import type { Claim } from '../ownership/claim.ts';
import { isFinished } from '../pods/readiness.ts';

export type Pod = Stored<k8s.Pod>;
export type Job = Stored<k8s.Job> & { spec: k8s.JobSpec };

export interface ObservedJob {
  readonly job: Job;
  readonly claim: Claim<k8s.Pod>;
  /** Pods that were created and that the cache does not have yet. */
  readonly pendingCreations: number;
  /** uids of pods whose deletion was asked for and that the cache does not show yet. */
  readonly pendingDeletions: ReadonlySet<string>;
  readonly backoff: JobBackoff;
  readonly nowMs: number;
}

/** How long a failed pod delays its successor: doubled by each failure in a row. */
export interface JobBackoff { readonly initialMs: number; readonly maxMs: number }

export type JobAction =
  | { type: 'adopt'; pod: Pod }
  | { type: 'release'; pod: Pod }
  /** Takes the finalizer off: the pod is accounted for. */
  | { type: 'untrack'; pods: Pod[] }
  | { type: 'create'; pods: PodOrder[] }
  /** `isCounted`: they count as failed. Otherwise their finalizer goes first, and they count as nothing. */
  | { type: 'delete'; pods: Pod[]; isCounted: boolean }
  | { type: 'tell'; eventType: 'Normal' | 'Warning'; reason: string; message: string };

/** What a new pod is told beside the template. */
export interface PodOrder { readonly index?: number; readonly failures?: number }

/** Keeps a pod's object until its end is counted in the Job's status. */
export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
/** Annotation and label: which index of an Indexed Job the pod works on. */
export const indexAnnotation = 'batch.kubernetes.io/job-completion-index';
/** How many pods of this index failed before this one; only with backoffLimitPerIndex. */
export const failuresAnnotation = 'batch.kubernetes.io/job-index-failure-count';

export function isTracked({ metadata }: Pod): boolean {
  return metadata.finalizers?.includes(trackingFinalizer) === true;
}

/** The index of an Indexed Job's pod; undefined when it has none that is below `completions`. */
export function indexOf({ metadata }: Pod, completions: number): number | undefined {
  const text = metadata.annotations?.[indexAnnotation] ?? '';
  return /^\d+$/.test(text) && Number(text) < completions ? Number(text) : undefined;
}

export function isIndexed({ spec }: Job): boolean {
  return spec.completionMode === 'Indexed';
}

/** Whether only finished pods are replaced, and not those on their way out. */
export function replacesOnlyFailed({ spec }: Job): boolean {
  return spec.podReplacementPolicy === 'Failed' || spec.podFailurePolicy !== undefined;
}

/** Failed, or taken away from under the Job. */
export function isPodFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return pod.metadata.deletionTimestamp !== undefined && !isFinished(pod) && !replacesOnlyFailed(job);
}

export function isConditionTrue({ status }: k8s.Job, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
}

/** Complete or Failed. */
export function isJobFinished(job: k8s.Job): boolean {
  return isConditionTrue(job, 'Complete') || isConditionTrue(job, 'Failed');
}

/** When the pod's last container ended, else when it was asked to go, in milliseconds. */
export function endOf({ metadata, status }: Pod): number {
  const ends = (status?.containerStatuses ?? []).map(({ state }) => Date.parse(state?.terminated?.finishedAt ?? ''));
  const known = ends.filter((end) => !Number.isNaN(end));
  return known.length > 0 ? Math.max(...known) : Date.parse(metadata.deletionTimestamp ?? status?.startTime ?? metadata.creationTimestamp);
}
