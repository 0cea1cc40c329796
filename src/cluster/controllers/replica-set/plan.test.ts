import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planClaim } from '../ownership/claim.ts';
import { podOf, type PodFields, replicaSetOf, testNowMs } from '../testing/objects.ts';
import { planReplicaSet, type ReplicaSetAction } from './plan.ts';

const labels = { app: 'web', 'pod-template-hash': 'rs' };
const owner = { uid: 'uid-rs' };

function plan(size: number, pods: PodFields[], over: { pendingCreations?: number; pendingDeletions?: string[]; minReadySeconds?: number; isDeleting?: boolean } = {}): { actions: string[]; status: string; requeueAfterMs: number | undefined } {
  const base = replicaSetOf({ name: 'rs', size });
  const metadata = { ...base.metadata, ...(over.isDeleting === true ? { deletionTimestamp: 'now' } : {}) };
  const replicaSet = { ...base, metadata, spec: { ...base.spec, minReadySeconds: over.minReadySeconds } };
  const claim = planClaim(replicaSet, replicaSet.spec.selector, pods.map((pod) => podOf({ labels, owner, ...pod })));
  const { actions, status, requeueAfterMs } = planReplicaSet({ replicaSet, claim, pendingCreations: over.pendingCreations ?? 0, pendingDeletions: new Set(over.pendingDeletions), nowMs: testNowMs });
  return { actions: actions.map(describe), status: [status?.replicas, status?.fullyLabeledReplicas, status?.readyReplicas, status?.availableReplicas].join('/'), requeueAfterMs };
}

function describe(action: ReplicaSetAction): string {
  if (action.type === 'create') return `create ${action.count}`;
  if (action.type === 'delete') return `delete ${action.pods.map(({ metadata }) => metadata.name).join(',')}`;
  return `${action.type} ${action.pod.metadata.name}`;
}

const ready = { readySeconds: 100 };

test('planReplicaSet() creates what is missing and deletes what is too much', () => {
  const cases: [string, ReturnType<typeof plan>, string[], string][] = [
    ['nothing yet', plan(3, []), ['create 3'], '0/0/0/0'],
    ['enough', plan(1, [{ name: 'a', ...ready }]), [], '1/1/1/1'],
    ['finished pods do not count', plan(2, [{ name: 'a', ...ready }, { name: 'b', phase: 'Failed' }, { name: 'c', phase: 'Succeeded' }]), ['create 1'], '1/1/1/1'],
    ['deleting pods do not count', plan(2, [{ name: 'a', ...ready }, { name: 'b', ...ready, isDeleting: true }]), ['create 1'], '1/1/1/1'],
    ['created pods that the cache lacks count', plan(3, [{ name: 'a', ...ready }], { pendingCreations: 2 }), [], '1/1/1/1'],
    ['deletions that the cache lacks count', plan(1, [{ name: 'a', ...ready }, { name: 'b', ...ready }], { pendingDeletions: ['uid-b'] }), [], '1/1/1/1'],
    ['not ready goes first', plan(1, [{ name: 'a', ...ready }, { name: 'b' }]), ['delete b'], '2/2/1/1'],
    ['down to none', plan(0, [{ name: 'a', ...ready }]), ['delete a'], '1/1/1/1'],
    ['one burst at a time', plan(1200, []), ['create 500'], '0/0/0/0'],
    ['a ReplicaSet that goes does nothing', plan(3, [], { isDeleting: true }), [], '0/0/0/0'],
  ];
  for (const [what, { actions, status }, expected, counts] of cases) assert.deepEqual([actions, status], [expected, counts], what);
});

test('planReplicaSet() adopts orphans and counts them at once, and releases relabelled pods', () => {
  const { actions, status } = plan(2, [{ name: 'a', owner: undefined, ...ready }, { name: 'b', labels: { app: 'debug' } }]);
  assert.deepEqual([actions, status], [['adopt a', 'release b', 'create 1'], '1/1/1/1']);
});

test('planReplicaSet() looks again when a pod will have been ready for minReadySeconds', () => {
  const { status, requeueAfterMs } = plan(3, [{ name: 'a', readySeconds: 30 }, { name: 'b', readySeconds: 4 }, { name: 'c' }], { minReadySeconds: 10 });
  assert.deepEqual([status, requeueAfterMs], ['3/3/2/1', 6000]);
});
