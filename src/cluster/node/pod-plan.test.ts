import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { type PodPlan, planPod } from './pod-plan.ts';
import { backoffLabel, type PodView } from './pod-view.ts';
import { containerOf, exitedOf, prepared, testImageId, testNowMs, viewOf } from './testing/pod-views.ts';

interface Case { what: string; view: PodView; plan: PodPlan }

const init: k8s.Container = { name: 'init', image: 'init:1' };
const sidecar: k8s.Container = { name: 'side', image: 'side:1', restartPolicy: 'Always' };
const withInit = { initContainers: [init], containers: [{ name: 'app', image: 'app:1' }] };
const withSidecar = { initContainers: [sidecar], containers: [{ name: 'app', image: 'app:1' }] };
const start = (container: string, attempt = 0, backoffSeconds = 0) => ({ type: 'start-container' as const, container, attempt, backoffSeconds, imageId: testImageId });
const ensure = (container: string, attempt = 0) => ({ type: 'ensure-image' as const, container, attempt });
const deleted = { deletionTimestamp: '2030-01-01T00:10:30Z', deletionGracePeriodSeconds: 30 };
const ending = { endingSinceMs: testNowMs };
const deadlineMs = testNowMs + 30_000;
const stop = (container: string, reason = 'The pod is being deleted') => ({ type: 'stop-container' as const, container, id: `${container}-0`, deadlineMs, reason });

const cases: Case[] = [
  { what: 'prepares everything at once', view: viewOf(), plan: { actions: [{ type: 'prepare-volumes' }, { type: 'create-sandbox' }, ensure('app')] } },
  { what: 'leaves out what is under way', view: viewOf({}, { running: new Set(['create-sandbox', 'image:app']) }), plan: { actions: [{ type: 'prepare-volumes' }] } },
  { what: 'starts a container that has everything', view: viewOf({}, prepared()), plan: { actions: [start('app')] } },
  { what: 'does nothing for a container that runs', view: viewOf({}, { ...prepared(), containers: [containerOf()] }), plan: { actions: [] } },
  { what: 'removes what an interrupted start left', view: viewOf({}, { ...prepared(), containers: [containerOf({ state: 'created' })] }), plan: { actions: [{ type: 'remove-container', container: 'app', id: 'app-0' }] } },
  { what: 'waits for a start under way', view: viewOf({}, { ...prepared(), containers: [containerOf({ state: 'created' })], running: new Set(['container:app']) }), plan: { actions: [] } },
  { what: 'starts init containers alone and fetches images meanwhile', view: viewOf(withInit, prepared({ init: 0 })), plan: { actions: [start('init'), ensure('app')] } },
  { what: 'waits for a running init container', view: viewOf(withInit, { ...prepared({ init: 0, app: 0 }), containers: [containerOf({ name: 'init' })] }), plan: { actions: [] } },
  { what: 'starts applications after init', view: viewOf(withInit, { ...prepared({ init: 0, app: 0 }), containers: [exitedOf(0, { name: 'init' })] }), plan: { actions: [start('app')] } },
  { what: 'tries a failed init container again', view: viewOf(withInit, { ...prepared({ init: 1, app: 0 }), containers: [exitedOf(1, { name: 'init' })] }), plan: { actions: [start('init', 1, 10)] } },
  { what: 'ends with a failed init container that must not run again', view: viewOf({ ...withInit, restartPolicy: 'Never' }, { ...prepared({ init: 1, app: 0 }), ...ending, containers: [exitedOf(1, { name: 'init' })] }), plan: { actions: [] } },
  { what: 'keeps init done once an application was started', view: viewOf(withInit, { ...prepared({ app: 0 }), containers: [containerOf()] }), plan: { actions: [] } },
  { what: 'starts applications when a sidecar runs', view: viewOf(withSidecar, { ...prepared({ side: 0, app: 0 }), containers: [containerOf({ name: 'side' })] }), plan: { actions: [start('app')] } },
  {
    what: 'waits for the startup probe of a sidecar',
    view: viewOf({ ...withSidecar, initContainers: [{ ...sidecar, startupProbe: {} }] }, { ...prepared({ side: 0, app: 0 }), containers: [containerOf({ name: 'side' })] }),
    plan: { actions: [] },
  },
  { what: 'restarts a sidecar while the pod lives', view: viewOf(withSidecar, { ...prepared({ side: 1, app: 0 }), containers: [exitedOf(0, { name: 'side' }), containerOf()] }), plan: { actions: [start('side', 1, 10)] } },
  { what: 'restarts at once after the first exit', view: viewOf({}, { ...prepared({ app: 1 }), containers: [exitedOf(1)] }), plan: { actions: [start('app', 1, 10)] } },
  {
    what: 'waits for the noted back-off',
    view: viewOf({}, { ...prepared({ app: 2 }), containers: [exitedOf(1, { attempt: 1, labels: { [backoffLabel]: '10' } })] }),
    plan: { actions: [], requeueAtMs: testNowMs + 9_000 },
  },
  {
    what: 'doubles the back-off up to five minutes',
    view: viewOf({}, { ...prepared({ app: 9 }), containers: [exitedOf(1, { attempt: 8, labels: { [backoffLabel]: '160' }, startedAt: '2030-01-01T00:05:00Z', finishedAt: '2030-01-01T00:06:00Z' })] }),
    plan: { actions: [start('app', 9, 300)] },
  },
  {
    what: 'forgets the back-off after ten minutes of life',
    view: viewOf({}, { ...prepared({ app: 9 }), containers: [exitedOf(1, { attempt: 8, labels: { [backoffLabel]: '300' }, startedAt: '2029-12-31T23:59:00Z' })] }),
    plan: { actions: [start('app', 9, 10)] },
  },
  { what: 'leaves a success alone with OnFailure', view: viewOf({ restartPolicy: 'OnFailure' }, { ...prepared({ app: 1 }), ...ending, containers: [exitedOf(0)] }), plan: { actions: [] } },
  { what: 'repeats a failure with OnFailure', view: viewOf({ restartPolicy: 'OnFailure' }, { ...prepared({ app: 1 }), containers: [exitedOf(1)] }), plan: { actions: [start('app', 1, 10)] } },
  { what: 'leaves a failure alone with Never', view: viewOf({ restartPolicy: 'Never' }, { ...prepared({ app: 1 }), ...ending, containers: [exitedOf(1)] }), plan: { actions: [] } },
  { what: 'never starts what the API says is over', view: viewOf({}, { status: { phase: 'Failed' }, ...ending }), plan: { actions: [] } },
  {
    what: 'stops sidecars of a finished pod',
    view: viewOf({ ...withSidecar, restartPolicy: 'Never' }, { ...prepared(), ...ending, containers: [containerOf({ name: 'side' }), exitedOf(0)] }),
    plan: { actions: [stop('side', 'The pod has finished')] },
  },
  {
    what: 'replaces a container whose liveness probe fails',
    view: viewOf({}, { ...prepared(), containers: [containerOf()], probes: new Map([['app-0', { isStarted: true, isReady: true, mustRestart: { probe: 'liveness', message: 'x', sinceMs: testNowMs } }]]) }),
    plan: { actions: [stop('app', 'Container app failed liveness probe, will be restarted')] },
  },
  {
    what: 'keeps the last two attempts',
    view: viewOf({}, { ...prepared(), containers: [exitedOf(1), exitedOf(1, { attempt: 1 }), containerOf({ attempt: 2 })] }),
    plan: { actions: [{ type: 'remove-container', container: 'app', id: 'app-0' }] },
  },
  {
    what: 'waits for an operation that failed',
    view: viewOf({}, { ...prepared({}), failures: new Map([['image:app', { reason: 'ErrImagePull', message: 'm', failures: 1, retryAtMs: testNowMs + 10_000 }]]) }),
    plan: { actions: [], requeueAtMs: testNowMs + 10_000 },
  },
  { what: 'begins anew in a new sandbox after a reboot', view: viewOf({}, { ...prepared({ app: 3 }), containers: [exitedOf(137, { attempt: 2, sandboxId: '' })] }), plan: { actions: [start('app', 3, 10)] } },
  { what: 'runs init containers again in a new sandbox', view: viewOf(withInit, { ...prepared({ init: 1, app: 0 }), containers: [exitedOf(0, { name: 'init', sandboxId: '' })] }), plan: { actions: [start('init', 1, 10)] } },
  { what: 'makes no sandbox for what must not run again', view: viewOf({ restartPolicy: 'Never' }, { ...ending, containers: [exitedOf(137, { sandboxId: '' })] }), plan: { actions: [] } },
  { what: 'drains before it stops', view: viewOf({}, { ...prepared(), ...ending, metadata: deleted, containers: [containerOf()] }), plan: { actions: [{ type: 'drain' }], requeueAtMs: deadlineMs } },
  { what: 'stops a drained pod', view: viewOf({}, { ...prepared(), ...ending, metadata: deleted, isDrained: true, containers: [containerOf()] }), plan: { actions: [stop('app')] } },
  {
    what: 'overtakes a stop with a shorter one',
    view: viewOf({}, { ...prepared(), ...ending, metadata: { deletionTimestamp: '2030-01-01T00:10:01Z', deletionGracePeriodSeconds: 1 }, isDrained: true, containers: [containerOf()], running: new Set([`stop:app-0:${deadlineMs}`]) }),
    plan: { actions: [{ ...stop('app'), deadlineMs: testNowMs + 1_000 }] },
  },
  {
    what: 'stops sidecars after the applications, the last one first',
    view: viewOf({ initContainers: [sidecar, { ...sidecar, name: 'late' }] }, { ...prepared(), ...ending, metadata: deleted, isDrained: true, containers: [containerOf({ name: 'side' }), containerOf({ name: 'late' }), exitedOf(0)] }),
    plan: { actions: [stop('late')] },
  },
  { what: 'removes the sandbox when nothing runs', view: viewOf({}, { ...prepared(), ...ending, metadata: deleted, containers: [exitedOf(0)] }), plan: { actions: [{ type: 'remove-sandbox' }] } },
  { what: 'waits for a start before the sandbox goes', view: viewOf({}, { ...prepared(), ...ending, metadata: deleted, running: new Set(['container:app']) }), plan: { actions: [] } },
  { what: 'deletes the pod at last', view: viewOf({}, { ...ending, metadata: deleted }), plan: { actions: [{ type: 'release-volumes' }, { type: 'delete-pod' }] } },
  { what: 'asks for the deletion once', view: viewOf({}, { ...ending, areVolumesReleased: true, isDeleteRequested: true, metadata: deleted }), plan: { actions: [] } },
  { what: 'is done with a pod that is gone', view: viewOf({}, { ...ending, isGone: true, areVolumesReleased: true }), plan: { actions: [] } },
  { what: 'cleans up after a pod that is gone', view: viewOf({}, { ...ending, isGone: true }), plan: { actions: [{ type: 'release-volumes' }] } },
  { what: 'stops a refused pod and keeps its sandbox', view: viewOf({}, { ...prepared(), ...ending, ending: { reason: 'X', message: 'no' }, containers: [containerOf()] }), plan: { actions: [stop('app', 'no')] } },
  { what: 'looks again when its time is over', view: viewOf({ activeDeadlineSeconds: 60 }, { ...prepared(), status: { startTime: '2030-01-01T00:09:30Z' }, containers: [containerOf()] }), plan: { actions: [], requeueAtMs: testNowMs + 30_000 } },
  { what: 'starts an ephemeral container once', view: viewOf({ ephemeralContainers: [{ name: 'debug', image: 'd' }] }, { ...prepared({ debug: 0 }), containers: [containerOf()] }), plan: { actions: [start('debug')] } },
  { what: 'never starts an ephemeral container again', view: viewOf({ ephemeralContainers: [{ name: 'debug', image: 'd' }] }, { ...prepared({ debug: 1 }), containers: [containerOf(), exitedOf(1, { name: 'debug' })] }), plan: { actions: [] } },
];

for (const { what, view, plan } of cases) {
  test(`planPod() ${what}`, () => assert.deepEqual(planPod(view), plan));
}
