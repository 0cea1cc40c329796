import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deploymentOf, replicaSetOf, type ReplicaSetFields, testNowMs } from '../testing/objects.ts';
import type { Deployment, DeploymentAction } from './observed.ts';
import { planDeployment } from './plan.ts';

function describe(action: DeploymentAction): string {
  switch (action.type) {
    case 'create':
      return `create ${action.replicaSet.spec.replicas ?? ''} of ${action.replicaSet.spec.template?.spec?.containers[0]?.image ?? ''} as revision ${action.replicaSet.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? ''}`;
    case 'update': {
      const revision = action.replicaSet.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? '';
      return `${action.replicaSet.metadata.name}: revision ${revision}${action.scaled === undefined ? '' : `, ${action.scaled.from}→${action.scaled.to}`}`;
    }
    case 'annotate':
      return `revision ${action.annotations['deployment.kubernetes.io/revision'] ?? ''}`;
    case 'adopt':
    case 'release':
    case 'delete':
      return `${action.type} ${action.replicaSet.metadata.name}`;
  }
}

function plan(deployment: Deployment, sets: ReplicaSetFields[], running: string[] = []): string[] {
  const claim = { owned: sets.map(replicaSetOf), adopt: [], release: [] };
  return planDeployment({ deployment, claim, runningReplicaSets: new Set(running), nowMs: testNowMs }).actions.map(describe);
}

const at = (revision: number): { annotations: Record<string, string> } => ({ annotations: { 'deployment.kubernetes.io/revision': String(revision) } });
const sized = { desired: 3, max: 4 };

test('planDeployment() creates, rolls and finishes', () => {
  const cases: [string, string[], string[]][] = [
    ['the first ReplicaSet', plan(deploymentOf(), []), ['create 3 of app:1 as revision 1', 'revision 1']],
    ['the second within the surge', plan(deploymentOf({ image: 'app:2' }, at(1)), [{ name: 'a', size: 3, ...sized }]), ['create 1 of app:2 as revision 2', 'revision 2']],
    ['the next step', plan(deploymentOf({ image: 'app:2' }, at(2)), [{ name: 'a', size: 3, ...sized }, { name: 'b', image: 'app:2', size: 1, revision: 2, ...sized }]), ['a: revision 1, 3→2']],
    ['the end', plan(deploymentOf({ image: 'app:2' }, at(2)), [{ name: 'a', size: 0 }, { name: 'b', image: 'app:2', size: 3, revision: 2, ...sized }]), []],
    ['an undo makes the old one the newest', plan(deploymentOf({}, at(2)), [{ name: 'a', size: 0 }, { name: 'b', image: 'app:2', size: 3, revision: 2, ...sized }]), ['a: revision 3', 'revision 3']],
    ['a paused one starts nothing new', plan(deploymentOf({ image: 'app:2', paused: true }, at(1)), [{ name: 'a', size: 3, ...sized }]), []],
    ['a paused one is scaled', plan(deploymentOf({ image: 'app:2', paused: true, replicas: 5 }, at(1)), [{ name: 'a', size: 3, ...sized }]), ['a: revision 1, 3→5']],
    ['scaling comes before rolling', plan(deploymentOf({ replicas: 6 }, at(1)), [{ name: 'a', size: 3, ...sized }]), ['a: revision 1, 3→6']],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('planDeployment() with Recreate makes new pods only after the old are gone', () => {
  const deployment = deploymentOf({ image: 'app:2', strategy: { type: 'Recreate' } }, at(1));
  const old = { name: 'a', size: 3, desired: 3, max: 3 };
  assert.deepEqual(plan(deployment, [old]), ['a: revision 1, 3→0']);
  assert.deepEqual(plan(deployment, [{ ...old, size: 0 }], ['uid-a']), []);
  assert.deepEqual(plan(deployment, [{ ...old, size: 0 }]), ['create 3 of app:2 as revision 2', 'revision 2']);
});

test('planDeployment() keeps revisionHistoryLimit old ReplicaSets, the newest of them', () => {
  const idle = (name: string, revision: number): ReplicaSetFields => ({ name, image: `app:${name}`, size: 0, revision });
  const current = { name: 'now', size: 3, revision: 9, ...sized };
  assert.deepEqual(plan(deploymentOf({ revisionHistoryLimit: 1 }, at(9)), [idle('a', 5), idle('b', 8), idle('c', 6), current]), ['delete a', 'delete c']);
  assert.deepEqual(plan(deploymentOf({ revisionHistoryLimit: 0 }, at(9)), [{ ...idle('a', 5), existing: 1 }, current]), []);
  assert.deepEqual(plan(deploymentOf({ revisionHistoryLimit: 0, replicas: 3 }, at(9)), [idle('a', 5), { ...current, available: 2 }]), []);
});

test('planDeployment() finds its ReplicaSet whatever order the template has and names it by its hash', () => {
  const actions = planDeployment({ deployment: deploymentOf(), claim: { owned: [], adopt: [], release: [] }, runningReplicaSets: new Set(), nowMs: testNowMs }).actions;
  const created = actions.find((action) => action.type === 'create')?.replicaSet;
  const hash = created?.metadata.labels?.['pod-template-hash'] ?? '';
  assert.match(hash, /^[a-z0-9]{10}$/);
  assert.deepEqual([created?.metadata.name, created?.spec.selector.matchLabels, created?.spec.template?.metadata?.labels], [`web-${hash}`, { app: 'web', 'pod-template-hash': hash }, { app: 'web', 'pod-template-hash': hash }]);
});
