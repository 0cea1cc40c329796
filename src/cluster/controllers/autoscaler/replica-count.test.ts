import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { podOf, type PodFields, testNowMs } from '../testing/objects.ts';
import type { PodUsage } from './pod-groups.ts';
import { measure } from './replica-count.ts';

/** Usage in millicores; undefined: not measured. */
type Sample = Partial<PodFields> & { use?: number; measuredSecondsAgo?: number };

function count(currentReplicas: number, target: k8s.MetricTarget, samples: Sample[], request = '100m'): string {
  const named = samples.map((sample, index) => ({ ...sample, name: `p${index}` }));
  const pods = named.map((sample) => podOf({ readySeconds: 900, containers: [{ name: 'app', resources: { requests: { cpu: request } } }], ...sample }));
  const usage = new Map(named.flatMap(({ name, use, measuredSecondsAgo = 5 }): [string, PodUsage][] => (use === undefined ? [] : [[name, { value: use, atMs: testNowMs - measuredSecondsAgo * 1000, windowMs: 15_000 }]])));
  const { replicas, status } = measure({ type: 'Resource', resource: { name: 'cpu', target } }, { currentReplicas, pods, usageOf: () => usage, tolerance: { up: 0.1, down: 0.1 }, nowMs: testNowMs });
  const { averageUtilization, averageValue } = status.resource?.current ?? {};
  return `${replicas}, now ${averageValue ?? ''}${averageUtilization === undefined ? '' : ` ${averageUtilization}%`}`;
}

const half: k8s.MetricTarget = { type: 'Utilization', averageUtilization: 50 };
const starting: Sample = { ageSeconds: 20, readySeconds: 5, measuredSecondsAgo: 1 };

test('measure() recommends by usage over target', () => {
  const cases: [string, string, string][] = [
    ['double the target', count(2, half, [{ use: 100 }, { use: 100 }]), '4, now 100m 100%'],
    ['half the target', count(4, half, [{ use: 25 }, { use: 25 }, { use: 25 }, { use: 25 }]), '2, now 25m 25%'],
    ['rounds up', count(3, half, [{ use: 70 }, { use: 70 }, { use: 70 }]), '5, now 70m 70%'],
    ['within 10 % nothing happens', count(2, half, [{ use: 54 }, { use: 55 }]), '2, now 55m 54%'],
    ['beyond it does', count(2, half, [{ use: 56 }, { use: 56 }]), '3, now 56m 56%'],
    ['average value', count(2, { type: 'AverageValue', averageValue: '50m' }, [{ use: 100 }, { use: 50 }]), '3, now 75m'],
    ['pods that are leaving or finished do not count', count(1, half, [{ use: 100 }, { use: 1, isDeleting: true }, { use: 1, phase: 'Failed' }]), '2, now 100m 100%'],
    ['a pod without usage takes part in growth as idle', count(3, half, [{ use: 100 }, { use: 100 }, {}]), '4, now 100m 100%'],
    ['and in shrinking as fully used', count(3, half, [{ use: 10 }, { use: 10 }, {}]), '3, now 10m 10%'],
    ['growth that an idle pod already serves is none', count(2, half, [{ use: 90 }, {}]), '2, now 90m 90%'],
    ['a pod that is just starting takes part in growth as idle', count(2, half, [{ use: 150 }, { use: 300, ...starting }]), '3, now 150m 150%'],
    ['and not at all in shrinking', count(2, half, [{ use: 10 }, { use: 300, ...starting }]), '1, now 10m 10%'],
    ['once measured while ready it counts', count(2, half, [{ use: 100 }, { use: 100, ageSeconds: 60, readySeconds: 40 }]), '4, now 100m 100%'],
    ['pending pods hold growth back', count(3, half, [{ use: 100 }, { phase: 'Pending', readySeconds: undefined }, { phase: 'Pending', readySeconds: undefined }]), '3, now 100m 100%'],
  ];
  for (const [what, actual, expected] of cases) assert.equal(actual, expected, what);
});

test('measure() says what it lacks', () => {
  assert.throws(() => count(1, half, [{}]), /did not receive metrics/);
  assert.throws(() => count(1, half, [{ use: 5, containers: [{ name: 'app' }] }]), /missing request for cpu in container app of Pod p0/);
  assert.throws(() => measure({ type: 'External' }, { currentReplicas: 1, pods: [], usageOf: () => new Map(), tolerance: { up: 0.1, down: 0.1 }, nowMs: 0 }), { code: 'unsupported' });
});
