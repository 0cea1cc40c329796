import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../api/mod.ts';
import { chooseNode, pendingSentence } from './choose-node.ts';
import { ClusterState, type Pod } from './cluster-state.ts';
import { planPreemption } from './preemption.ts';
import { defaultScores, packingScores, type Score } from './scores.ts';

function pod(name: string, spec: Partial<k8s.PodSpec> = {}, over: { labels?: Record<string, string>; owner?: string } = {}): Pod {
  const ownerReferences = over.owner === undefined ? {} : { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: over.owner, uid: over.owner, controller: true }] };
  return { metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', creationTimestamp: '', labels: over.labels ?? {}, ...ownerReferences }, spec: { containers: [], ...spec } };
}

function node(name: string, over: { spec?: k8s.NodeSpec; labels?: Record<string, string>; allocatable?: Record<string, string>; ready?: string } = {}): Stored<k8s.Node> {
  return {
    metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '', labels: over.labels ?? {} },
    spec: over.spec ?? {},
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10', ...over.allocatable }, conditions: [{ type: 'Ready', status: over.ready ?? 'True' }] },
  };
}

/** The chosen node, or the sentence that says why there is none. */
function choose(wanted: Pod, nodes: Stored<k8s.Node>[], placed: Record<string, Pod[]> = {}): string {
  const state = new ClusterState();
  for (const one of nodes) state.setNode(one);
  for (const [name, pods] of Object.entries(placed)) for (const one of pods) state.place(one, name);
  const choice = chooseNode(wanted, state.nodes, surroundings);
  return 'nodeName' in choice ? choice.nodeName : pendingSentence(state.nodes.length, choice.reasons);
}

const surroundings = { namespaceLabels: (name: string) => (name === 'other' ? { team: 'b' } : undefined) };
const cpu = (amount: string): Partial<k8s.PodSpec> => ({ containers: [{ name: 'c', resources: { requests: { cpu: amount } } }] });
const taint: k8s.Taint = { key: 'team', value: 'a', effect: 'NoSchedule' };

test('chooseNode() fits requests into what is left', () => {
  const cases: [string, string, string][] = [
    ['room', choose(pod('p', cpu('2')), [node('a')]), 'a'],
    ['too large', choose(pod('p', cpu('2001m')), [node('a')]), '0/1 nodes are available: 1 Insufficient cpu.'],
    ['taken', choose(pod('p', cpu('1500m')), [node('a')], { a: [pod('x', cpu('1'))] }), '0/1 nodes are available: 1 Insufficient cpu.'],
    ['the other has room', choose(pod('p', cpu('1500m')), [node('a'), node('b')], { a: [pod('x', cpu('1'))] }), 'b'],
    ['too many pods', choose(pod('p'), [node('a', { allocatable: { pods: '1' } })], { a: [pod('x')] }), '0/1 nodes are available: 1 Too many pods.'],
    ['a device nobody has', choose(pod('p', { containers: [{ name: 'c', resources: { limits: { gpu: '1' } } }] }), [node('a')]), '0/1 nodes are available: 1 Insufficient gpu.'],
    ['no nodes', choose(pod('p'), []), 'no nodes available to schedule pods'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('chooseNode() honours taints, cordons, readiness, selectors, affinity and host ports', () => {
  const affinity = (...terms: k8s.NodeSelectorTerm[]): Partial<k8s.PodSpec> => ({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } } });
  const port = (hostPort: number, hostIP?: string): Partial<k8s.PodSpec> => ({ containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort, hostIP }] }] });
  const unmatched = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
  const busy = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
  const cases: [string, string, string][] = [
    ['a taint', choose(pod('p'), [node('a', { spec: { taints: [taint] } })]), '0/1 nodes are available: 1 node(s) had untolerated taint {team: a}.'],
    ['tolerated', choose(pod('p', { tolerations: [{ key: 'team', value: 'a' }] }), [node('a', { spec: { taints: [taint] } })]), 'a'],
    ['tolerated by existence', choose(pod('p', { tolerations: [{ operator: 'Exists' }] }), [node('a', { spec: { taints: [taint] } })]), 'a'],
    ['another value', choose(pod('p', { tolerations: [{ key: 'team', value: 'b' }] }), [node('a', { spec: { taints: [taint] } }), node('b')]), 'b'],
    ['disliked', choose(pod('p'), [node('a', { spec: { taints: [{ ...taint, effect: 'PreferNoSchedule' }] } }), node('b')]), 'b'],
    ['cordoned', choose(pod('p'), [node('a', { spec: { unschedulable: true } })]), '0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unschedulable}.'],
    ['not ready', choose(pod('p'), [node('a', { ready: 'Unknown' })]), '0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready}.'],
    ['selector', choose(pod('p', { nodeSelector: { disk: 'ssd' } }), [node('a'), node('b', { labels: { disk: 'ssd' } })]), 'b'],
    ['selector of nobody', choose(pod('p', { nodeSelector: { disk: 'ssd' } }), [node('a')]), unmatched],
    ['affinity term', choose(pod('p', affinity({ matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['4'] }] })), [node('a', { labels: { cores: '4' } }), node('b', { labels: { cores: '8' } })]), 'b'],
    ['one of the terms', choose(pod('p', affinity({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }, { matchExpressions: [{ key: 'x', operator: 'Exists' }] })), [node('a'), node('b')]), 'b'],
    ['an empty term matches nothing', choose(pod('p', affinity({})), [node('a')]), unmatched],
    ['a host port in use', choose(pod('p', port(80)), [node('a')], { a: [pod('x', port(80))] }), busy],
    ['on another address', choose(pod('p', port(80, '10.0.0.1')), [node('a')], { a: [pod('x', port(80, '10.0.0.2'))] }), 'a'],
    ['on all addresses', choose(pod('p', port(80)), [node('a')], { a: [pod('x', port(80, '10.0.0.2'))] }), busy],
    ['reasons are counted', choose(pod('p', cpu('3')), [node('a'), node('b'), node('c', { spec: { taints: [taint] } })]), '0/3 nodes are available: 1 node(s) had untolerated taint {team: a}, 2 Insufficient cpu.'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('chooseNode() prefers', () => {
  const preferring: Partial<k8s.PodSpec> = { affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 10, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } }] } } };
  const cases: [string, string, string][] = [
    ['the emptier node', choose(pod('p', cpu('100m')), [node('a'), node('b')], { a: [pod('x', cpu('1'))] }), 'b'],
    ['preferred affinity', choose(pod('p', preferring), [node('a'), node('b', { labels: { disk: 'ssd' } })]), 'b'],
    ['away from siblings', choose(pod('p', {}, { owner: 'rs' }), [node('a'), node('b')], { a: [pod('x', {}, { owner: 'rs' })] }), 'b'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

const zone = (name: string, value: string): Stored<k8s.Node> => node(name, { labels: { zone: value } });
const near = (app: string, over: Partial<k8s.PodAffinityTerm> = {}): k8s.PodAffinityTerm => ({ topologyKey: 'zone', labelSelector: { matchLabels: { app } }, ...over });
const required = (term: k8s.PodAffinityTerm): k8s.PodAffinity => ({ requiredDuringSchedulingIgnoredDuringExecution: [term] });
const labelled = (name: string, app: string, spec: Partial<k8s.PodSpec> = {}): Pod => pod(name, spec, { labels: { app } });

test('chooseNode() spreads over nodes, or fills them one after the other, as it is told', () => {
  const place = (scores: readonly Score[]): string => {
    const state = new ClusterState();
    for (const name of ['a', 'b', 'c']) state.setNode(node(name));
    return Array.from({ length: 4 }, (_, index) => {
      const wanted = pod(`p${index}`, cpu('500m'));
      const choice = chooseNode(wanted, state.nodes, surroundings, { from: index, scores });
      if (!('nodeName' in choice)) return 'none';
      state.place(wanted, choice.nodeName);
      return choice.nodeName;
    }).toSorted().join('');
  };
  assert.equal(new Set(place(defaultScores)).size, 3);
  assert.match(place(packingScores), /^(aaaa|bbbb|cccc)$/);
});

test('chooseNode() honours pod affinity and anti-affinity', () => {
  const nodes = [zone('a', 'x'), zone('b', 'y')];
  const elsewhere = labelled('db', 'db');
  elsewhere.metadata.namespace = 'other';
  const cases: [string, string, string][] = [
    ['near another', choose(pod('p', { affinity: { podAffinity: required(near('db')) } }), nodes, { b: [labelled('db', 'db')] }), 'b'],
    ['near nobody', choose(pod('p', { affinity: { podAffinity: required(near('db')) } }), nodes), "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."],
    ['the first of its group', choose(labelled('p', 'db', { affinity: { podAffinity: required(near('db')) } }), [zone('a', 'x')]), 'a'],
    ['only its own namespace', choose(pod('p', { affinity: { podAffinity: required(near('db')) } }), [zone('a', 'x')], { a: [elsewhere] }), "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."],
    ['a named namespace', choose(pod('p', { affinity: { podAffinity: required(near('db', { namespaces: ['other'] })) } }), nodes, { b: [elsewhere] }), 'b'],
    ['a selected namespace', choose(pod('p', { affinity: { podAffinity: required(near('db', { namespaceSelector: { matchLabels: { team: 'b' } } })) } }), nodes, { b: [elsewhere] }), 'b'],
    ['away from another', choose(pod('p', { affinity: { podAntiAffinity: required(near('db')) } }), nodes, { a: [labelled('db', 'db')] }), 'b'],
    ['away everywhere', choose(pod('p', { affinity: { podAntiAffinity: required(near('db')) } }), [zone('a', 'x')], { a: [labelled('db', 'db')] }), "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."],
    ['kept away by another', choose(labelled('p', 'web'), nodes, { a: [labelled('db', 'db', { affinity: { podAntiAffinity: required(near('web')) } })] }), 'b'],
    ['preferring company', choose(pod('p', { affinity: { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: near('db') }] } } }), nodes, { b: [labelled('db', 'db')] }), 'b'],
    ['preferring distance', choose(pod('p', { affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: near('db') }] } } }), nodes, { a: [labelled('db', 'db')] }), 'b'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('chooseNode() spreads over topology domains', () => {
  const spread = (over: Partial<k8s.TopologySpreadConstraint> = {}): Partial<k8s.PodSpec> => ({ topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'web' } }, ...over }] });
  const nodes = [zone('a', 'x'), zone('b', 'y')];
  const missing = "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).";
  const cases: [string, string, string][] = [
    ['the emptier domain', choose(labelled('p', 'web', spread()), nodes, { a: [labelled('1', 'web')] }), 'b'],
    ['only the fuller one has room', choose(labelled('p', 'web', { ...spread(), ...cpu('2') }), nodes, { a: [labelled('1', 'web')], b: [pod('x', cpu('1'))] }), "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints."],
    ['within the skew', choose(labelled('p', 'web', { ...spread({ maxSkew: 2 }), ...cpu('2') }), nodes, { a: [labelled('1', 'web')], b: [pod('x', cpu('1'))] }), 'a'],
    ['no such label', choose(labelled('p', 'web', spread()), [node('a')]), missing],
    ['too few domains count as empty ones', choose(labelled('p', 'web', spread({ minDomains: 3 })), [zone('a', 'x')], { a: [labelled('1', 'web')] }), "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints."],
    ['nodes that the pod cannot use do not count', choose(labelled('p', 'web', { ...spread(), nodeSelector: { zone: 'x' } }), nodes, { a: [labelled('1', 'web')] }), 'a'],
    ['a wish', choose(labelled('p', 'web', spread({ whenUnsatisfiable: 'ScheduleAnyway' })), nodes, { a: [labelled('1', 'web')] }), 'b'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('planPreemption() takes as little as possible, only from less important pods', () => {
  const important = (name: string, priority: number, amount: string, over: Partial<k8s.PodSpec> = {}): Pod => pod(name, { ...cpu(amount), priority, ...over });
  const preempt = (wanted: Pod, nodes: Stored<k8s.Node>[], placed: Record<string, Pod[]>): string => {
    const state = new ClusterState();
    for (const one of nodes) state.setNode(one);
    for (const [name, pods] of Object.entries(placed)) for (const one of pods) state.place(one, name);
    const plan = planPreemption(wanted, state.nodes, surroundings);
    return plan === undefined ? 'none' : `${plan.nodeName}: ${plan.victims.map(({ metadata }) => metadata.name).toSorted().join(',')}`;
  };
  const cases: [string, string, string][] = [
    ['one of two', preempt(important('p', 10, '1'), [node('a')], { a: [important('1', 0, '1'), important('2', 5, '1')] }), 'a: 1'],
    ['both when needed', preempt(important('p', 10, '2'), [node('a')], { a: [important('1', 0, '1'), important('2', 5, '1')] }), 'a: 1,2'],
    ['nobody of the same importance', preempt(important('p', 5, '2'), [node('a')], { a: [important('1', 0, '1'), important('2', 5, '1')] }), 'none'],
    ['the node with the less important one', preempt(important('p', 10, '2'), [node('a'), node('b')], { a: [important('1', 5, '2')], b: [important('2', 1, '2')] }), 'b: 2'],
    ['where fewer have to go', preempt(important('p', 10, '2'), [node('a'), node('b')], { a: [important('1', 0, '1'), important('2', 0, '1')], b: [important('3', 0, '2')] }), 'b: 3'],
    ['not where it could not run anyway', preempt(important('p', 10, '2'), [node('a', { spec: { taints: [taint] } })], { a: [important('1', 0, '2')] }), 'none'],
    ['not when it may not', preempt(important('p', 10, '2', { preemptionPolicy: 'Never' }), [node('a')], { a: [important('1', 0, '2')] }), 'none'],
    ['not when it would not help', preempt(important('p', 10, '3'), [node('a')], { a: [important('1', 0, '2')] }), 'none'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('planPreemption() breaks a budget only where nothing else helps', () => {
  const labelled = (name: string, priority: number, app: string): Pod => {
    const made = pod(name, { ...cpu('1'), priority });
    return { ...made, metadata: { ...made.metadata, labels: { app } } };
  };
  const budget = (disruptionsAllowed: number): k8s.PodDisruptionBudget => ({ metadata: { name: 'b', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'kept' } } }, status: { disruptionsAllowed, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 } });
  const preempt = (amount: string, placed: Record<string, Pod[]>, allowed: number): string => {
    const state = new ClusterState();
    for (const [name, pods] of Object.entries(placed)) {
      state.setNode(node(name));
      for (const one of pods) state.place(one, name);
    }
    const plan = planPreemption(pod('p', { ...cpu(amount), priority: 10 }), state.nodes, surroundings, [budget(allowed)]);
    return plan === undefined ? 'none' : `${plan.nodeName}: ${plan.victims.map(({ metadata }) => metadata.name).toSorted().join(',')}, ${plan.violations} broken`;
  };
  const cases: [string, string, string][] = [
    ['the more important one goes when a budget protects the other', preempt('1', { a: [labelled('kept', 0, 'kept'), labelled('free', 5, 'free')] }, 0), 'a: free, 0 broken'],
    ['the less important one when its budget lets it go', preempt('1', { a: [labelled('kept', 0, 'kept'), labelled('free', 5, 'free')] }, 1), 'a: kept, 0 broken'],
    ['another node rather than a broken budget', preempt('2', { a: [labelled('kept', 0, 'kept'), labelled('x', 0, 'free')], b: [labelled('y', 5, 'free'), labelled('z', 5, 'free')] }, 0), 'b: y,z, 0 broken'],
    ['where nothing else helps it is broken', preempt('2', { a: [labelled('k1', 0, 'kept'), labelled('k2', 0, 'kept')] }, 1), 'a: k1,k2, 1 broken'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('chooseNode() keeps nominated room for pods that are at least as important', () => {
  const state = new ClusterState();
  state.setNode(node('a'));
  const nominee = pod('nominee', { ...cpu('2'), priority: 10 });
  state.nominate(nominee, 'a');
  const choiceOf = (wanted: Pod): boolean => 'nodeName' in chooseNode(wanted, state.nodes, surroundings);
  assert.deepEqual([choiceOf(pod('small', cpu('100m'))), choiceOf(nominee), choiceOf(pod('boss', { ...cpu('1'), priority: 20 }))], [false, true, true]);
  state.withdraw('nominee');
  assert.equal(choiceOf(pod('small', cpu('100m'))), true);
});

test('ClusterState forgets what is freed and knows placements before their node', () => {
  const state = new ClusterState();
  state.place(pod('x', cpu('1')), 'a');
  state.setNode(node('a'));
  assert.equal(state.nodes[0]?.requested.get('cpu'), 1000);
  state.place(pod('x', cpu('1')), 'a');
  assert.equal(state.nodes[0]?.requested.get('cpu'), 1000, 'placing twice counts once');
  state.remove('x');
  assert.equal(state.nodes[0]?.requested.get('cpu'), 0);
});
