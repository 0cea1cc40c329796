import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { planClaim } from '../ownership/claim.ts';
import { hashOf, planRevision, type Revision, revisionLabel } from '../revisions/revisions.ts';
import { ago, podOf, testNowMs } from '../testing/objects.ts';
import type { DaemonSet, DaemonSetAction } from './observed.ts';
import { planDaemonSet } from './plan.ts';

const labels = { app: 'agent' };

function setOf(spec: Partial<k8s.DaemonSetSpec> = {}, image = 'agent:1', pod: Partial<k8s.PodSpec> = {}): DaemonSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'default', uid: 'uid-agent', resourceVersion: '1', generation: 1, creationTimestamp: ago(500) },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }], ...pod } }, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } }, ...spec },
  };
}

function nodeOf(name: string, more: { labels?: Record<string, string>; taints?: k8s.Taint[] } = {}): Stored<k8s.Node> {
  return { metadata: { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: ago(900), labels: more.labels ?? {} }, spec: more.taints === undefined ? {} : { taints: more.taints } };
}

function revisionOf(set: DaemonSet, revision: number): Revision {
  const { create } = planRevision(resources.daemonSets, set, []);
  assert.ok(create !== undefined);
  return { ...create, revision, metadata: { ...create.metadata, uid: `uid-${revision}`, resourceVersion: '1', creationTimestamp: ago(400) } };
}

const [first, second] = [revisionOf(setOf(), 1), revisionOf(setOf({}, 'agent:2'), 2)];

interface PodShape { name: string; node: string; revision?: Revision; readySeconds?: number; phase?: string; isDeleting?: boolean; ageSeconds?: number }

function plan(set: DaemonSet, nodes: Stored<k8s.Node>[], pods: PodShape[], revisions = [first]) {
  const candidates = pods.map(({ revision = first, ...rest }) => podOf({ owner: { uid: 'uid-agent', kind: 'DaemonSet', name: 'agent' }, labels: { ...labels, [revisionLabel]: hashOf(revision) }, ...rest }));
  const { actions, status } = planDaemonSet({ set, nodes, claim: planClaim(set, set.spec.selector, candidates), revisions, pendingCreations: 0, pendingDeletions: new Set(), nowMs: testNowMs });
  return { actions: actions.map(describe), status };
}

function describe(action: DaemonSetAction): string {
  switch (action.type) {
    case 'create':
      return `create on ${action.nodes.join()}`;
    case 'delete':
      return `delete ${action.pods.map(({ metadata }) => metadata.name).join()}`;
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

const nodes = ['a', 'b', 'c'].map((name) => nodeOf(name));
const ready = { readySeconds: 100 };
const taint = (effect: string): k8s.Taint => ({ key: 'x', value: 'y', effect });

test('planDaemonSet() keeps one pod on every node it belongs on', () => {
  const cases: [string, DaemonSet, Stored<k8s.Node>[], PodShape[], string[]][] = [
    ['everywhere', setOf(), nodes, [], ['create on a,b,c']],
    ['where it is missing', setOf(), nodes, [{ name: 'p', node: 'b', ...ready }], ['create on a,c']],
    ['by selector', setOf({}, 'agent:1', { nodeSelector: { disk: 'ssd' } }), [nodeOf('a', { labels: { disk: 'ssd' } }), nodeOf('b')], [], ['create on a']],
    ['not where a taint keeps it away', setOf(), [nodeOf('a', { taints: [taint('NoSchedule')] }), nodeOf('b')], [], ['create on b']],
    ['but it stays where one comes later', setOf(), [nodeOf('a', { taints: [taint('NoSchedule')] })], [{ name: 'p', node: 'a', ...ready }], []],
    ['unless it is NoExecute', setOf(), [nodeOf('a', { taints: [taint('NoExecute')] })], [{ name: 'p', node: 'a', ...ready }], ['delete p']],
    ['on cordoned and unready nodes too', setOf(), [nodeOf('a', { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }, { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }] })], [], ['create on a']],
    ['the oldest of two stays', setOf(), [nodeOf('a')], [{ name: 'new', node: 'a', ageSeconds: 1, ...ready }, { name: 'old', node: 'a', ageSeconds: 9, ...ready }], ['delete new']],
    ['one that failed is taken away', setOf(), [nodeOf('a')], [{ name: 'p', node: 'a', phase: 'Failed' }], ['FailedDaemonPod', 'delete p']],
    ['its successor waits until it is gone', setOf(), [nodeOf('a')], [{ name: 'p', node: 'a', isDeleting: true }], []],
  ];
  for (const [what, set, there, pods, expected] of cases) assert.deepEqual(plan(set, there, pods, [revisionOf(set, 1)]).actions.filter((action) => !action.startsWith('forget')), expected, what);
});

test('planDaemonSet() updates as many nodes at a time as it may', () => {
  const everywhere = (...shapes: Partial<PodShape>[]): PodShape[] => ['a', 'b', 'c'].map((node, index) => ({ name: `p-${node}`, node, ...ready, ...shapes[index] }));
  const rolling = (rollingUpdate: k8s.RollingUpdateDaemonSet): DaemonSet => setOf({ updateStrategy: { type: 'RollingUpdate', rollingUpdate } }, 'agent:2');
  const one = rolling({ maxUnavailable: 1, maxSurge: 0 });
  const cases: [string, DaemonSet, PodShape[], string[]][] = [
    ['one', one, everywhere(), ['delete p-a']],
    ['waits for it', one, everywhere({ isDeleting: true }), []],
    ['waits until it is available', one, everywhere({ revision: second, readySeconds: undefined }), []],
    ['the next', one, everywhere({ revision: second }), ['delete p-b']],
    ['one that is not available anyway costs nothing', one, everywhere({}, { readySeconds: undefined }), ['delete p-b']],
    ['half of them, rounded up', rolling({ maxUnavailable: '50%', maxSurge: 0 }), everywhere(), ['delete p-a,p-b']],
    ['surge: a second one first', rolling({ maxSurge: 1, maxUnavailable: 0 }), everywhere(), ['create on a']],
    ['surge: the old one stays until the new one serves', rolling({ maxSurge: 1, maxUnavailable: 0 }), [...everywhere(), { name: 'n-a', node: 'a', revision: second }], []],
    ['surge: then it goes', rolling({ maxSurge: 1, maxUnavailable: 0 }), [...everywhere(), { name: 'n-a', node: 'a', revision: second, ...ready }], ['delete p-a', 'create on b']],
    ['OnDelete: nothing', setOf({ updateStrategy: { type: 'OnDelete' } }, 'agent:2'), everywhere(), []],
    ['done', one, everywhere({ revision: second }, { revision: second }, { revision: second }), []],
  ];
  for (const [what, set, pods, expected] of cases) {
    const { actions } = plan(set, nodes, pods, [first, second]);
    assert.deepEqual(actions.toSorted(), expected.toSorted(), what);
  }
});

test('planDaemonSet() counts nodes', () => {
  const { status } = plan(setOf({}, 'agent:2'), [...nodes, nodeOf('d', { taints: [taint('NoSchedule')] })], [{ name: 'p', node: 'a', ...ready }, { name: 'q', node: 'b', revision: second }, { name: 'r', node: 'd', ...ready }], [first, second]);
  assert.deepEqual([status?.desiredNumberScheduled, status?.currentNumberScheduled, status?.numberMisscheduled, status?.numberReady, status?.numberAvailable, status?.numberUnavailable, status?.updatedNumberScheduled], [3, 2, 1, 1, 1, 2, 1]);
});
