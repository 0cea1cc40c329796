import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, replicaSetOf } from '../testing/objects.ts';
import { planClaim } from './claim.ts';

test('planClaim() keeps, adopts and releases by controller and selector', () => {
  const owner = replicaSetOf({ name: 'rs', size: 1 });
  const selected = { app: 'web', 'pod-template-hash': 'rs' };
  const candidates = [
    podOf({ name: 'owned', owner: { uid: 'uid-rs' }, labels: selected }),
    podOf({ name: 'relabelled', owner: { uid: 'uid-rs' }, labels: { app: 'debug' } }),
    podOf({ name: 'orphan', labels: selected }),
    podOf({ name: 'dying-orphan', labels: selected, isDeleting: true }),
    podOf({ name: 'stranger', labels: { app: 'other' } }),
    podOf({ name: 'taken', owner: { uid: 'uid-other' }, labels: selected }),
  ];
  const names = (going: boolean): object => {
    const claim = planClaim(going ? { ...owner, metadata: { ...owner.metadata, deletionTimestamp: 'now' } } : owner, owner.spec.selector, candidates);
    return Object.fromEntries(Object.entries(claim).map(([what, pods]: [string, typeof candidates]) => [what, pods.map(({ metadata }) => metadata.name)]));
  };
  assert.deepEqual(names(false), { owned: ['owned'], adopt: ['orphan'], release: ['relabelled'] });
  assert.deepEqual(names(true), { owned: ['owned'], adopt: [], release: [] });
});
