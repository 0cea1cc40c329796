import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf } from '../testing/objects.ts';
import { inDeletionOrder } from './deletion-order.ts';

const cost = (value: string): Record<string, string> => ({ 'controller.kubernetes.io/pod-deletion-cost': value });

test('inDeletionOrder() decides by the first difference', () => {
  const ready = { readySeconds: 500 };
  const cases: [string, Parameters<typeof podOf>[0][]][] = [
    ['unassigned before assigned', [{ name: '1', node: '', phase: 'Pending' }, { name: '2', phase: 'Pending' }]],
    ['pending before running', [{ name: '1', phase: 'Pending' }, { name: '2' }]],
    ['not ready before ready', [{ name: '1' }, { name: '2', ...ready }]],
    ['cheap before dear', [{ name: '1', ...ready, annotations: cost('-5') }, { name: '2', ...ready }, { name: '3', ...ready, annotations: cost('10') }]],
    ['crowded node first', [{ name: '1', ...ready, node: 'a', ageSeconds: 2 }, { name: '2', ...ready, node: 'a', ageSeconds: 9 }, { name: '3', ...ready, node: 'b', ageSeconds: 1 }]],
    ['shorter ready first', [{ name: '1', readySeconds: 5 }, { name: '2', readySeconds: 50 }]],
    ['more restarts first', [{ name: '1', ...ready, restarts: 3 }, { name: '2', ...ready }]],
    ['younger first', [{ name: '1', ageSeconds: 10 }, { name: '2', ageSeconds: 20 }]],
  ];
  for (const [what, pods] of cases) {
    const order = inDeletionOrder(pods.toReversed().map(podOf)).map(({ metadata }) => metadata.name);
    assert.deepEqual(order, pods.map(({ name }) => name), what);
  }
});
