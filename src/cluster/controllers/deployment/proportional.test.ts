import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deploymentOf, replicaSetOf, type ReplicaSetFields } from '../testing/objects.ts';
import { isScalingEvent, planScaling } from './proportional.ts';

function plan(replicas: number, current: Omit<ReplicaSetFields, 'name'> | undefined, ...old: Omit<ReplicaSetFields, 'name'>[]): string[] {
  const deployment = deploymentOf({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } });
  const sets = old.map((fields, index) => replicaSetOf({ ...fields, name: `old${index}`, ageSeconds: 1000 - index }));
  return planScaling(deployment, current === undefined ? undefined : replicaSetOf({ ageSeconds: 1, ...current, name: 'new' }), sets).map(({ replicaSet, size }) => `${replicaSet.metadata.name}→${size}`);
}

test('planScaling() gives every ReplicaSet of a rollout its share', () => {
  const cases: [string, string[], string[]][] = [
    ['a single one takes all', plan(7, { size: 5 }), ['new→7']],
    ['an idle new one beside the active old one', plan(7, { size: 0 }, { size: 5 }), ['old0→7']],
    ['no new one yet', plan(7, undefined, { size: 5 }, { size: 0 }), ['old0→7']],
    ['all idle: the new one', plan(2, { size: 0 }, { size: 0 }), ['new→2']],
    ['a saturated new one leaves nothing to the old', plan(5, { size: 5, desired: 5, available: 5 }, { size: 2 }), ['old0→0']],
    // From 10 (+3) to 15 (+3): 8 + 5 → 18 in proportion.
    ['growing', plan(15, { size: 5, max: 13 }, { size: 8, max: 13 }), ['old0→11', 'new→7']],
    ['shrinking', plan(5, { size: 5, max: 13 }, { size: 8, max: 13 }), ['old0→5', 'new→3']],
    ['to nothing', plan(0, { size: 5, max: 13 }, { size: 8, max: 13 }), ['old0→0', 'new→0']],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('isScalingEvent() notices another number than the ReplicaSets were sized for', () => {
  const deployment = deploymentOf({ replicas: 5 });
  assert.equal(isScalingEvent(deployment, [replicaSetOf({ name: 'a', size: 3, desired: 3 })]), true);
  assert.equal(isScalingEvent(deployment, [replicaSetOf({ name: 'a', size: 3, desired: 5 })]), false);
  assert.equal(isScalingEvent(deployment, [replicaSetOf({ name: 'a', size: 0, desired: 3 })]), false);
  assert.equal(isScalingEvent(deployment, [replicaSetOf({ name: 'a', size: 3 })]), false);
});
