import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { podOf, testNowMs } from '../testing/objects.ts';
import { emptyHistory, type History } from './history.ts';
import { type AutoscalerAction, type ObservedAutoscaler, planAutoscaler } from './plan.ts';
import { parseDurationMs } from './pod-metrics.ts';

interface Given {
  current: number;
  /** Millicores of each pod of 100m; an Error: metrics cannot be read. */
  use?: number[] | Error;
  spec?: Partial<k8s.HorizontalPodAutoscalerSpec>;
  history?: History;
  scale?: ObservedAutoscaler['scale'];
  /** Readings of custom metrics for the pods' names. */
  custom?: (pods: string[]) => ObservedAutoscaler['custom'];
}

function plan({ current, use = [], spec, history = emptyHistory, scale, custom = () => new Map() }: Given): { actions: string[]; conditions: string[]; sizes: string; metrics: string } {
  const metadata = { name: 'hpa', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '' };
  const cpu: k8s.MetricSpec = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } };
  const samples = use instanceof Error ? [] : use;
  const pods = samples.map((_, index) => podOf({ name: `p${index}`, readySeconds: 900, containers: [{ name: 'app', resources: { requests: { cpu: '100m' } } }] }));
  const usage = new Map(samples.map((value, index) => [`p${index}`, { value, atMs: testNowMs, windowMs: 15_000 }]));
  const { actions, status } = planAutoscaler({
    autoscaler: { metadata, spec: { maxReplicas: 10, minReplicas: 1, scaleTargetRef: { kind: 'Deployment', name: 'web' }, metrics: [cpu], ...spec } },
    scale: scale ?? { replicas: current, pods },
    usage: use instanceof Error ? { error: use } : { of: () => usage },
    custom: custom(pods.map(({ metadata }) => metadata.name)),
    history,
    syncMs: 5000,
    downscaleStabilizationMs: 300_000,
    nowMs: testNowMs,
  });
  return {
    actions: actions.filter(({ type }) => type !== 'remember').map(describe),
    conditions: (status?.conditions ?? []).map(({ type, status: value, reason }) => `${type}=${value} ${reason ?? ''}`),
    sizes: `${status?.currentReplicas ?? '?'}→${status?.desiredReplicas ?? '?'}`,
    metrics: (status?.currentMetrics ?? []).map(({ resource }) => `${resource?.current.averageUtilization ?? '?'}%`).join(),
  };
}

function describe(action: AutoscalerAction): string {
  if (action.type === 'scale') return `${action.from}→${action.to}: ${action.reason}`;
  return action.type === 'warn' ? action.reason : 'remember';
}

test('planAutoscaler() scales by its metrics and says so', () => {
  assert.deepEqual(plan({ current: 2, use: [100, 100] }), {
    actions: ['2→4: cpu resource utilization (percentage of request) above target'],
    conditions: ['AbleToScale=True SucceededRescale', 'ScalingActive=True ValidMetricFound', 'ScalingLimited=False DesiredWithinRange'],
    sizes: '2→4',
    metrics: '100%',
  });
  assert.deepEqual(plan({ current: 2, use: [50, 50] }), {
    actions: [],
    conditions: ['AbleToScale=True ReadyForNewScale', 'ScalingActive=True ValidMetricFound', 'ScalingLimited=False DesiredWithinRange'],
    sizes: '2→2',
    metrics: '50%',
  });
});

test('planAutoscaler() shrinks only after the window, also right after its own start', () => {
  const idle = { current: 4, use: [5, 5, 5, 5] };
  assert.deepEqual([plan(idle).actions, plan(idle).conditions[0]], [[], 'AbleToScale=True ScaleDownStabilized']);
  const history = { ...emptyHistory, recommendations: [{ atMs: testNowMs - 400_000, replicas: 4 }] };
  assert.deepEqual(plan({ ...idle, history }).actions, ['4→1: All metrics below target']);
});

test('planAutoscaler() holds to its limits and to what it can read', () => {
  const cases: [string, Given, string[], string][] = [
    ['above max', { current: 12, use: [1] }, ['12→10: Current number of replicas above Spec.MaxReplicas'], 'AbleToScale=True SucceededRescale'],
    ['below min', { current: 1, use: [1], spec: { minReplicas: 3 } }, ['1→3: Current number of replicas below Spec.MinReplicas'], 'AbleToScale=True SucceededRescale'],
    ['more than max wanted', { current: 8, use: Array.from({ length: 8 }, () => 200) }, ['8→10: cpu resource utilization (percentage of request) above target'], 'ScalingLimited=True TooManyReplicas'],
    ['less than min wanted', { current: 3, use: [0, 0, 0], spec: { minReplicas: 3 }, history: { ...emptyHistory, recommendations: [{ atMs: testNowMs - 400_000, replicas: 3 }] } }, [], 'ScalingLimited=True TooFewReplicas'],
    ['switched off by 0', { current: 0 }, [], 'ScalingActive=False ScalingDisabled'],
    ['no metrics', { current: 3, use: new GantryError('unavailable', 'no metrics') }, ['FailedGetResourceMetric'], 'ScalingActive=False FailedGetResourceMetric'],
    ['no target', { current: 3, scale: { error: new GantryError('not-found', 'no web'), reason: 'FailedGetScale' } }, ['FailedGetScale'], 'AbleToScale=False FailedGetScale'],
  ];
  for (const [what, given, actions, condition] of cases) {
    const planned = plan(given);
    assert.deepEqual(planned.actions, actions, what);
    assert.ok(planned.conditions.includes(condition), `${what}: ${planned.conditions.join(', ')}`);
  }
});

test('planAutoscaler() takes the highest of several metrics and never shrinks while one is missing', () => {
  const memory: k8s.MetricSpec = { type: 'External' };
  const cpu: k8s.MetricSpec = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } };
  const history = { ...emptyHistory, recommendations: [{ atMs: testNowMs - 400_000, replicas: 4 }] };
  assert.deepEqual(plan({ current: 2, use: [100, 100], spec: { metrics: [memory, cpu] } }).sizes, '2→4');
  assert.deepEqual(plan({ current: 4, use: [1, 1, 1, 1], spec: { metrics: [memory, cpu] }, history }).sizes, '4→4');
});

test('parseDurationMs() reads Go durations', () => {
  for (const [text, expected] of [['15s', 15_000], ['1m0s', 60_000], ['1h2m3.5s', 3_723_500], ['250ms', 250], ['', 0]] as const) assert.equal(parseDurationMs(text), expected, text);
});

test('planAutoscaler() scales by metrics of pods and of objects', () => {
  const podsMetric: k8s.MetricSpec = { type: 'Pods', pods: { metric: { name: 'requests_per_second' }, target: { type: 'AverageValue', averageValue: '10' } } };
  const objectMetric = (target: Partial<k8s.MetricTarget>): k8s.MetricSpec => ({ type: 'Object', object: { describedObject: { apiVersion: 'v1', kind: 'Service', name: 'web' }, metric: { name: 'queue' }, target: { type: 'Value', ...target } } });
  const eachPod = (milli: number) => (names: string[]): ObservedAutoscaler['custom'] => new Map([[0, { pods: new Map(names.map((name) => [name, { value: milli, atMs: testNowMs, windowMs: 5000 }])) }]]);
  const value = (milli: number) => (): ObservedAutoscaler['custom'] => new Map([[0, { value: milli }]]);
  const cases: [string, Given, string[], string][] = [
    ['double the average', { current: 2, use: [1, 1], spec: { metrics: [podsMetric] }, custom: eachPod(20_000) }, ['2→4: pods metric requests_per_second above target'], '2→4'],
    ['within tolerance', { current: 2, use: [1, 1], spec: { metrics: [podsMetric] }, custom: eachPod(10_900) }, [], '2→2'],
    ['a wider tolerance', { current: 2, use: [1, 1], spec: { metrics: [podsMetric], behavior: { scaleUp: { tolerance: '500m' } } }, custom: eachPod(14_000) }, [], '2→2'],
    ['a value over its target, times the ready pods', { current: 2, use: [1, 1], spec: { metrics: [objectMetric({ value: '100' })] }, custom: value(250_000) }, ['2→5: Service metric queue above target'], '2→5'],
    ['an average over all pods', { current: 2, use: [1, 1], spec: { metrics: [objectMetric({ type: 'AverageValue', averageValue: '50' })] }, custom: value(220_000) }, ['2→5: Service metric queue above target'], '2→5'],
    ['what cannot be read changes nothing', { current: 2, use: [1, 1], spec: { metrics: [podsMetric] }, custom: () => new Map([[0, { error: new GantryError('not-found', 'no such metric') }]]) }, ['FailedGetPodsMetric'], '2→2'],
    ['nor does an object that is not measured', { current: 2, use: [1, 1], spec: { metrics: [objectMetric({ value: '1' })] } }, ['FailedGetObjectMetric'], '2→2'],
  ];
  for (const [what, given, actions, sizes] of cases) {
    const result = plan(given);
    assert.deepEqual([result.actions, result.sizes], [actions, sizes], what);
  }
});
