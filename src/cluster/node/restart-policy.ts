import type { k8s } from '../../api/mod.ts';
import { backoffLabel } from './pod-view.ts';
import type { PodContainer } from './ports.ts';

/** The first delay, doubled at every restart up to the limit; forgotten after a container ran that long. (Kubernetes, "Container restart policy") */
export const restartBackoff = { initialSeconds: 10, maxSeconds: 300, resetAfterMs: 600_000 } as const;

/** Whether an init container that never ends is wanted: a sidecar (Kubernetes, "Sidecar Containers"). */
export function isSidecar(container: k8s.Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Whether an exited container runs again. Init containers do until they succeed, unless the pod says Never. */
export function shouldRestart(pod: k8s.PodSpec, container: k8s.Container, isInit: boolean, exitCode: number): boolean {
  if (isInit && isSidecar(container)) return true;
  const policy = pod.restartPolicy ?? 'Always';
  if (policy === 'Never') return false;
  if (policy === 'OnFailure' || isInit) return exitCode !== 0;
  return true;
}

/** When the container that exited may run again, and the delay to note on that next attempt. */
export function planRestart(exited: PodContainer): { atMs: number; nextBackoffSeconds: number } {
  const finishedAtMs = timeMs(exited.finishedAt) ?? timeMs(exited.createdAt) ?? 0;
  const ranMs = finishedAtMs - (timeMs(exited.startedAt) ?? finishedAtMs);
  const noted = Number(exited.labels[backoffLabel] ?? '0');
  const delaySeconds = ranMs >= restartBackoff.resetAfterMs || !Number.isFinite(noted) ? 0 : noted;
  const nextBackoffSeconds = delaySeconds === 0 ? restartBackoff.initialSeconds : Math.min(restartBackoff.maxSeconds, delaySeconds * 2);
  return { atMs: finishedAtMs + delaySeconds * 1000, nextBackoffSeconds };
}

function timeMs(time: string | undefined): number | undefined {
  const value = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(value) ? undefined : value;
}
