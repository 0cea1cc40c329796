import type { k8s } from '../../api/mod.ts';
import type { JobRequest } from '../ports.ts';
import { jobContainer, serviceContainerName } from './job-pod.ts';

/** How far a job's pod is. `starting`: containers are missing. `waiting`: services are not ready yet. */
export type PodState =
  | { state: 'starting'; containers: string[] }
  | { state: 'waiting'; services: string[] }
  | { state: 'ready' }
  | { state: 'failed'; container: string; reason: string };

/** Reasons for waiting that do not go away by waiting. */
const hopeless = ['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName', 'ErrImageNeverPull', 'CreateContainerError', 'CreateContainerConfigError', 'RunContainerError', 'CrashLoopBackOff'];

/** Pure: reads the state of a job's pod. */
export function podStateOf(pod: k8s.Pod, services: JobRequest['services']): PodState {
  const names = [jobContainer, ...services.map(({ name }) => serviceContainerName(name))];
  const statuses = new Map(pod.status?.containerStatuses?.map((status) => [status.name, status]));
  for (const name of names) {
    const { waiting, terminated } = statuses.get(name)?.state ?? {};
    if (waiting?.reason !== undefined && hopeless.includes(waiting.reason)) return { state: 'failed', container: name, reason: waiting.message ?? waiting.reason };
    if (terminated !== undefined) return { state: 'failed', container: name, reason: describeEnd(terminated) };
  }
  if (pod.status?.phase === 'Failed') return { state: 'failed', container: jobContainer, reason: pod.status.message ?? pod.status.reason ?? 'the pod failed' };
  const starting = names.filter((name) => statuses.get(name)?.state?.running === undefined);
  if (starting.length > 0) return { state: 'starting', containers: starting };
  const unready = services.filter(({ name }) => statuses.get(serviceContainerName(name))?.ready !== true).map(({ name }) => name);
  return unready.length > 0 ? { state: 'waiting', services: unready } : { state: 'ready' };
}

function describeEnd({ reason, exitCode, message }: k8s.ContainerStateTerminated): string {
  const what = reason === 'OOMKilled' ? 'it used more memory than it may' : `it ended with exit code ${exitCode}`;
  return message === undefined || message === '' ? what : `${what}: ${message}`;
}
