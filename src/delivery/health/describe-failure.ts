import type { k8s } from '../../api/mod.ts';

/**
 * Why the pods of a release are not ready, in one line for people: the worst container's state, or the newest warning about the pod,
 * for example `pod shop-7d4f: Readiness probe failed: HTTP probe failed with statuscode: 500`. Undefined when nothing is known.
 */
export function describePods(pods: readonly k8s.Pod[], events: readonly k8s.Event[]): string | undefined {
  for (const pod of pods.filter((candidate) => !isReady(candidate))) {
    const why = containerProblem(pod) ?? newestWarning(pod, events) ?? unscheduled(pod);
    if (why !== undefined) return `pod ${pod.metadata?.name ?? ''}: ${why}`;
  }
  return undefined;
}

function isReady({ status }: k8s.Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

/** A container that cannot start, or that has ended: its reason and exit code. A running one that is not ready tells nothing here. */
function containerProblem({ status }: k8s.Pod): string | undefined {
  for (const { name, state, lastState } of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
    const ended = state?.terminated ?? lastState?.terminated;
    const waiting = state?.waiting;
    if (ended !== undefined && ended.exitCode !== 0) {
      return [`container ${name} ended with exit code ${ended.exitCode}`, ended.reason === undefined || ended.reason === 'Error' ? '' : ` (${ended.reason})`, tail(ended.message)].join('');
    }
    if (waiting !== undefined && !['ContainerCreating', 'PodInitializing', undefined].includes(waiting.reason)) return `container ${name}: ${waiting.reason ?? ''}${tail(waiting.message)}`;
  }
  return undefined;
}

function newestWarning(pod: k8s.Pod, events: readonly k8s.Event[]): string | undefined {
  const time = (event: k8s.Event): string => event.lastTimestamp ?? event.eventTime ?? event.metadata?.creationTimestamp ?? '';
  const warnings = events.filter(({ type, involvedObject }) => type === 'Warning' && involvedObject.kind === 'Pod' && involvedObject.name === pod.metadata?.name);
  return warnings.toSorted((a, b) => time(b).localeCompare(time(a)))[0]?.message?.trim().split('\n')[0];
}

function unscheduled({ status }: k8s.Pod): string | undefined {
  return status?.conditions?.find(({ type, status: value }) => type === 'PodScheduled' && value === 'False')?.message;
}

function tail(message: string | undefined): string {
  const text = message?.trim().split('\n').at(-1) ?? '';
  return text === '' ? '' : `: ${text}`;
}
