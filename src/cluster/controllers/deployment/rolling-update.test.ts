import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { deploymentOf, replicaSetOf, type ReplicaSetFields } from '../testing/objects.ts';
import { fencepostsOf } from './fenceposts.ts';
import { totalAvailable, totalSize } from './observed.ts';
import { planRollingUpdate } from './rolling-update.ts';

function plan(replicas: number, maxSurge: number | string, maxUnavailable: number | string, current: Omit<ReplicaSetFields, 'name'>, ...old: Omit<ReplicaSetFields, 'name'>[]): string[] {
  const deployment = deploymentOf({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } });
  const sets = old.map((fields, index) => replicaSetOf({ ageSeconds: 1000 - index, ...fields, name: `old${index}` }));
  return planRollingUpdate(deployment, replicaSetOf({ name: 'new', ...current }), sets).map(({ replicaSet, size }) => `${replicaSet.metadata.name}→${size}`);
}

test('fencepostsOf() rounds surge up and unavailable down and never gives both as 0', () => {
  const cases: [number, number | string | undefined, number | string | undefined, [number, number]][] = [
    [10, undefined, undefined, [3, 2]],
    [10, '25%', '25%', [3, 2]],
    [3, '25%', '25%', [1, 0]],
    [1, 0, '25%', [0, 1]],
    [4, 0, 0, [0, 1]],
    [4, 2, 1, [2, 1]],
    [2, 1, 5, [1, 2]],
    [0, '25%', '25%', [0, 0 + 1]],
  ];
  for (const [replicas, maxSurge, maxUnavailable, expected] of cases) {
    const posts = fencepostsOf({ replicas, selector: {}, template: {}, strategy: { rollingUpdate: { maxSurge, maxUnavailable } } });
    assert.deepEqual([posts.maxSurge, posts.maxUnavailable], expected, JSON.stringify([replicas, maxSurge, maxUnavailable]));
  }
});

test('planRollingUpdate() takes the steps that surge and availability allow', () => {
  const cases: [string, string[], string[]][] = [
    ['grows by the surge first', plan(10, 3, 2, { size: 0 }, { size: 10 }), ['new→3']],
    ['then shrinks what may be unavailable', plan(10, 3, 2, { size: 3, available: 0 }, { size: 10 }), ['old0→8']],
    ['waits while nothing becomes available', plan(10, 3, 2, { size: 5, available: 0 }, { size: 8 }), []],
    ['goes on when the new ones are', plan(10, 3, 2, { size: 5, available: 5 }, { size: 8 }), ['old0→3']],
    ['without unavailability one by one', plan(3, 1, 0, { size: 1, available: 0 }, { size: 3 }), []],
    ['the old goes only after the new is available', plan(3, 1, 0, { size: 1, available: 1 }, { size: 3 }), ['old0→2']],
    ['counts that are a moment old never take too many', plan(3, 1, 0, { size: 1, available: 1 }, { size: 2, available: 3, existing: 3 }), ['new→2']],
    ['unhealthy old ones go first', plan(5, 1, 1, { size: 1, available: 1 }, { size: 2, available: 0 }, { size: 3 }), ['old0→0']],
    ['a broken rollout in the middle is replaced at once', plan(3, 1, 0, { size: 0 }, { size: 3 }, { size: 1, available: 0 }), ['old1→0']],
    ['too many new ones shrink', plan(2, 1, 0, { size: 4 }), ['new→2']],
    ['done', plan(2, 1, 0, { size: 2 }, { size: 0 }), []],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('planRollingUpdate() reaches its end and keeps both limits, whatever becomes available when', () => {
  const fields = { replicas: fc.integer({ min: 1, max: 12 }), surge: fc.integer({ min: 0, max: 4 }), unavailable: fc.integer({ min: 0, max: 4 }), arrivals: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 10 }) };
  fc.assert(
    fc.property(fc.record(fields), ({ replicas, surge, unavailable, arrivals }) => {
      const deployment = deploymentOf({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: surge, maxUnavailable: unavailable } } });
      const posts = fencepostsOf(deployment.spec);
      let [current, old] = [replicaSetOf({ name: 'new', size: 0 }), replicaSetOf({ name: 'old', size: replicas })];
      for (let step = 0; step < 200; step += 1) {
        for (const { replicaSet, size } of planRollingUpdate(deployment, current, [old])) {
          // Available pods that are taken away are unavailable at once; new ones become available later.
          const next = replicaSetOf({ name: replicaSet.metadata.name, size, available: Math.min(size, replicaSet.status?.availableReplicas ?? 0) });
          if (replicaSet === current) current = next;
          else old = next;
        }
        assert.ok(totalSize([current, old]) <= replicas + posts.maxSurge, 'surge');
        assert.ok(totalAvailable([current, old]) >= replicas - posts.maxUnavailable, 'availability');
        const arriving = arrivals[step % arrivals.length] ?? 0;
        const size = current.spec.replicas ?? 0;
        current = replicaSetOf({ name: 'new', size, available: Math.min(size, (current.status?.availableReplicas ?? 0) + (step > 100 ? 1 : arriving)) });
      }
      assert.deepEqual([current.spec.replicas, old.spec.replicas], [replicas, 0]);
    }),
    { numRuns: 200 },
  );
});
