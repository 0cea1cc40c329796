import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { assessHealth, type Health } from './assess.ts';
import { describePods } from './describe-failure.ts';

function deployment(status: k8s.DeploymentStatus, spec: Partial<k8s.DeploymentSpec> = {}): k8s.Deployment {
  return { metadata: { name: 'shop', generation: 3 }, spec: { replicas: 2, selector: {}, template: {}, ...spec }, status: { observedGeneration: 3, ...status } };
}

function waiting(reason: string, restartCount: number): k8s.Pod {
  return { metadata: { name: 'shop-1' }, status: { containerStatuses: [{ name: 'web', image: '', imageID: '', ready: false, restartCount, state: { waiting: { reason } } }] } };
}

const done = { updatedReplicas: 2, replicas: 2, availableReplicas: 2 };
const overdue = { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' };

const cases: readonly { name: string; deployment: k8s.Deployment; pods?: k8s.Pod[]; elapsedMs?: number; health: Pick<Health, 'state'> & { reason?: string; message?: string } }[] = [
  { name: 'all new and available', deployment: deployment(done), health: { state: 'healthy' } },
  { name: 'not yet seen by the controller', deployment: deployment({ ...done, observedGeneration: 2 }), health: { state: 'progressing', message: 'Deployment shop: waiting for the controller' } },
  { name: 'an old failure that the controller has not looked at again', deployment: deployment({ observedGeneration: 2, conditions: [overdue] }), health: { state: 'progressing', message: 'Deployment shop: waiting for the controller' } },
  { name: 'new pods still to start', deployment: deployment({ ...done, updatedReplicas: 1 }), health: { state: 'progressing', message: 'Deployment shop: 1 of 2 new pods started' } },
  { name: 'old pods still there', deployment: deployment({ ...done, replicas: 3 }), health: { state: 'progressing', message: 'Deployment shop: 1 old pods still to end' } },
  { name: 'new pods not available', deployment: deployment({ ...done, availableReplicas: 1 }), health: { state: 'progressing', message: 'Deployment shop: 1 of 2 new pods available' } },
  { name: 'the deadline exceeded', deployment: deployment({ ...done, availableReplicas: 1, conditions: [overdue] }, { progressDeadlineSeconds: 20 }), health: { state: 'failed', reason: 'ProgressDeadlineExceeded', message: 'Deployment shop made no progress for 20 s (ProgressDeadlineExceeded)' } },
  { name: 'available again after the deadline', deployment: deployment({ ...done, conditions: [overdue] }), health: { state: 'healthy' } },
  { name: 'a few crashes', deployment: deployment({}), pods: [waiting('CrashLoopBackOff', 2)], health: { state: 'progressing', message: 'Deployment shop: 0 of 2 new pods started' } },
  { name: 'a crash loop', deployment: deployment({}), pods: [waiting('CrashLoopBackOff', 4)], health: { state: 'failed', reason: 'CrashLoop', message: 'container web of Deployment shop keeps crashing (4 restarts)' } },
  { name: 'a container that never starts', deployment: deployment({}), pods: [waiting('CreateContainerConfigError', 0)], health: { state: 'failed', reason: 'CannotStart', message: 'container web of Deployment shop cannot start (CreateContainerConfigError)' } },
  { name: 'nobody watching the deadline', deployment: deployment({}, { progressDeadlineSeconds: 10 }), elapsedMs: 41_000, health: { state: 'failed', reason: 'DeadlineExceeded', message: 'Deployment shop was not available after 41 s' } },
  { name: 'scaled to nothing', deployment: deployment({}, { replicas: 0 }), health: { state: 'healthy' } },
];

for (const { name, deployment: view, pods, elapsedMs, health } of cases) {
  test(`assessHealth() of ${name} is ${health.state}`, () => {
    const found = assessHealth([{ deployment: view, newPods: pods ?? [] }], elapsedMs ?? 1000);
    assert.deepEqual(found, health.state === 'failed' ? { ...health, deployment: 'shop' } : health);
  });
}

test('assessHealth() fails with any, and is healthy without Deployments', () => {
  const views = [deployment({ ...done, availableReplicas: 0 }), deployment({ conditions: [overdue] }), deployment(done)].map((view) => ({ deployment: view, newPods: [] }));
  assert.equal(assessHealth(views, 0).state, 'failed');
  assert.equal(assessHealth(views.slice(0, 1), 0).state, 'progressing');
  assert.deepEqual(assessHealth([], 0), { state: 'healthy' });
});

function event(name: string, message: string, lastTimestamp: string, type = 'Warning'): k8s.Event {
  return { metadata: {}, involvedObject: { kind: 'Pod', name }, type, message, lastTimestamp };
}

test('describePods() says why a pod is not ready', () => {
  const running = (name: string, isReady: boolean): k8s.Pod => ({ metadata: { name }, status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }], containerStatuses: [{ name: 'web', image: '', imageID: '', ready: isReady, restartCount: 0, state: { running: {} } }] } });
  const events = [
    event('shop-1', 'Readiness probe failed: HTTP probe failed with statuscode: 404', '2030-01-01T00:00:01Z'),
    event('shop-1', 'Readiness probe failed: HTTP probe failed with statuscode: 500', '2030-01-01T00:00:02Z'),
    event('shop-1', 'Started container web', '2030-01-01T00:00:03Z', 'Normal'),
    event('other', 'nothing to do with it', '2030-01-01T00:00:09Z'),
  ];
  assert.equal(describePods([running('shop-0', true), running('shop-1', false)], events), 'pod shop-1: Readiness probe failed: HTTP probe failed with statuscode: 500');
  assert.equal(describePods([running('shop-0', true)], events), undefined);
  assert.equal(describePods([running('shop-2', false)], []), undefined);
  const ended: k8s.Pod = { metadata: { name: 'p' }, status: { containerStatuses: [{ name: 'web', image: '', imageID: '', ready: false, restartCount: 2, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }] } };
  assert.equal(describePods([ended], []), 'pod p: container web ended with exit code 137 (OOMKilled)');
  const pull: k8s.Pod = { metadata: { name: 'p' }, status: { containerStatuses: [{ name: 'web', image: '', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason: 'ErrImagePull', message: 'first\nno such image' } } }] } };
  assert.equal(describePods([pull], []), 'pod p: container web: ErrImagePull: no such image');
  const pending: k8s.Pod = { metadata: { name: 'p' }, status: { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available: insufficient memory' }] } };
  assert.equal(describePods([pending], []), 'pod p: 0/1 nodes are available: insufficient memory');
});
