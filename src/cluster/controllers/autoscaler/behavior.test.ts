import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { testNowMs } from '../testing/objects.ts';
import { limitRate, type ScalingLimits, stabilize } from './behavior.ts';
import type { Dated } from './history.ts';

type Ago = [secondsAgo: number, replicas: number];

function limits(current: number, over: { behavior?: k8s.HorizontalPodAutoscalerBehavior; recommendations?: Ago[]; ups?: Ago[]; downs?: Ago[]; min?: number; max?: number } = {}): ScalingLimits {
  const dated = (entries: Ago[] = []): Dated[] => entries.map(([secondsAgo, replicas]) => ({ atMs: testNowMs - secondsAgo * 1000, replicas }));
  return {
    current,
    min: over.min ?? 1,
    max: over.max ?? 100,
    behavior: over.behavior,
    downscaleStabilizationMs: 300_000,
    history: { recommendations: dated(over.recommendations), scaleUps: dated(over.ups), scaleDowns: dated(over.downs) },
    nowMs: testNowMs,
  };
}

test('stabilize() shrinks to the highest of the window and grows at once', () => {
  const cases: [string, number, ScalingLimits, number][] = [
    ['growing needs no window', 8, limits(4, { recommendations: [[10, 2]] }), 8],
    ['shrinking waits for the window', 2, limits(6, { recommendations: [[299, 6], [10, 3]] }), 6],
    ['shrinks to what was wanted since', 2, limits(6, { recommendations: [[301, 6], [10, 3]] }), 3],
    ['a window of 0 shrinks at once', 2, limits(6, { recommendations: [[10, 6]], behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } }), 2],
    ['a scale-up window grows to the lowest', 9, limits(4, { recommendations: [[30, 6], [90, 5]], behavior: { scaleUp: { stabilizationWindowSeconds: 60 } } }), 6],
    ['a recent low holds growth back', 9, limits(4, { recommendations: [[30, 3]], behavior: { scaleUp: { stabilizationWindowSeconds: 60 } } }), 4],
  ];
  for (const [what, desired, given, expected] of cases) assert.equal(stabilize(desired, given), expected, what);
});

test('limitRate() holds a wish within policies, min and max', () => {
  const pods = (value: number, periodSeconds = 60): k8s.HPAScalingPolicy => ({ type: 'Pods', value, periodSeconds });
  const percent = (value: number, periodSeconds = 60): k8s.HPAScalingPolicy => ({ type: 'Percent', value, periodSeconds });
  const up = (...policies: k8s.HPAScalingPolicy[]): k8s.HorizontalPodAutoscalerBehavior => ({ scaleUp: { policies } });
  const down = (...policies: k8s.HPAScalingPolicy[]): k8s.HorizontalPodAutoscalerBehavior => ({ scaleDown: { policies } });
  const cases: [string, number, ScalingLimits, object][] = [
    ['default: four more', 20, limits(1), { replicas: 5, limit: 'ScaleUpLimit' }],
    ['default: twice as many', 50, limits(10), { replicas: 20, limit: 'ScaleUpLimit' }],
    ['default: down to min at once', 1, limits(50, { min: 1 }), { replicas: 1 }],
    ['what was added in the period counts', 20, limits(8, { behavior: up(pods(4)), ups: [[30, 3], [70, 4]] }), { replicas: 9, limit: 'ScaleUpLimit' }],
    ['the larger policy', 50, limits(10, { behavior: up(pods(2), percent(50)) }), { replicas: 15, limit: 'ScaleUpLimit' }],
    ['the smaller policy when asked', 50, limits(10, { behavior: { scaleUp: { selectPolicy: 'Min', policies: [pods(2), percent(50)] } } }), { replicas: 12, limit: 'ScaleUpLimit' }],
    ['disabled', 50, limits(10, { behavior: { scaleUp: { selectPolicy: 'Disabled' } } }), { replicas: 10, limit: 'ScaleUpLimit' }],
    ['max', 50, limits(40, { max: 45 }), { replicas: 45, limit: 'TooManyReplicas' }],
    ['down by policy', 1, limits(10, { behavior: down(pods(3)) }), { replicas: 7, limit: 'ScaleDownLimit' }],
    ['down what is left of the period', 1, limits(10, { behavior: down(pods(3)), downs: [[30, 2]] }), { replicas: 9, limit: 'ScaleDownLimit' }],
    ['down by percent rounds towards fewer', 1, limits(9, { behavior: down(percent(10)) }), { replicas: 8, limit: 'ScaleDownLimit' }],
    ['min', 1, limits(10, { min: 4 }), { replicas: 4, limit: 'TooFewReplicas' }],
    ['no change', 10, limits(10), { replicas: 10 }],
  ];
  for (const [what, desired, given, expected] of cases) assert.deepEqual(limitRate(desired, given), expected, what);
});
