import type { k8s } from '../../api/mod.ts';
import { latestAttempt, type PodEnding, type PodView } from './pod-view.ts';
import type { PodContainer } from './ports.ts';
import { isSidecar, shouldRestart } from './restart-policy.ts';

/** Whether somebody asked for the pod to go, or it is gone already. */
export function isDeleted(view: PodView): boolean {
  return view.isGone || view.pod.metadata.deletionTimestamp !== undefined;
}

/** Whether the container belongs to the pod's present sandbox: one from before a reboot does not. */
export function isOfSandbox(view: PodView, container: PodContainer): boolean {
  return view.sandbox !== undefined && container.sandboxId === view.sandbox.id;
}

/** Whether nothing of the pod will run again: it succeeded or failed for good (Kubernetes, "Pod phase"). */
export function isFinished(view: PodView): boolean {
  const spec = view.pod.spec;
  const phase = view.pod.status?.phase;
  if (phase === 'Succeeded' || phase === 'Failed') return true;
  if (spec === undefined) return false;
  if (failedInit(view) !== undefined) return true;
  return spec.containers.every((container) => {
    const latest = latestAttempt(view.containers, container.name);
    return latest?.state === 'exited' && !shouldRestart(spec, container, false, latest.exitCode ?? 0);
  });
}

/** The init container whose failure ends the pod, if there is one. */
export function failedInit(view: PodView): k8s.Container | undefined {
  const spec = view.pod.spec;
  return spec?.initContainers?.find((container) => {
    const latest = latestAttempt(view.containers, container.name);
    if (isSidecar(container) || latest?.state !== 'exited' || latest.exitCode === 0) return false;
    return !shouldRestart(spec, container, true, latest.exitCode ?? 0);
  });
}

/** When the last container has to be dead, in milliseconds since the epoch. */
export function deadlineMsOf(view: PodView): number {
  const { metadata, spec } = view.pod;
  const graceSeconds = Math.min(metadata.deletionGracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? 30, view.ending?.graceSeconds ?? Infinity);
  const deadlineMs = (view.endingSinceMs ?? view.nowMs) + Math.max(1, graceSeconds) * 1000;
  if (metadata.deletionTimestamp === undefined) return deadlineMs;
  // The timestamp is the moment of the request plus the grace period, cut to seconds: it outlives a restart of the agent.
  return Math.min(deadlineMs, Date.parse(metadata.deletionTimestamp) + 1000);
}

/** When `activeDeadlineSeconds` is over, if the pod has that. */
export function ranOutOfTimeAtMs(view: Pick<PodView, 'pod'>): number | undefined {
  const limitSeconds = view.pod.spec?.activeDeadlineSeconds;
  const startTime = view.pod.status?.startTime;
  return limitSeconds === undefined || startTime === undefined ? undefined : Date.parse(startTime) + limitSeconds * 1000;
}

/** The ending of a pod that ran longer than it may. */
export const deadlineExceeded: PodEnding = { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' };
