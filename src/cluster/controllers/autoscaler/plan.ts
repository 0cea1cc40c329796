import { type k8s, quantityMilliValue, type Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { formatError } from '../../../kernel/mod.ts';
import { toTimestamp, withCondition } from '../conditions.ts';
import { type Limited, limitRate, type ScalingLimits, stabilize } from './behavior.ts';
import { type History, withRecommendation } from './history.ts';
import { measureCustom } from './custom-count.ts';
import type { CustomReading } from './custom-metrics.ts';
import type { PodUsage } from './pod-groups.ts';
import { type Measured, measure } from './replica-count.ts';

export type Autoscaler = Stored<k8s.HorizontalPodAutoscaler> & { spec: k8s.HorizontalPodAutoscalerSpec };

/** The target's size; or why it could not be read. */
export type ObservedScale = { replicas: number; pods: readonly Stored<k8s.Pod>[]; selector?: string } | { error: unknown; reason: 'FailedGetScale' | 'InvalidSelector' };

export interface ObservedAutoscaler {
  readonly autoscaler: Autoscaler;
  readonly scale: ObservedScale;
  /** Usage by pod name, or why the metrics could not be read. */
  readonly usage: { readonly of: (resource: string, container?: string) => ReadonlyMap<string, PodUsage> } | { readonly error: unknown };
  /** Readings of metrics of types Pods and Object, by their place in the list. */
  readonly custom: ReadonlyMap<number, CustomReading>;
  readonly history: History;
  readonly syncMs: number;
  readonly downscaleStabilizationMs: number;
  readonly nowMs: number;
}

export type AutoscalerAction =
  | { type: 'remember'; history: History }
  | { type: 'scale'; from: number; to: number; reason: string }
  | { type: 'warn'; reason: string; message: string };

type Conditions = k8s.HorizontalPodAutoscalerCondition[];
type Condition = [type: string, status: 'True' | 'False', reason: string, message: string];

/** Kubernetes' default: 10 % off the target is no reason to scale. */
const defaultTolerance = 0.1;

/** What an autoscaler does now: read, recommend, damp, limit. Whatever it cannot read leaves the size as it is. */
export function planAutoscaler(observed: ObservedAutoscaler): Plan<AutoscalerAction, k8s.HorizontalPodAutoscalerStatus> {
  const { autoscaler, scale, syncMs } = observed;
  const base = { requeueAfterMs: syncMs };
  if ('error' in scale) {
    const message = `the HPA controller was unable to get the target's current scale: ${formatError(scale.error)}`;
    return { ...base, actions: [{ type: 'warn', reason: scale.reason, message: formatError(scale.error) }], status: statusOf(observed, autoscaler.status?.currentReplicas, autoscaler.status?.desiredReplicas ?? 0, undefined, [['AbleToScale', 'False', scale.reason, message]]) };
  }
  const able: Condition = ['AbleToScale', 'True', 'SucceededGetScale', "the HPA controller was able to get the target's current scale"];
  const { replicas: current } = scale;
  const { minReplicas: min = 1, maxReplicas: max } = autoscaler.spec;
  if (current === 0 && min !== 0) {
    return { ...base, actions: [], status: statusOf(observed, 0, 0, undefined, [able, ['ScalingActive', 'False', 'ScalingDisabled', 'scaling is disabled since the replica count of the target is zero']]) };
  }
  if (current > max) return { ...base, ...resize(observed, current, max, 'Current number of replicas above Spec.MaxReplicas', [able]) };
  if (current < min) return { ...base, ...resize(observed, current, min, 'Current number of replicas below Spec.MinReplicas', [able]) };
  return { ...base, ...planFromMetrics(observed, current, able) };
}

type Step = Pick<Plan<AutoscalerAction, k8s.HorizontalPodAutoscalerStatus>, 'actions' | 'status'>;

function planFromMetrics(observed: ObservedAutoscaler, current: number, able: Condition): Step {
  const { autoscaler, history, nowMs } = observed;
  const { measured, failures } = measureAll(observed, current);
  const best = measured.toSorted((a, b) => b.replicas - a.replicas)[0];
  const metrics = measured.map(({ status }) => status);
  // With a metric missing the others may still ask for more, never for less.
  if (best === undefined || (failures.length > 0 && best.replicas < current)) {
    const failure = failures[0];
    const message = `the HPA was unable to compute the replica count: ${failure?.message ?? 'it has no metrics'}`;
    const reason = failure?.reason ?? 'InvalidMetricSourceType';
    return { actions: [{ type: 'warn', reason, message: failure?.message ?? message }], status: statusOf(observed, current, current, metrics, [able, ['ScalingActive', 'False', reason, message]]) };
  }
  const active: Condition = ['ScalingActive', 'True', 'ValidMetricFound', `the HPA was able to successfully calculate a replica count from ${best.name}`];
  const { minReplicas: min = 1, maxReplicas: max, behavior } = autoscaler.spec;
  const known = history.recommendations.length > 0 ? history : withRecommendation(history, nowMs, current);
  const limits: ScalingLimits = { current, min, max, behavior, downscaleStabilizationMs: observed.downscaleStabilizationMs, history: known, nowMs };
  const stable = stabilize(best.replicas, limits);
  const limited = limitRate(Math.max(min, Math.min(max, stable)), limits);
  const reason = limited.replicas > current ? `${best.name} above target` : 'All metrics below target';
  const conditions: Condition[] = [stabilization(best.replicas, stable), active, limitation(limited, stable, min, max)];
  const step = resize(observed, current, limited.replicas, reason, conditions, metrics);
  return { ...step, actions: [{ type: 'remember', history: withRecommendation(known, nowMs, best.replicas) }, ...step.actions] };
}

function measureAll(observed: ObservedAutoscaler, current: number): { measured: Measured[]; failures: { reason: string; message: string }[] } {
  const { autoscaler, usage, scale, nowMs } = observed;
  const { behavior } = autoscaler.spec;
  const toleranceOf = (text: string | undefined): number => (text === undefined ? defaultTolerance : quantityMilliValue(text) / 1000);
  const tolerance = { up: toleranceOf(behavior?.scaleUp?.tolerance), down: toleranceOf(behavior?.scaleDown?.tolerance) };
  const metrics = autoscaler.spec.metrics ?? [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }];
  const measured: Measured[] = [];
  const failures: { reason: string; message: string }[] = [];
  for (const [index, metric] of metrics.entries()) {
    try {
      const input = { currentReplicas: current, pods: 'pods' in scale ? scale.pods : [], tolerance, nowMs };
      const isCustom = metric.type === 'Pods' || metric.type === 'Object';
      if (!isCustom && 'error' in usage) throw usage.error;
      measured.push(isCustom ? measureCustom(metric, observed.custom.get(index), { ...input, usageOf: () => new Map() }) : measure(metric, { ...input, usageOf: 'error' in usage ? () => new Map() : usage.of }));
    } catch (error) {
      const reason = metric.type === 'External' ? 'InvalidMetricSourceType' : `FailedGet${metric.type}Metric`;
      failures.push({ reason, message: formatError(error) });
    }
  }
  return { measured, failures };
}

function stabilization(wish: number, stable: number): Condition {
  if (wish < stable) return ['AbleToScale', 'True', 'ScaleDownStabilized', 'recent recommendations were higher than current one, applying the highest recent recommendation'];
  if (wish > stable) return ['AbleToScale', 'True', 'ScaleUpStabilized', 'recent recommendations were lower than current one, applying the lowest recent recommendation'];
  return ['AbleToScale', 'True', 'ReadyForNewScale', 'recommended size matches current size'];
}

function limitation({ limit }: Limited, stable: number, min: number, max: number): Condition {
  if (limit === 'TooManyReplicas' || stable > max) return ['ScalingLimited', 'True', 'TooManyReplicas', 'the desired replica count is more than the maximum replica count'];
  if (limit === 'TooFewReplicas' || stable < min) return ['ScalingLimited', 'True', 'TooFewReplicas', 'the desired replica count is less than the minimum replica count'];
  if (limit === 'ScaleUpLimit') return ['ScalingLimited', 'True', 'ScaleUpLimit', 'the desired replica count is increasing faster than the maximum scale rate'];
  if (limit === 'ScaleDownLimit') return ['ScalingLimited', 'True', 'ScaleDownLimit', 'the desired replica count is decreasing faster than the maximum scale rate'];
  return ['ScalingLimited', 'False', 'DesiredWithinRange', 'the desired count is within the acceptable range'];
}

function resize(observed: ObservedAutoscaler, current: number, desired: number, reason: string, conditions: Condition[], metrics?: k8s.MetricStatus[]): Step {
  if (desired === current) return { actions: [], status: statusOf(observed, current, current, metrics, conditions) };
  const rescaled: Condition = ['AbleToScale', 'True', 'SucceededRescale', `the HPA controller was able to update the target scale to ${desired}`];
  const status = statusOf(observed, current, desired, metrics, [...conditions, rescaled]);
  return { actions: [{ type: 'scale', from: current, to: desired, reason }], status: { ...status, lastScaleTime: toTimestamp(observed.nowMs) } };
}

function statusOf({ autoscaler, nowMs }: ObservedAutoscaler, currentReplicas: number | undefined, desiredReplicas: number, currentMetrics: k8s.MetricStatus[] | undefined, conditions: Condition[]): k8s.HorizontalPodAutoscalerStatus {
  const set = (all: Conditions, [type, status, reason, message]: Condition): Conditions => withCondition(all, { type, status, reason, message }, nowMs);
  return {
    observedGeneration: autoscaler.metadata.generation,
    lastScaleTime: autoscaler.status?.lastScaleTime,
    currentReplicas,
    desiredReplicas,
    currentMetrics: currentMetrics ?? autoscaler.status?.currentMetrics,
    conditions: conditions.reduce(set, autoscaler.status?.conditions ?? []),
  };
}
