import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../../api/mod.ts';
import { planClaim } from '../ownership/claim.ts';
import { planRevision, revisionLabel, type Revision } from '../revisions/revisions.ts';
import { ago, podOf, testNowMs } from '../testing/objects.ts';
import { resources } from '../../../api/mod.ts';
import type { StatefulSet, StatefulSetAction, VolumeClaim } from './observed.ts';
import { planStatefulSet } from './plan.ts';

const labels = { app: 'db' };

function setOf(spec: Partial<k8s.StatefulSetSpec> = {}, status?: k8s.StatefulSetStatus, image = 'db:1'): StatefulSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default', uid: 'uid-db', resourceVersion: '1', generation: 1, creationTimestamp: ago(500) },
    spec: { replicas: 3, selector: { matchLabels: labels }, serviceName: 'db', template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } }, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } }, ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

function revisionOf(set: StatefulSet, number: number): Revision {
  const { create } = planRevision(resources.statefulSets, set, []);
  assert.ok(create !== undefined);
  return { ...create, revision: number, metadata: { ...create.metadata, uid: `uid-${create.metadata.name}`, resourceVersion: '1', creationTimestamp: ago(400) } };
}

const first = revisionOf(setOf(), 1);
const second = revisionOf(setOf({}, undefined, 'db:2'), 2);

interface PodShape { ordinal: number; revision?: Revision; readySeconds?: number; phase?: string; isDeleting?: boolean }

function plan(set: StatefulSet, pods: PodShape[], over: { revisions?: Revision[]; claims?: VolumeClaim[] } = {}) {
  const candidates = pods.map(({ ordinal, revision = first, ...rest }) => podOf({ name: `db-${ordinal}`, owner: { uid: 'uid-db', kind: 'StatefulSet', name: 'db' }, labels: { ...labels, [revisionLabel]: revision.metadata.name }, ...rest }));
  const claim = planClaim(set, set.spec.selector, candidates);
  const volumeClaims = new Map((over.claims ?? []).map((one) => [one.metadata.name, one]));
  const { actions, status, requeueAfterMs } = planStatefulSet({ set, claim, revisions: over.revisions ?? [first], volumeClaims, pendingCreations: 0, pendingDeletions: new Set(), nowMs: testNowMs });
  return { actions: actions.map(describe), status, requeueAfterMs };
}

function describe(action: StatefulSetAction): string {
  switch (action.type) {
    case 'create':
      return `create ${action.pods.map(({ metadata, spec }) => `${metadata?.name ?? ''} ${spec?.containers[0]?.image ?? ''}`).join(', ')}`;
    case 'delete':
      return `delete ${action.pods.map(({ metadata }) => metadata.name).join(', ')}`;
    case 'create-claim':
      return `claim ${action.claim.metadata?.name ?? ''}`;
    case 'own-claim':
      return `own ${action.claim.metadata.name} ${action.owners.map(({ kind, name }) => `${kind}/${name}`).join()}`;
    case 'tell':
      return action.reason;
    case 'create-revision':
      return 'revision';
    case 'renumber-revision':
      return `renumber ${action.to}`;
    case 'delete-revision':
      return `forget ${action.revision.revision}`;
    default:
      return `${action.type} ${action.pod.metadata.name}`;
  }
}

const ready = { readySeconds: 100 };
const all = (revision: Revision, ...ordinals: number[]): PodShape[] => ordinals.map((ordinal) => ({ ordinal, revision, ...ready }));
const updating = (spec: Partial<k8s.StatefulSetSpec> = {}): StatefulSet => setOf(spec, { replicas: 3, currentRevision: first.metadata.name }, 'db:2');

test('planStatefulSet() makes and takes pods in order', () => {
  const cases: [string, StatefulSet, PodShape[], string[]][] = [
    ['the first', setOf(), [], ['create db-0 db:1']],
    ['waits for it', setOf(), [{ ordinal: 0 }], []],
    ['then the next', setOf(), all(first, 0), ['create db-1 db:1']],
    ['a gap first', setOf(), all(first, 0, 2), ['create db-1 db:1']],
    ['waits for one that goes', setOf(), [{ ordinal: 0, ...ready, isDeleting: true }], []],
    ['one that ended is made anew', setOf(), [{ ordinal: 0, phase: 'Failed' }], ['RecreatingFailedPod', 'delete db-0']],
    ['the highest goes first', setOf({ replicas: 1 }), all(first, 0, 1, 2), ['delete db-2']],
    ['and the next when it is gone', setOf({ replicas: 1 }), [...all(first, 0, 1), { ordinal: 2, ...ready, isDeleting: true }], []],
    ['nothing goes while one below is not well', setOf({ replicas: 2 }), [{ ordinal: 0 }, ...all(first, 1, 2)], []],
    ['Parallel: all at once', setOf({ podManagementPolicy: 'Parallel' }), [{ ordinal: 1 }], ['create db-0 db:1, db-2 db:1']],
    ['Parallel: all at once, down', setOf({ podManagementPolicy: 'Parallel', replicas: 1 }), [{ ordinal: 0 }, ...all(first, 1, 2)], ['delete db-2, db-1']],
    ['ordinals that begin elsewhere', setOf({ replicas: 2, ordinals: { start: 5 } }), all(first, 5), ['create db-6 db:1']],
  ];
  for (const [what, set, pods, expected] of cases) assert.deepEqual(plan(set, pods).actions, expected, what);
});

test('planStatefulSet() updates from the highest down, to the partition', () => {
  const revisions = { revisions: [first, second] };
  const cases: [string, StatefulSet, PodShape[], string[]][] = [
    ['the highest', updating(), all(first, 0, 1, 2), ['delete db-2']],
    ['made anew by the new template', updating(), all(first, 0, 1), ['create db-2 db:2']],
    ['waits for it', updating(), [...all(first, 0, 1), { ordinal: 2, revision: second }], []],
    ['the next', updating(), [...all(first, 0, 1), ...all(second, 2)], ['delete db-1']],
    ['not below the partition', updating({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } }), [...all(first, 0, 1), ...all(second, 2)], []],
    ['below the partition as it was', updating({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } }), [...all(first, 0), ...all(second, 2)], ['create db-1 db:1']],
    ['OnDelete: nothing', updating({ updateStrategy: { type: 'OnDelete' } }), all(first, 0, 1, 2), []],
    ['OnDelete: but new ones are new', updating({ updateStrategy: { type: 'OnDelete' } }), all(first, 0, 1), ['create db-2 db:2']],
    ['maxUnavailable: two at a time', updating({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0, maxUnavailable: 2 } } }), all(first, 0, 1, 2), ['delete db-2, db-1']],
    ['Parallel: one that is broken anyway costs nothing', updating({ podManagementPolicy: 'Parallel' }), [{ ordinal: 0 }, ...all(first, 1, 2)], ['delete db-0']],
  ];
  for (const [what, set, pods, expected] of cases) assert.deepEqual(plan(set, pods, revisions).actions, expected, what);
  const back = plan(setOf({}, { replicas: 3, currentRevision: first.metadata.name, updateRevision: second.metadata.name }), [...all(first, 0, 1), ...all(second, 2)], revisions);
  assert.deepEqual(back.actions, ['renumber 3', 'delete db-2'], 'an undo is an update to an older revision');
});

test('planStatefulSet() counts what is current and what is updated', () => {
  const counts = ({ status }: ReturnType<typeof plan>): unknown[] => [status?.replicas, status?.readyReplicas, status?.availableReplicas, status?.currentReplicas, status?.updatedReplicas, status?.currentRevision === status?.updateRevision];
  const revisions = { revisions: [first, second] };
  assert.deepEqual(counts(plan(updating(), [...all(first, 0, 1), ...all(second, 2)], revisions)), [3, 3, 3, 2, 1, false]);
  assert.deepEqual(counts(plan(updating(), all(second, 0, 1, 2), revisions)), [3, 3, 3, 3, 3, true]);
  const young = plan(setOf({ minReadySeconds: 10 }), [{ ordinal: 0, readySeconds: 4 }]);
  assert.deepEqual([counts(young), young.actions, young.requeueAfterMs], [[1, 1, 0, 1, 1, true], [], 6_000]);
});

test('planStatefulSet() forgets revisions beyond the limit that no pod has', () => {
  const old = [1, 2, 3].map((number) => revisionOf(setOf({}, undefined, `old:${number}`), number));
  const current = { ...first, revision: 9 };
  assert.deepEqual(plan(setOf({ replicas: 0, revisionHistoryLimit: 1 }), [], { revisions: [...old, current] }).actions, ['forget 1', 'forget 2']);
});

test('planStatefulSet() makes claims before pods, and says who takes them along', () => {
  const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }];
  const claimOf = (ordinal: number, more: Partial<Stored<k8s.PersistentVolumeClaim>['metadata']> = {}): VolumeClaim => ({ metadata: { name: `data-db-${ordinal}`, namespace: 'default', uid: `uid-c${ordinal}`, resourceVersion: '1', creationTimestamp: ago(9), ...more } });
  assert.deepEqual(plan(setOf({ volumeClaimTemplates }), []).actions, ['claim data-db-0', 'create db-0 db:1']);
  assert.deepEqual(plan(setOf({ volumeClaimTemplates }), [], { claims: [claimOf(0)] }).actions, ['create db-0 db:1']);
  assert.deepEqual(plan(setOf({ volumeClaimTemplates }), [], { claims: [claimOf(0, { deletionTimestamp: ago(1) })] }).actions, [], 'one on its way out goes first');
  const retention = (whenDeleted: string, whenScaled: string, replicas = 1): StatefulSet => setOf({ volumeClaimTemplates, replicas, persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } });
  const claims = [claimOf(0), claimOf(1)];
  assert.deepEqual(plan(retention('Retain', 'Retain'), all(first, 0, 1), { claims }).actions, ['delete db-1']);
  assert.deepEqual(plan(retention('Delete', 'Retain'), all(first, 0, 1), { claims }).actions, ['own data-db-0 StatefulSet/db', 'own data-db-1 StatefulSet/db', 'delete db-1']);
  assert.deepEqual(plan(retention('Retain', 'Delete'), all(first, 0, 1), { claims }).actions, ['own data-db-1 Pod/db-1', 'delete db-1']);
  const pod = { apiVersion: 'v1', kind: 'Pod', name: 'db-1', uid: 'uid-db-1' };
  assert.deepEqual(plan(retention('Retain', 'Delete', 2), all(first, 0, 1), { claims: [claimOf(0), claimOf(1, { ownerReferences: [pod] })] }).actions, ['own data-db-1 '], 'scaled up again in time');
});
