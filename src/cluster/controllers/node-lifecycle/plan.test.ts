import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { ago, podOf, type PodFields, testNowMs } from '../testing/objects.ts';
import { planNode } from './plan.ts';

interface Given {
  ready?: string;
  renewedSecondsAgo?: number;
  watchingForSeconds?: number;
  hasHealthyPeer?: boolean;
  taints?: k8s.Taint[];
  unschedulable?: boolean;
  conditions?: k8s.NodeCondition[];
  pods?: (PodFields & { tolerations?: k8s.Toleration[] })[];
}

function plan(given: Given): { actions: string[]; ready: string; requeueSeconds: number | undefined } {
  const { ready = 'True', renewedSecondsAgo = 5, watchingForSeconds = 1000, hasHealthyPeer = true, taints, unschedulable, conditions = [], pods = [] } = given;
  const node = {
    metadata: { name: 'node-1', uid: 'u', resourceVersion: '1', creationTimestamp: ago(5000) },
    spec: { taints, unschedulable },
    status: { conditions: [{ type: 'Ready', status: ready, lastHeartbeatTime: ago(200) }, ...conditions] },
  };
  const all = pods.map(({ tolerations, ...fields }) => {
    const pod = podOf(fields);
    return { ...pod, spec: { containers: [], ...pod.spec, tolerations } };
  });
  const { actions, status, requeueAfterMs } = planNode({ node, lease: { spec: { renewTime: ago(renewedSecondsAgo) } }, pods: all, hasHealthyPeer, graceMs: 40_000, watchingSinceMs: testNowMs - watchingForSeconds * 1000, nowMs: testNowMs });
  return {
    actions: actions.map((action) => {
      if (action.type === 'taint') return `taint ${action.taints.map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`).join(' ')}`;
      return action.type === 'evict' ? `evict ${action.pod.metadata.name}` : `unready ${action.pods.map(({ metadata }) => metadata.name).join(',')}`;
    }),
    ready: status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'as reported',
    requeueSeconds: requeueAfterMs === undefined ? undefined : Math.round(requeueAfterMs / 1000),
  };
}

const unreachable: k8s.Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded: ago(100) };
const gone: Given = { ready: 'Unknown', renewedSecondsAgo: 100, taints: [{ key: unreachable.key, effect: 'NoSchedule' }, unreachable] };

test('planNode() notices silence and recovery', () => {
  const cases: [string, Given, ReturnType<typeof plan>][] = [
    ['healthy', {}, { actions: [], ready: 'as reported', requeueSeconds: 35 }],
    ['silent', { renewedSecondsAgo: 41, pods: [{ name: 'p', readySeconds: 9 }] }, { actions: ['taint unreachable:NoSchedule unreachable:NoExecute', 'unready p'], ready: 'Unknown', requeueSeconds: 300 }],
    ['silent, but we were away too', { renewedSecondsAgo: 41, watchingForSeconds: 10 }, { actions: [], ready: 'as reported', requeueSeconds: 30 }],
    ['silent and the only one: its pods stay in service', { renewedSecondsAgo: 41, hasHealthyPeer: false, pods: [{ name: 'p', readySeconds: 9 }] }, { actions: ['taint unreachable:NoSchedule'], ready: 'Unknown', requeueSeconds: undefined }],
    ['says itself that it is not ready', { ready: 'False' }, { actions: ['taint not-ready:NoSchedule not-ready:NoExecute'], ready: 'as reported', requeueSeconds: 35 }],
    ['back again', { taints: gone.taints }, { actions: ['taint '], ready: 'as reported', requeueSeconds: 35 }],
    ['cordoned', { unschedulable: true, taints: [{ key: 'mine', effect: 'NoSchedule' }] }, { actions: ['taint mine:NoSchedule unschedulable:NoSchedule'], ready: 'as reported', requeueSeconds: 35 }],
    ['under pressure', { conditions: [{ type: 'MemoryPressure', status: 'True' }] }, { actions: ['taint memory-pressure:NoSchedule'], ready: 'as reported', requeueSeconds: 35 }],
  ];
  for (const [what, given, expected] of cases) assert.deepEqual(plan(given), expected, what);
});

test('planNode() evicts by NoExecute taints and what pods tolerate', () => {
  const tolerate = (tolerationSeconds?: number): k8s.Toleration[] => [{ key: unreachable.key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds }];
  const pods = [
    { name: 'default' },
    { name: 'short', tolerations: tolerate(60) },
    { name: 'forever', tolerations: tolerate() },
    { name: 'leaving', isDeleting: true, tolerations: tolerate(60) },
  ];
  assert.deepEqual(plan({ ...gone, pods }), { actions: ['evict short'], ready: 'Unknown', requeueSeconds: 200 });
  const own: k8s.Taint = { key: 'maintenance', effect: 'NoExecute', timeAdded: ago(1) };
  assert.deepEqual(plan({ taints: [own], pods: [{ name: 'p' }, { name: 'q', tolerations: [{ operator: 'Exists' }] }] }).actions, ['evict p']);
});
