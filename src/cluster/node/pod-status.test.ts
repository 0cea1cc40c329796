import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { withLostContainers } from './lost-containers.ts';
import { toPodStatus } from './pod-status.ts';
import { backoffLabel, type OperationFailure, type PodView } from './pod-view.ts';
import { containerOf, exitedOf, prepared, testImageId, testNowMs, viewOf } from './testing/pod-views.ts';

const init: k8s.Container = { name: 'init', image: 'init:1' };
const sidecar: k8s.Container = { name: 'side', image: 'side:1', restartPolicy: 'Always' };
const app: k8s.Container = { name: 'app', image: 'app:1' };
const failed = (change: Partial<OperationFailure>): OperationFailure => ({ reason: 'ErrImagePull', message: 'no route', failures: 1, retryAtMs: testNowMs + 1, ...change });
const phaseAndStates = (view: PodView): unknown => {
  const status = toPodStatus(view);
  const state = ({ state: one }: k8s.ContainerStatus): string => one?.waiting?.reason ?? one?.terminated?.reason ?? (one?.running === undefined ? 'none' : 'Running');
  return [status.phase, ...(status.initContainerStatuses ?? []).map(state), ...(status.containerStatuses ?? []).map(state)].join(' ');
};
const conditionsOf = (view: PodView): string =>
  (toPodStatus(view).conditions ?? []).map(({ type, status, reason }) => `${type}=${status}${reason === undefined ? '' : `/${reason}`}`).join(' ');

const phases: [what: string, view: PodView, expected: string][] = [
  ['nothing yet', viewOf(), 'Pending ContainerCreating'],
  ['nothing yet, with init', viewOf({ initContainers: [init] }), 'Pending PodInitializing PodInitializing'],
  ['running', viewOf({}, { ...prepared(), containers: [containerOf()] }), 'Running Running'],
  ['init runs', viewOf({ initContainers: [init] }, { ...prepared(), containers: [containerOf({ name: 'init' })] }), 'Pending Running PodInitializing'],
  ['init done', viewOf({ initContainers: [init] }, { ...prepared(), containers: [exitedOf(0, { name: 'init' })] }), 'Pending Completed PodInitializing'],
  ['sidecar runs', viewOf({ initContainers: [sidecar] }, { ...prepared(), containers: [containerOf({ name: 'side' })] }), 'Pending Running PodInitializing'],
  ['init failed for good', viewOf({ initContainers: [init], restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(2, { name: 'init' })] }), 'Failed Error PodInitializing'],
  ['one of two runs', viewOf({ containers: [app, { name: 'two', image: 'x' }] }, { ...prepared(), containers: [containerOf()] }), 'Pending Running ContainerCreating'],
  ['exited, about to restart', viewOf({}, { ...prepared(), containers: [exitedOf(1)] }), 'Running Error'],
  ['exited, waits for its back-off', viewOf({}, { ...prepared(), containers: [exitedOf(1, { labels: { [backoffLabel]: '20' } })] }), 'Running CrashLoopBackOff'],
  ['succeeded', viewOf({ restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(0)] }), 'Succeeded Completed'],
  ['failed', viewOf({ restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(1)] }), 'Failed Error'],
  ['succeeded with OnFailure', viewOf({ restartPolicy: 'OnFailure' }, { ...prepared(), containers: [exitedOf(0)] }), 'Succeeded Completed'],
  ['out of memory', viewOf({ restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(137, { isOomKilled: true })] }), 'Failed OOMKilled'],
  ['not started', viewOf({ restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(128, { startedAt: undefined, message: 'no such file' })] }), 'Failed StartError'],
  ['deleted and stopped', viewOf({}, { ...prepared(), metadata: { deletionTimestamp: '2030-01-01T00:10:00Z' }, containers: [exitedOf(0)] }), 'Succeeded Completed'],
  ['refused', viewOf({}, { ending: { reason: 'UnsupportedPodField', message: 'm' } }), 'Failed ContainerCreating'],
  ['over, says the API', viewOf({}, { status: { phase: 'Succeeded' } }), 'Succeeded ContainerCreating'],
  ['pull failed', viewOf({}, { failures: new Map([['image:app', failed({})]]) }), 'Pending ErrImagePull'],
  ['pull failed again', viewOf({}, { failures: new Map([['image:app', failed({ failures: 2 })]]) }), 'Pending ImagePullBackOff'],
  ['config missing', viewOf({}, { failures: new Map([['container:app', failed({ reason: 'CreateContainerConfigError' })]]) }), 'Pending CreateContainerConfigError'],
];

for (const [what, view, expected] of phases) {
  test(`toPodStatus() phase and states: ${what}`, () => assert.equal(phaseAndStates(view), expected));
}

const conditions: [what: string, view: PodView, expected: string][] = [
  ['nothing yet', viewOf(), 'PodReadyToStartContainers=False Initialized=True Ready=False/ContainersNotReady ContainersReady=False/ContainersNotReady PodScheduled=True'],
  ['init to do', viewOf({ initContainers: [init] }, prepared()), 'PodReadyToStartContainers=True Initialized=False/ContainersNotInitialized Ready=False/ContainersNotReady ContainersReady=False/ContainersNotReady PodScheduled=True'],
  ['running', viewOf({}, { ...prepared(), containers: [containerOf()] }), 'PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True'],
  ['not probed', viewOf({ containers: [{ ...app, readinessProbe: {} }] }, { ...prepared(), containers: [containerOf()] }), 'PodReadyToStartContainers=True Initialized=True Ready=False/ContainersNotReady ContainersReady=False/ContainersNotReady PodScheduled=True'],
  [
    'probed',
    viewOf({ containers: [{ ...app, readinessProbe: {} }] }, { ...prepared(), containers: [containerOf()], probes: new Map([['app-0', { isStarted: true, isReady: true }]]) }),
    'PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True',
  ],
  [
    'a closed gate',
    viewOf({ readinessGates: [{ conditionType: 'lb' }] }, { ...prepared(), containers: [containerOf()], status: { conditions: [{ type: 'lb', status: 'False' }] } }),
    'PodReadyToStartContainers=True Initialized=True Ready=False/ReadinessGatesNotReady ContainersReady=True PodScheduled=True lb=False',
  ],
  ['succeeded', viewOf({ restartPolicy: 'Never' }, { ...prepared(), containers: [exitedOf(0)] }), 'PodReadyToStartContainers=True Initialized=True/PodCompleted Ready=False/PodCompleted ContainersReady=False/PodCompleted PodScheduled=True'],
];

for (const [what, view, expected] of conditions) {
  test(`toPodStatus() conditions: ${what}`, () => assert.equal(conditionsOf(view), expected));
}

test('toPodStatus() keeps transition times while a condition stays', () => {
  const status: k8s.PodStatus = { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: 'then' }, { type: 'PodScheduled', status: 'False', lastTransitionTime: 'then' }] };
  const found = toPodStatus(viewOf({}, { ...prepared(), containers: [containerOf()], status })).conditions;
  const timeOf = (wanted: string): string | undefined => found?.find(({ type }) => type === wanted)?.lastTransitionTime;
  assert.deepEqual([timeOf('Ready'), timeOf('PodScheduled')], ['then', '2030-01-01T00:10:00Z']);
});

test('toPodStatus() tells state, last state and restarts of a container', () => {
  const view = viewOf({}, { ...prepared(), containers: [exitedOf(3), containerOf({ attempt: 1 })], terminationMessages: new Map([['app-0', 'bad luck']]) });
  assert.deepEqual(toPodStatus(view).containerStatuses, [
    {
      name: 'app',
      image: 'app:1',
      imageID: testImageId,
      containerID: 'gantry://app-1',
      restartCount: 1,
      ready: true,
      started: true,
      state: { running: { startedAt: '2030-01-01T00:09:00Z' } },
      lastState: { terminated: { exitCode: 3, reason: 'Error', message: 'bad luck', startedAt: '2030-01-01T00:09:00Z', finishedAt: '2030-01-01T00:09:59Z', containerID: 'gantry://app-0' } },
    },
  ]);
});

test('withLostContainers() goes on counting after a reboot', () => {
  const status: k8s.PodStatus = { containerStatuses: [{ name: 'app', image: 'app:1', imageID: testImageId, ready: true, restartCount: 4, containerID: 'gantry://old', state: { running: { startedAt: '2030-01-01T00:00:00Z' } } }] };
  const view = viewOf({ restartPolicy: 'Never' }, { status });
  const lost = withLostContainers(view.pod, []);
  assert.deepEqual(lost.map(({ id, attempt, exitCode, sandboxId, state }) => [id, attempt, exitCode, sandboxId, state]), [['old', 4, 137, '', 'exited']]);
  assert.equal(phaseAndStates({ ...view, containers: lost }), 'Failed ContainerStatusUnknown');
  assert.deepEqual(withLostContainers(view.pod, [containerOf()]), [containerOf()]);
});
