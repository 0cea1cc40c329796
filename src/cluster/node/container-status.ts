import type { k8s } from '../../api/mod.ts';
import { isDeleted, isOfSandbox } from './pod-phase.ts';
import { latestAttempt, type PodView, previousAttempt } from './pod-view.ts';
import type { PodContainer } from './ports.ts';
import { isSidecar, planRestart, shouldRestart } from './restart-policy.ts';

/** The scheme of container ids in the API: `gantry://<id>`. */
export const containerIdScheme = 'gantry://';

/** The list of the pod's spec that a container comes from; sidecars are init containers. */
export type ContainerRole = 'init' | 'application' | 'ephemeral';

/** One container's status as Kubernetes shapes it (Kubernetes API, core/v1 ContainerStatus). */
export function toContainerStatus(view: PodView, container: k8s.Container, role: ContainerRole): k8s.ContainerStatus {
  const latest = latestAttempt(view.containers, container.name);
  const before = previousAttempt(view.containers, container.name);
  const waiting = waitingState(view, container, role, latest);
  const isRunning = latest?.state === 'running';
  const exited = latest?.state === 'exited' ? latest : undefined;
  // While the next attempt is awaited, the exited one is the last state.
  const last = waiting === undefined ? before : (exited ?? before);
  const known = view.pod.status?.[statusField[role]]?.find(({ name }) => name === container.name);
  const state: k8s.ContainerState = waiting !== undefined ? { waiting } : isRunning ? { running: { startedAt: toSeconds(latest.startedAt) } } : exited !== undefined ? { terminated: toTerminated(view, exited) } : { waiting: { reason: 'ContainerCreating' } };
  const lastState = last === undefined ? (latest === undefined ? (known?.lastState ?? {}) : {}) : { terminated: toTerminated(view, last) };
  return {
    name: container.name,
    image: latest?.imageReference ?? container.image ?? '',
    imageID: latest?.imageId ?? '',
    ...(latest === undefined || latest.state === 'created' ? {} : { containerID: containerIdScheme + latest.id }),
    restartCount: latest?.attempt ?? 0,
    ready: isReady(view, container, role, latest),
    started: isStarted(view, container, role, latest),
    state,
    lastState,
  };
}

/** Where a role's statuses stand in PodStatus. */
export const statusField = { init: 'initContainerStatuses', application: 'containerStatuses', ephemeral: 'ephemeralContainerStatuses' } as const satisfies Record<ContainerRole, keyof k8s.PodStatus>;

function waitingState(view: PodView, container: k8s.Container, role: ContainerRole, latest: PodContainer | undefined): k8s.ContainerStateWaiting | undefined {
  if (latest?.state === 'running') return undefined;
  const willRun = !isDeleted(view) && view.ending === undefined;
  if (latest?.state === 'exited') {
    const isRerun = role === 'init' && view.sandbox !== undefined && !isOfSandbox(view, latest);
    const spec = view.pod.spec ?? { containers: [] };
    if (!willRun || role === 'ephemeral') return undefined;
    if (!isRerun && !shouldRestart(spec, container, role === 'init', latest.exitCode ?? 0)) return undefined;
    const failure = failureOf(view, container);
    if (failure !== undefined) return failure;
    const { atMs, nextBackoffSeconds } = planRestart(latest);
    if (atMs <= view.nowMs) return undefined;
    const delaySeconds = Math.round((atMs - Date.parse(latest.finishedAt ?? latest.createdAt)) / 1000);
    return { reason: 'CrashLoopBackOff', message: `back-off ${delaySeconds}s restarting failed container=${container.name} pod=${view.pod.metadata.name} (next delay ${nextBackoffSeconds}s)` };
  }
  const failure = failureOf(view, container);
  if (failure !== undefined) return failure;
  return { reason: (view.pod.spec?.initContainers ?? []).length === 0 ? 'ContainerCreating' : 'PodInitializing' };
}

/** What holds the container up: its image, its creation, or what the whole pod waits for. */
function failureOf(view: PodView, container: k8s.Container): k8s.ContainerStateWaiting | undefined {
  const failure = view.failures.get(`image:${container.name}`) ?? view.failures.get(`container:${container.name}`);
  if (failure === undefined) return undefined;
  // The first report says what happened; while the next try is awaited, that we wait.
  if (failure.reason !== 'ErrImagePull' || view.nowMs >= failure.retryAtMs || failure.failures < 2) return { reason: failure.reason, message: failure.message };
  return { reason: 'ImagePullBackOff', message: `Back-off pulling image "${container.image ?? ''}": ${failure.message}` };
}

function toTerminated(view: PodView, container: PodContainer): k8s.ContainerStateTerminated {
  const exitCode = container.exitCode ?? 137;
  const message = view.terminationMessages.get(container.id) ?? container.message;
  return {
    exitCode,
    reason: terminatedReason(container, exitCode),
    ...(message === undefined || message === '' ? {} : { message }),
    startedAt: toSeconds(container.startedAt ?? container.createdAt),
    finishedAt: toSeconds(container.finishedAt ?? container.createdAt),
    containerID: containerIdScheme + container.id,
  };
}

function terminatedReason(container: PodContainer, exitCode: number): string {
  if (container.sandboxId === '' && exitCode === 137) return 'ContainerStatusUnknown';
  if (container.isOomKilled === true) return 'OOMKilled';
  if (container.startedAt === undefined && container.message !== undefined) return 'StartError';
  return exitCode === 0 ? 'Completed' : 'Error';
}

function isStarted(view: PodView, container: k8s.Container, role: ContainerRole, latest: PodContainer | undefined): boolean {
  if (latest?.state !== 'running' || (role === 'init' && !isSidecar(container))) return false;
  return container.startupProbe === undefined ? true : view.probes.get(latest.id)?.isStarted === true;
}

function isReady(view: PodView, container: k8s.Container, role: ContainerRole, latest: PodContainer | undefined): boolean {
  if (latest === undefined || role === 'ephemeral') return false;
  if (role === 'init' && !isSidecar(container)) return latest.state === 'exited' && latest.exitCode === 0;
  if (latest.state !== 'running' || !isStarted(view, container, role, latest)) return false;
  return container.readinessProbe === undefined ? true : view.probes.get(latest.id)?.isReady === true;
}

/** Kubernetes' times have whole seconds. */
export function toSeconds(time: string | undefined): string {
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) ? '1970-01-01T00:00:00Z' : new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
