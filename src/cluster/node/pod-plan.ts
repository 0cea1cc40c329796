import type { k8s } from '../../api/mod.ts';
import { deadlineMsOf, isDeleted, isFinished, isOfSandbox, ranOutOfTimeAtMs } from './pod-phase.ts';
import { latestAttempt, operationOf, type PodAction, type PodView } from './pod-view.ts';
import type { PodContainer } from './ports.ts';
import { isSidecar, planRestart, shouldRestart } from './restart-policy.ts';

/** What to do next for a pod, and when to look again although nothing happens. */
export interface PodPlan {
  readonly actions: readonly PodAction[];
  readonly requeueAtMs?: number;
}

/**
 * The pod's next steps. Everything that can happen side by side is in one plan: volumes, sandbox and images are prepared
 * together, a container starts as soon as it has all three. Steps whose operation is under way or backs off are left out.
 */
export function planPod(view: PodView): PodPlan {
  const wanted = isDeleted(view) || view.ending !== undefined ? planEnd(view) : isFinished(view) ? planFinished(view) : planRun(view);
  let requeueAtMs = wanted.requeueAtMs;
  const actions = wanted.actions.filter((action) => {
    const operation = operationOf(action);
    if (view.running.has(operation)) return false;
    const retryAtMs = view.failures.get(operation)?.retryAtMs ?? 0;
    if (retryAtMs <= view.nowMs) return true;
    requeueAtMs = earliest(requeueAtMs, retryAtMs);
    return false;
  });
  return { actions, ...(requeueAtMs === undefined ? {} : { requeueAtMs }) };
}

function planRun(view: PodView): PodPlan {
  const spec = specOf(view);
  const actions: PodAction[] = [];
  if (!view.areVolumesReady) actions.push({ type: 'prepare-volumes' });
  if (view.sandbox === undefined) actions.push({ type: 'create-sandbox' });
  let requeueAtMs: number | undefined = ranOutOfTimeAtMs(view);
  let mayStart = view.sandbox !== undefined && view.areVolumesReady;
  const plan = (container: k8s.Container, isInit: boolean): void => {
    const step = planContainer(view, container, isInit, mayStart);
    actions.push(...step.actions);
    requeueAtMs = earliest(requeueAtMs, step.requeueAtMs);
  };
  const isInitialized = hasStartedApplication(view);
  for (const container of spec.initContainers ?? []) {
    const isDone = isInitDone(view, container);
    // A finished init container stays finished; a sidecar is looked after for as long as the pod lives.
    if (!isSidecar(container) && (isDone || isInitialized)) continue;
    plan(container, true);
    if (!isDone && !isInitialized) mayStart = false;
  }
  for (const container of spec.containers) plan(container, false);
  for (const container of spec.ephemeralContainers ?? []) {
    const isNew = latestAttempt(view.containers, container.name) === undefined;
    if (isNew) actions.push(...start(view, container, 0, 0, view.sandbox !== undefined && view.areVolumesReady));
  }
  actions.push(...planOldAttempts(view));
  return { actions, ...(requeueAtMs === undefined ? {} : { requeueAtMs }) };
}

function planContainer(view: PodView, container: k8s.Container, isInit: boolean, mayStart: boolean): PodPlan {
  const latest = latestAttempt(view.containers, container.name);
  const isStale = latest !== undefined && !isOfSandbox(view, latest);
  if (latest === undefined) return { actions: start(view, container, 0, 0, mayStart) };
  if (latest.state === 'running') return { actions: replaceUnhealthy(view, container, latest) };
  if (latest.state === 'created') {
    // Being started, or left behind by an agent that died in between; in that case it begins anew.
    const isStarting = view.running.has(`container:${container.name}`);
    return { actions: isStarting ? [] : [{ type: 'remove-container', container: container.name, id: latest.id }] };
  }
  const isRerun = isStale && isInit && view.sandbox !== undefined;
  if (!isRerun && !shouldRestart(specOf(view), container, isInit, latest.exitCode ?? 0)) return { actions: [] };
  const { atMs, nextBackoffSeconds } = planRestart(latest);
  if (atMs > view.nowMs) return { actions: [], requeueAtMs: atMs };
  return { actions: start(view, container, latest.attempt + 1, nextBackoffSeconds, mayStart) };
}

function start(view: PodView, container: k8s.Container, attempt: number, backoffSeconds: number, mayStart: boolean): PodAction[] {
  const image = view.images.get(container.name);
  if (image?.attempt !== attempt) return [{ type: 'ensure-image', container: container.name, attempt }];
  if (!mayStart) return [];
  return [{ type: 'start-container', container: container.name, attempt, backoffSeconds, imageId: image.imageId }];
}

function replaceUnhealthy(view: PodView, container: k8s.Container, running: PodContainer): PodAction[] {
  const verdict = view.probes.get(running.id)?.mustRestart;
  if (verdict === undefined) return [];
  const probe = verdict.probe === 'liveness' ? container.livenessProbe : container.startupProbe;
  const graceSeconds = probe?.terminationGracePeriodSeconds ?? specOf(view).terminationGracePeriodSeconds ?? 30;
  const reason = `Container ${container.name} failed ${verdict.probe} probe, will be restarted`;
  return [{ type: 'stop-container', container: container.name, id: running.id, deadlineMs: verdict.sinceMs + graceSeconds * 1000, reason }];
}

/** The latest attempt tells the state and the one before it the last state (and `logs --previous`); older ones go. */
function planOldAttempts(view: PodView): PodAction[] {
  return view.containers
    .filter(({ state, sandboxId }) => state === 'exited' && sandboxId !== '')
    .filter(({ name, attempt }) => view.containers.filter((other) => other.name === name && other.attempt > attempt).length >= 2)
    .map(({ name, id }) => ({ type: 'remove-container', container: name, id }));
}

/** A pod whose work is over keeps its exited containers for their logs; sidecars that still run are stopped. */
function planFinished(view: PodView): PodPlan {
  return { actions: stopAll(view, deadlineMsOf(view), 'The pod has finished') };
}

function planEnd(view: PodView): PodPlan {
  const isBusy = [...view.running].some((operation) => /^(container:|create-sandbox|prepare-volumes)/.test(operation));
  const alive = view.containers.filter(({ state }) => state !== 'exited');
  if (alive.length > 0) {
    const canServe = alive.some(({ state }) => state === 'running') && view.sandbox?.ip !== '';
    if (isDeleted(view) && canServe && !view.isDrained && deadlineMsOf(view) > view.nowMs) {
      return { actions: [{ type: 'drain' }], requeueAtMs: deadlineMsOf(view) };
    }
    return { actions: stopAll(view, deadlineMsOf(view), view.ending?.message ?? 'The pod is being deleted') };
  }
  if (isBusy || !isDeleted(view)) return { actions: [] };
  if (view.sandbox !== undefined) return { actions: [{ type: 'remove-sandbox' }] };
  const release: PodAction[] = view.areVolumesReleased ? [] : [{ type: 'release-volumes' }];
  return { actions: view.isGone || view.isDeleteRequested ? release : [...release, { type: 'delete-pod' }] };
}

/** Applications first and together; then the sidecars one by one, the last one first (Kubernetes, "Sidecar Containers"). */
function stopAll(view: PodView, deadlineMs: number, reason: string): PodAction[] {
  const created = view.containers.filter(({ state, name }) => state === 'created' && !view.running.has(`container:${name}`));
  const running = view.containers.filter(({ state }) => state === 'running');
  const sidecars = (specOf(view).initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const applications = running.filter(({ name }) => !sidecars.includes(name));
  const lastSidecar = running.toSorted((a, b) => sidecars.indexOf(b.name) - sidecars.indexOf(a.name)).slice(0, 1);
  const next = applications.length > 0 ? applications : lastSidecar;
  return [
    ...created.map(({ name, id }): PodAction => ({ type: 'remove-container', container: name, id })),
    ...next.map(({ name, id }): PodAction => ({ type: 'stop-container', container: name, id, deadlineMs, reason })),
  ];
}

function isInitDone(view: PodView, container: k8s.Container): boolean {
  const latest = latestAttempt(view.containers, container.name);
  if (latest === undefined || !isOfSandbox(view, latest)) return false;
  if (!isSidecar(container)) return latest.state === 'exited' && latest.exitCode === 0;
  if (latest.state !== 'running' || view.running.has(`container:${container.name}`)) return false;
  return container.startupProbe === undefined || view.probes.get(latest.id)?.isStarted === true;
}

/** Once an application container exists in this sandbox, initialisation is over and stays so. */
function hasStartedApplication(view: PodView): boolean {
  const names = new Set(specOf(view).containers.map(({ name }) => name));
  return view.containers.some((container) => names.has(container.name) && isOfSandbox(view, container));
}

function specOf(view: PodView): k8s.PodSpec {
  return view.pod.spec ?? { containers: [] };
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
