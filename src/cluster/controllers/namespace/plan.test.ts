import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resources } from '../../../api/mod.ts';
import { podOf, testNowMs } from '../testing/objects.ts';
import { planNamespace } from './plan.ts';

const namespace = { metadata: { name: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '', deletionTimestamp: 'now' }, spec: { finalizers: ['mine', 'kubernetes'] } };

test('planNamespace() deletes what is there, waits for what is going, then finalizes', () => {
  const pods = [podOf({ name: 'a' }), podOf({ name: 'b', isDeleting: true })];
  const first = planNamespace({ namespace, contents: [{ type: resources.pods, objects: pods }, { type: resources.secrets, objects: [] }], nowMs: testNowMs });
  assert.deepEqual(first.actions.map((action) => (action.type === 'delete' ? [action.resource.plural, action.objects.map(({ metadata }) => metadata.name)] : [])), [['pods', ['a']]]);
  assert.deepEqual(first.status?.conditions?.map(({ type, message }) => [type, message]), [['NamespaceContentRemaining', 'Some resources are remaining: pods has 2 resource instances']]);
  assert.ok(first.requeueAfterMs !== undefined);
  const held = { ...podOf({ name: 'b', isDeleting: true }) };
  held.metadata = { ...held.metadata, finalizers: ['x/y'] };
  const second = planNamespace({ namespace, contents: [{ type: resources.pods, objects: [held] }], nowMs: testNowMs });
  assert.deepEqual([second.actions, second.status?.conditions?.map(({ type }) => type)], [[], ['NamespaceContentRemaining', 'NamespaceFinalizersRemaining']]);
  const last = planNamespace({ namespace, contents: [{ type: resources.pods, objects: [] }], nowMs: testNowMs });
  assert.deepEqual(last.actions, [{ type: 'finalize', finalizers: ['mine'] }]);
});
