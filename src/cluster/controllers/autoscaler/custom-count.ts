import { type k8s, quantityMilliValue } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { readyCondition } from '../pods/readiness.ts';
import type { CustomReading } from './custom-metrics.ts';
import { groupPods } from './pod-groups.ts';
import { countReplicas, type Measured, type MetricInput } from './replica-count.ts';

/** Replicas for one metric of type Pods or Object. `unavailable` when it could not be read. */
export function measureCustom(metric: k8s.MetricSpec, reading: CustomReading | undefined, input: MetricInput): Measured {
  if (reading === undefined) throw new GantryError('unavailable', 'the metric was not read');
  if ('error' in reading) throw reading.error;
  if (metric.pods !== undefined && 'pods' in reading) return measurePods(metric.pods, reading.pods, input);
  if (metric.object !== undefined && 'value' in reading) return measureObject(metric.object, reading.value, input);
  throw new GantryError('internal', `a reading that does not fit a metric of type ${metric.type}`);
}

/** As for resources with an average value, but that values of pods that are just starting count. */
function measurePods({ metric, target }: k8s.PodsMetricSource, usage: Extract<CustomReading, { pods: unknown }>['pods'], input: MetricInput): Measured {
  const groups = groupPods(input.pods, usage, '', input.nowMs);
  const counted = new Map(groups.ready.map((pod) => [pod.metadata.name, usage.get(pod.metadata.name)?.value ?? 0]));
  if (counted.size === 0) throw new GantryError('unavailable', `unable to get metric ${metric.name}: no metrics returned from custom metrics API for the pods`);
  const wanted = quantityMilliValue(target.averageValue);
  const replicas = countReplicas(counted, groups, { of: () => wanted, fallbackOf: () => wanted }, input);
  const average = Math.ceil([...counted.values()].reduce((sum, value) => sum + value, 0) / counted.size);
  return { replicas, name: `pods metric ${metric.name}`, status: { type: 'Pods', pods: { metric, current: { averageValue: milliText(average) } } } };
}

function measureObject({ describedObject, metric, target }: k8s.ObjectMetricSource, value: number, { currentReplicas, pods, tolerance }: MetricInput): Measured {
  const name = `${describedObject.kind} metric ${metric.name}`;
  const isTolerable = (ratio: number): boolean => ratio >= 1 - tolerance.down && ratio <= 1 + tolerance.up;
  const status = (current: k8s.MetricValueStatus): k8s.MetricStatus => ({ type: 'Object', object: { describedObject, metric, current } });
  if (target.averageValue !== undefined) {
    const wanted = quantityMilliValue(target.averageValue);
    const ratio = currentReplicas === 0 ? Infinity : value / (wanted * currentReplicas);
    return { replicas: isTolerable(ratio) ? currentReplicas : Math.ceil(value / wanted), name, status: status({ averageValue: milliText(Math.ceil(value / Math.max(1, currentReplicas))) }) };
  }
  const ratio = value / quantityMilliValue(target.value);
  const ready = pods.filter((pod) => pod.status?.phase === 'Running' && readyCondition(pod)?.status === 'True').length;
  const replicas = isTolerable(ratio) ? currentReplicas : Math.ceil(ratio * (currentReplicas === 0 ? 1 : ready));
  return { replicas, name, status: status({ value: milliText(value) }) };
}

function milliText(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}
