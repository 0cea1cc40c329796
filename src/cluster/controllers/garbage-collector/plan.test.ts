import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../../../api/mod.ts';
import type { GraphNode } from './object-graph.ts';
import { type GarbageAction, type OwnerState, planGarbage } from './plan.ts';

function node(name: string, over: { owners?: string[]; finalizers?: string[]; isDeleting?: boolean; isBlocking?: boolean } = {}): GraphNode {
  const ownerReferences = (over.owners ?? []).map((uid) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: uid, uid, blockOwnerDeletion: over.isBlocking ?? true }));
  const metadata = { name, namespace: 'n', uid: name, resourceVersion: '1', creationTimestamp: '', ownerReferences, finalizers: over.finalizers, ...(over.isDeleting === true ? { deletionTimestamp: 'now' } : {}) };
  return { type: resources.configMaps, object: { metadata } };
}

function plan(object: GraphNode, owners: Record<string, OwnerState> = {}, dependents: GraphNode[] = []): string[] {
  return planGarbage({ node: object, owners: new Map(Object.entries(owners)), dependents }).actions.map(describe);
}

function describe(action: GarbageAction): string {
  const { name } = action.node.object.metadata;
  if (action.type === 'delete') return `delete ${name} ${action.policy}`;
  return action.type === 'disown' ? `${name} without ${action.ownerUids.join(',')}` : `${name} without ${action.finalizer}`;
}

test('planGarbage() deletes what nobody owns any more', () => {
  const cases: [string, string[], string[]][] = [
    ['no owners at all', plan(node('x')), []],
    ['an owner is there', plan(node('x', { owners: ['a'] }), { a: 'present' }), []],
    ['the owner is gone', plan(node('x', { owners: ['a'] }), { a: 'absent' }), ['delete x Background']],
    ['one of two owners is gone', plan(node('x', { owners: ['a', 'b'] }), { a: 'absent', b: 'present' }), ['x without a']],
    ['one waits, one is there', plan(node('x', { owners: ['a', 'b'] }), { a: 'waiting', b: 'present' }), ['x without a']],
    ['the kind of an owner is not served', plan(node('x', { owners: ['a', 'b'] }), { a: 'absent', b: 'unknown' }), []],
    ['the owner waits', plan(node('x', { owners: ['a'] }), { a: 'waiting' }), ['delete x Background']],
    ['the owner waits and there are dependents', plan(node('x', { owners: ['a'] }), { a: 'waiting' }, [node('y')]), ['delete x Foreground']],
    ['it asks for orphaning', plan(node('x', { owners: ['a'], finalizers: ['orphan'] }), { a: 'absent' }), ['delete x Orphan']],
    ['it is being deleted already', plan(node('x', { owners: ['a'], isDeleting: true }), { a: 'absent' }), []],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('planGarbage() lets a foreground deletion end when nothing blocks it', () => {
  const going = node('x', { isDeleting: true, finalizers: ['foregroundDeletion'] });
  assert.deepEqual(plan(going, {}, [node('y', { owners: ['x'] })]), []);
  assert.deepEqual(plan(going, {}, [node('y', { owners: ['x'], isBlocking: false })]), ['x without foregroundDeletion']);
  assert.deepEqual(plan(going), ['x without foregroundDeletion']);
});

test('planGarbage() orphans dependents before their owner goes', () => {
  const going = node('x', { isDeleting: true, finalizers: ['orphan', 'other'] });
  assert.deepEqual(plan(going, {}, [node('y', { owners: ['x'] }), node('z', { owners: ['x'] })]), ['y without x', 'z without x', 'x without orphan']);
});
