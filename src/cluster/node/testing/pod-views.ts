import type { Digest, k8s } from '../../../api/mod.ts';
import type { PodView } from '../pod-view.ts';
import type { PodContainer } from '../ports.ts';

export const testNowMs = Date.parse('2030-01-01T00:10:00Z');
export const testImageId = `sha256:${'a'.repeat(64)}` as Digest;

/** A view of a pod `web` with one container `app` and nothing done yet; a test changes what it is about. */
export function viewOf(spec: Partial<k8s.PodSpec> = {}, change: Partial<PodView> & { metadata?: k8s.ObjectMeta; status?: k8s.PodStatus } = {}): PodView {
  const { metadata, status, ...view } = change;
  return {
    pod: {
      metadata: { name: 'web', namespace: 'default', uid: 'uid-1', resourceVersion: '1', creationTimestamp: '2030-01-01T00:00:00Z', ...metadata },
      spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
      ...(status === undefined ? {} : { status }),
    },
    nowMs: testNowMs,
    nodeIp: '10.0.0.1',
    isGone: false,
    ending: undefined,
    endingSinceMs: undefined,
    sandbox: undefined,
    containers: [],
    images: new Map(),
    areVolumesReady: false,
    areVolumesReleased: false,
    isDeleteRequested: false,
    probes: new Map(),
    running: new Set(),
    failures: new Map(),
    isDrained: false,
    terminationMessages: new Map(),
    ...view,
  };
}

/** What a view has once sandbox, volumes and images (for the given attempt) are there. */
export function prepared(attempts: Record<string, number> = { app: 0 }): Partial<PodView> {
  return {
    sandbox: { id: 'box', podUid: 'uid-1', namespace: 'default', name: 'web', ip: '10.1.0.2', createdAt: '2030-01-01T00:00:00Z' },
    areVolumesReady: true,
    images: new Map(Object.entries(attempts).map(([name, attempt]) => [name, { attempt, imageId: testImageId }])),
  };
}

/** A container of the prepared sandbox, running since one minute unless changed. */
export function containerOf(change: Partial<PodContainer> = {}): PodContainer {
  return {
    id: `${change.name ?? 'app'}-${change.attempt ?? 0}`,
    sandboxId: 'box',
    podUid: 'uid-1',
    name: 'app',
    attempt: 0,
    imageId: testImageId,
    imageReference: 'app:1',
    state: 'running',
    createdAt: '2030-01-01T00:09:00Z',
    startedAt: '2030-01-01T00:09:00Z',
    labels: {},
    ...change,
  };
}

/** As `containerOf`, exited a second ago. */
export function exitedOf(exitCode: number, change: Partial<PodContainer> = {}): PodContainer {
  return containerOf({ state: 'exited', exitCode, finishedAt: '2030-01-01T00:09:59Z', ...change });
}
