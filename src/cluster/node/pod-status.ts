import type { k8s } from '../../api/mod.ts';
import { toContainerStatus, toSeconds } from './container-status.ts';
import { failedInit, isDeleted } from './pod-phase.ts';
import { planConditions } from './pod-conditions.ts';
import { qosClassOf } from './qos.ts';
import { latestAttempt, type PodView } from './pod-view.ts';
import { isSidecar, shouldRestart } from './restart-policy.ts';

/** The whole status the node reports for the pod, as Kubernetes shapes it (Kubernetes, "Pod Lifecycle"). */
export function toPodStatus(view: PodView): k8s.PodStatus {
  const spec = view.pod.spec ?? { containers: [] };
  const inits = spec.initContainers ?? [];
  const initStatuses = inits.map((container) => toContainerStatus(view, container, 'init'));
  const hasApplication = spec.containers.some(({ name }) => latestAttempt(view.containers, name) !== undefined);
  const isInitialized = hasApplication || inits.every((container, index) => isInitComplete(container, initStatuses[index]));
  const statuses = spec.containers.map((container) => toContainerStatus(view, container, 'application'));
  const ephemeral = (spec.ephemeralContainers ?? []).map((container) => toContainerStatus(view, container, 'ephemeral'));
  const phase = phaseOf(view, statuses, isInitialized);
  const conditions = planConditions(view, phase, initStatuses, statuses, isInitialized);
  const ip = view.sandbox === undefined ? undefined : spec.hostNetwork === true ? view.nodeIp : view.sandbox.ip;
  return {
    phase,
    conditions,
    ...(view.ending === undefined ? keptReason(view, phase) : { reason: view.ending.reason, message: view.ending.message }),
    hostIP: view.nodeIp,
    hostIPs: [{ ip: view.nodeIp }],
    ...(ip === undefined || ip === '' ? {} : { podIP: ip, podIPs: [{ ip }] }),
    startTime: view.pod.status?.startTime ?? toSeconds(new Date(view.nowMs).toISOString()),
    qosClass: qosClassOf(spec),
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
  };
}

function isInitComplete(container: k8s.Container, status: k8s.ContainerStatus | undefined): boolean {
  if (status === undefined) return false;
  return isSidecar(container) ? status.started === true : status.ready;
}

function keptReason(view: PodView, phase: string): Pick<k8s.PodStatus, 'reason' | 'message'> {
  const { status } = view.pod;
  if (status?.phase !== phase || (phase !== 'Failed' && phase !== 'Succeeded')) return {};
  return { ...(status.reason === undefined ? {} : { reason: status.reason }), ...(status.message === undefined ? {} : { message: status.message }) };
}

/** Kubernetes, "Pod phase". A phase that is final stays. */
function phaseOf(view: PodView, statuses: readonly k8s.ContainerStatus[], isInitialized: boolean): string {
  const known = view.pod.status?.phase;
  if (known === 'Failed' || known === 'Succeeded') return known;
  if (view.ending !== undefined || failedInit(view) !== undefined) return 'Failed';
  const spec = view.pod.spec ?? { containers: [] };
  const running = statuses.filter(({ state }) => state?.running !== undefined).length;
  const stopped = statuses.filter(({ state, lastState }) => state?.terminated !== undefined || (state?.waiting !== undefined && lastState?.terminated !== undefined));
  if (!isInitialized || running + stopped.length < statuses.length) return 'Pending';
  if (running > 0) return 'Running';
  const exitCodes = statuses.map(({ state, lastState }) => (state?.terminated ?? lastState?.terminated)?.exitCode ?? 0);
  const areDone = isDeleted(view) || spec.containers.every((container, index) => !shouldRestart(spec, container, false, exitCodes[index] ?? 0));
  if (!areDone) return 'Running';
  return exitCodes.every((code) => code === 0) ? 'Succeeded' : 'Failed';
}
