import type { Digest, k8s } from '../../api/mod.ts';
import { containerIdScheme } from './container-status.ts';
import type { PodContainer } from './ports.ts';

/**
 * The pod's containers with those that the API knows and the engine lost (after a reboot, or when its data was removed):
 * they count as exited, so that restart counts go on and what must not run twice does not.
 */
export function withLostContainers(pod: k8s.Pod, containers: readonly PodContainer[]): readonly PodContainer[] {
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const reported = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  const lost = reported.filter(({ name, containerID }) => containerID !== undefined && containerID !== '' && !containers.some((container) => container.name === name));
  return lost.length === 0 ? containers : [...containers, ...lost.map((status) => toLost(pod, status))];
}

function toLost(pod: k8s.Pod, status: k8s.ContainerStatus): PodContainer {
  const terminated = status.state?.terminated ?? status.lastState?.terminated;
  const isKnown = terminated?.containerID === status.containerID ? terminated : undefined;
  const startedAt = isKnown?.startedAt ?? status.state?.running?.startedAt ?? pod.status?.startTime ?? '1970-01-01T00:00:00Z';
  return {
    id: (status.containerID ?? '').replace(containerIdScheme, ''),
    // No sandbox has an empty id: the container belongs to none.
    sandboxId: '',
    podUid: pod.metadata?.uid ?? '',
    name: status.name,
    attempt: status.restartCount,
    imageId: status.imageID as Digest,
    imageReference: status.image,
    state: 'exited',
    createdAt: startedAt,
    startedAt,
    finishedAt: isKnown?.finishedAt ?? startedAt,
    exitCode: isKnown?.exitCode ?? 137,
    message: isKnown?.message ?? 'The container could not be located when the node came back',
    labels: {},
  };
}
