import type { k8s } from '../../../api/mod.ts';
import { ageSince } from './age.ts';
import type { ColumnOf } from './define.ts';

/** The columns of `kubectl get pods`. */
export const podColumns: readonly ColumnOf<k8s.Pod>[] = [
  { name: 'Ready', type: 'string', description: 'The aggregate readiness state of this pod for accepting traffic.', cell: (pod) => `${counts(pod).ready}/${counts(pod).total}` },
  { name: 'Status', type: 'string', description: 'The aggregate status of the containers in this pod.', cell: podReason },
  { name: 'Restarts', type: 'string', description: 'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.', cell: restarts },
];

/** The further columns of `kubectl get pods -o wide`. */
export const podWideColumns: readonly ColumnOf<k8s.Pod>[] = [
  { name: 'IP', type: 'string', priority: 1, description: 'IP address allocated to the pod.', cell: ({ status }) => status?.podIP ?? '<none>' },
  { name: 'Node', type: 'string', priority: 1, description: 'Node the pod runs on.', cell: ({ spec }) => spec?.nodeName ?? '<none>' },
  { name: 'Nominated Node', type: 'string', priority: 1, description: 'Node the pod waits for after preemption.', cell: ({ status }) => status?.nominatedNodeName ?? '<none>' },
  {
    name: 'Readiness Gates',
    type: 'string',
    priority: 1,
    description: 'Further conditions of the pod being ready.',
    cell: ({ spec, status }) => {
      const gates = spec?.readinessGates ?? [];
      if (gates.length === 0) return '<none>';
      const met = gates.filter(({ conditionType }) => status?.conditions?.some(({ type, status }) => type === conditionType && status === 'True') === true);
      return `${met.length}/${gates.length}`;
    },
  },
];

/** Sidecars: init containers that keep running. */
function sidecarNames({ spec }: k8s.Pod): Set<string> {
  return new Set((spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name));
}

function counts(pod: k8s.Pod): { ready: number; total: number } {
  const sidecars = sidecarNames(pod);
  const main = (pod.status?.containerStatuses ?? []).filter(({ ready, state }) => ready && state?.running !== undefined);
  const side = (pod.status?.initContainerStatuses ?? []).filter(({ name, ready, started }) => sidecars.has(name) && ready && started === true);
  return { ready: main.length + side.length, total: (pod.spec?.containers.length ?? 0) + sidecars.size };
}

function restarts(pod: k8s.Pod, nowMs: number): string {
  const sidecars = sidecarNames(pod);
  const isStarting = initReason(pod) !== undefined;
  const statuses = isStarting ? (pod.status?.initContainerStatuses ?? []) : [...(pod.status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)), ...(pod.status?.containerStatuses ?? [])];
  const count = statuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
  const last = statuses.map(({ lastState }) => lastState?.terminated?.finishedAt).filter((time) => time !== undefined && time !== null).toSorted().at(-1);
  return count > 0 && last !== undefined ? `${count} (${ageSince(last, nowMs)} ago)` : String(count);
}

/** One word for the state of a pod: the most telling of its containers' reasons, or its phase. */
export function podReason(pod: k8s.Pod): string {
  const { status, metadata } = pod;
  let reason = status?.reason ?? status?.phase ?? 'Unknown';
  if (status?.conditions?.some(({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'SchedulingGated') === true) reason = 'SchedulingGated';
  reason = initReason(pod) ?? mainReason(pod, reason);
  if (metadata?.deletionTimestamp === undefined) return reason;
  return status?.reason === 'NodeLost' ? 'Unknown' : ['Succeeded', 'Failed'].includes(status?.phase ?? '') ? reason : 'Terminating';
}

/** Why the pod is still initialising; undefined when it is not. */
function initReason(pod: k8s.Pod): string | undefined {
  const statuses = pod.status?.initContainerStatuses ?? [];
  const sidecars = sidecarNames(pod);
  for (const [index, { name, state, started, ready }] of statuses.entries()) {
    if (state?.terminated?.exitCode === 0) continue;
    if (sidecars.has(name) && (started === true || (state?.running !== undefined && ready))) continue;
    if (state?.terminated !== undefined) return `Init:${terminatedReason(state.terminated)}`;
    const waiting = state?.waiting?.reason;
    if (waiting !== undefined && waiting !== '' && waiting !== 'PodInitializing') return `Init:${waiting}`;
    return `Init:${index}/${pod.spec?.initContainers?.length ?? 0}`;
  }
  return undefined;
}

function mainReason(pod: k8s.Pod, fallback: string): string {
  const statuses = pod.status?.containerStatuses ?? [];
  let reason = fallback;
  let isRunning = false;
  for (const { state, ready } of statuses.toReversed()) {
    const waiting = state?.waiting?.reason;
    if (waiting !== undefined && waiting !== '') reason = waiting;
    else if (state?.terminated !== undefined) reason = terminatedReason(state.terminated);
    else if (ready && state?.running !== undefined) isRunning = true;
  }
  if (reason !== 'Completed' || !isRunning) return reason;
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true ? 'Running' : 'NotReady';
}

function terminatedReason({ reason, signal, exitCode }: k8s.ContainerStateTerminated): string {
  if (reason !== undefined && reason !== '') return reason;
  return signal !== undefined && signal !== 0 ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}
