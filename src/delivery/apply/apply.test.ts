import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestObject } from '../manifests/parse-manifests.ts';
import { lastAppliedAnnotation, releaseAnnotation, repositoryLabel, toCreate, toUpdate } from './applied-object.ts';
import { planPrune } from './prune.ts';
import { threeWayMerge } from './three-way.ts';

const merges: readonly { name: string; last: unknown; desired: unknown; live: unknown; merged: unknown }[] = [
  { name: 'the manifest wins over others', last: { a: 1 }, desired: { a: 2 }, live: { a: 3 }, merged: { a: 2 } },
  { name: 'what others set stays', last: { a: 1 }, desired: { a: 1 }, live: { a: 1, b: 2 }, merged: { a: 1, b: 2 } },
  { name: 'what vanished from the manifest goes', last: { a: 1, b: 1 }, desired: { a: 1 }, live: { a: 1, b: 1 }, merged: { a: 1 } },
  { name: 'a vanished map keeps what others put into it', last: { m: { x: 1 } }, desired: {}, live: { m: { x: 1, y: 2 } }, merged: { m: { y: 2 } } },
  { name: 'without a record nothing is removed', last: undefined, desired: { a: 1 }, live: { a: 0, b: 1 }, merged: { a: 1, b: 1 } },
  { name: 'a list without keys is replaced', last: { args: ['a'] }, desired: { args: ['b'] }, live: { args: ['a', 'c'] }, merged: { args: ['b'] } },
  {
    name: 'containers merge by name, defaults of the API stay',
    last: { containers: [{ name: 'a', image: '1' }, { name: 'old', image: '1' }] },
    desired: { containers: [{ name: 'b', image: '1' }, { name: 'a', image: '2' }] },
    live: { containers: [{ name: 'a', image: '1', imagePullPolicy: 'Always' }, { name: 'old', image: '1' }, { name: 'injected', image: 'x' }] },
    merged: { containers: [{ name: 'b', image: '1' }, { name: 'a', image: '2', imagePullPolicy: 'Always' }, { name: 'injected', image: 'x' }] },
  },
  {
    name: 'an allocated node port stays with its port',
    last: { ports: [{ port: 80 }] },
    desired: { ports: [{ port: 80, targetPort: 8080 }, { port: 81 }] },
    live: { ports: [{ port: 80, nodePort: 30_001, protocol: 'TCP' }] },
    merged: { ports: [{ port: 80, nodePort: 30_001, protocol: 'TCP', targetPort: 8080 }, { port: 81 }] },
  },
  {
    name: 'one port number for TCP and for UDP are two ports',
    last: undefined,
    desired: { ports: [{ port: 53 }, { port: 53, protocol: 'UDP' }] },
    live: { ports: [{ port: 53, protocol: 'UDP', nodePort: 2 }, { port: 53, protocol: 'TCP', nodePort: 1 }] },
    merged: { ports: [{ port: 53, protocol: 'TCP', nodePort: 1 }, { port: 53, protocol: 'UDP', nodePort: 2 }] },
  },
  { name: 'an emptied list is empty', last: { env: [{ name: 'A' }] }, desired: { env: [] }, live: { env: [{ name: 'A' }] }, merged: { env: [] } },
  { name: 'an environment variable that vanished goes', last: { env: [{ name: 'A' }, { name: 'B' }] }, desired: { env: [{ name: 'A' }] }, live: { env: [{ name: 'A' }, { name: 'B' }] }, merged: { env: [{ name: 'A' }] } },
  { name: 'a type that changes is the new one', last: { v: { a: 1 } }, desired: { v: 'x' }, live: { v: { a: 1 } }, merged: { v: 'x' } },
];

for (const { name, last, desired, live, merged } of merges) {
  test(`threeWayMerge(): ${name}`, () => {
    assert.deepEqual(threeWayMerge(last, desired, live), merged);
  });
}

const applying = { repository: 'shop', release: 'shop-1', isScaledByOthers: false };
const deployment: ManifestObject = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'shop', namespace: 'default', labels: { app: 'shop' } }, spec: { replicas: 2 } };

/** As the API server would return what was created. */
function stored(object: ManifestObject): ManifestObject {
  return { ...object, metadata: { ...object.metadata, uid: 'u', resourceVersion: '5' }, status: { replicas: 2 } };
}

test('toCreate() marks the object with repository, release and what was applied', () => {
  const { metadata } = toCreate(deployment, applying);
  assert.deepEqual(metadata.labels, { app: 'shop', [repositoryLabel]: 'shop' });
  assert.equal(metadata.annotations?.[releaseAnnotation], 'shop-1');
  assert.deepEqual(JSON.parse(metadata.annotations?.[lastAppliedAnnotation] ?? ''), deployment);
});

test('toUpdate() writes nothing when only the release differs', () => {
  const live = stored(toCreate(deployment, applying));
  assert.equal(toUpdate(deployment, live, { ...applying, release: 'shop-2' }), undefined);
});

test('toUpdate() removes what the manifest no longer has and leaves the status alone', () => {
  const live = stored(toCreate({ ...deployment, spec: { replicas: 2, paused: true } }, applying));
  const updated = toUpdate(deployment, live, applying);
  assert.deepEqual(updated?.['spec'], { replicas: 2 });
  assert.equal(updated?.metadata['resourceVersion'], '5');
  assert.ok(updated !== undefined && !('status' in updated));
});

test('toUpdate() leaves the replicas of an autoscaled object as they are', () => {
  const live = stored(toCreate(deployment, applying));
  live['spec'] = { replicas: 7 };
  const scaled = { ...applying, isScaledByOthers: true };
  const updated = toUpdate({ ...deployment, spec: { replicas: 2, minReadySeconds: 1 } }, live, scaled);
  assert.deepEqual(updated?.['spec'], { replicas: 7, minReadySeconds: 1 });
  // Not in the record, or the next apply would take it for removed.
  assert.deepEqual(JSON.parse(updated?.metadata.annotations?.[lastAppliedAnnotation] ?? '{}').spec, { minReadySeconds: 1 });
});

test('toUpdate() refuses an object of another repository, and takes over one that kubectl applied', () => {
  const other = stored(toCreate(deployment, { ...applying, repository: 'other' }));
  assert.throws(() => toUpdate(deployment, other, applying), { code: 'forbidden', message: /belongs to the repository other/ });
  const byHand = { ...deployment, metadata: { ...deployment.metadata, annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ spec: { replicas: 2, paused: true } }) } }, spec: { replicas: 2, paused: true } };
  assert.deepEqual(toUpdate(deployment, byHand, applying)?.['spec'], { replicas: 2 });
});

test('planPrune() names what other releases had, last applied first, but no namespaces and definitions', () => {
  const object = (kind: string, name: string, apiVersion = 'v1'): ManifestObject => ({ apiVersion, kind, metadata: { name, namespace: 'default' } });
  const current = [object('Service', 'shop'), object('Deployment', 'shop', 'apps/v1')];
  const before = [object('Namespace', 'x'), object('CustomResourceDefinition', 'y'), object('ConfigMap', 'old'), object('Service', 'shop'), object('Deployment', 'shop', 'apps/v1beta1')];
  const earlier = [object('ConfigMap', 'old'), object('Deployment', 'worker', 'apps/v1')];
  assert.deepEqual(planPrune(current, [before, earlier]).map(({ kind, name }) => `${kind} ${name}`), ['Deployment worker', 'ConfigMap old']);
});
