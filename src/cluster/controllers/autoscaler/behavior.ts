import type { k8s } from '../../../api/mod.ts';
import type { Dated, History } from './history.ts';

export interface ScalingLimits {
  readonly current: number;
  readonly min: number;
  readonly max: number;
  readonly behavior: k8s.HorizontalPodAutoscalerBehavior | undefined;
  /** The scale-down window of autoscalers that do not name one. */
  readonly downscaleStabilizationMs: number;
  readonly history: History;
  readonly nowMs: number;
}

export interface Limited {
  readonly replicas: number;
  /** Which limit decided, in the words of the condition ScalingLimited; undefined when none did. */
  readonly limit?: 'ScaleUpLimit' | 'ScaleDownLimit' | 'TooFewReplicas' | 'TooManyReplicas';
}

type Rules = Required<Pick<k8s.HPAScalingRules, 'policies' | 'selectPolicy'>>;

const defaultUp: Rules = { selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }] };
const defaultDown: Rules = { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] };

/** Damps a recommendation: growing takes the lowest of the scale-up window, shrinking the highest of the scale-down window. */
export function stabilize(desired: number, { current, behavior, downscaleStabilizationMs, history, nowMs }: ScalingLimits): number {
  const upMs = (behavior?.scaleUp?.stabilizationWindowSeconds ?? 0) * 1000;
  const downMs = behavior?.scaleDown?.stabilizationWindowSeconds === undefined ? downscaleStabilizationMs : behavior.scaleDown.stabilizationWindowSeconds * 1000;
  const within = (windowMs: number): number[] => history.recommendations.filter(({ atMs }) => nowMs - atMs < windowMs).map(({ replicas }) => replicas);
  const lowest = Math.min(desired, ...within(upMs));
  const highest = Math.max(desired, ...within(downMs));
  return Math.min(Math.max(current, lowest), highest);
}

/** Holds a wish within min and max and within what the policies allow in their periods. */
export function limitRate(desired: number, limits: ScalingLimits): Limited {
  const { current, min, max, behavior } = limits;
  if (desired > current) {
    const allowed = Math.max(current, scaleUpLimit(limits, { ...defaultUp, ...defined(behavior?.scaleUp) }));
    if (desired <= Math.min(allowed, max)) return { replicas: desired };
    return max <= allowed ? { replicas: max, limit: 'TooManyReplicas' } : { replicas: allowed, limit: 'ScaleUpLimit' };
  }
  if (desired < current) {
    const allowed = Math.min(current, scaleDownLimit(limits, { ...defaultDown, ...defined(behavior?.scaleDown) }));
    if (desired >= Math.max(allowed, min)) return { replicas: desired };
    return min >= allowed ? { replicas: min, limit: 'TooFewReplicas' } : { replicas: allowed, limit: 'ScaleDownLimit' };
  }
  return { replicas: desired };
}

function defined({ policies, selectPolicy }: k8s.HPAScalingRules = {}): Partial<Rules> {
  return { ...(policies === undefined ? {} : { policies }), ...(selectPolicy === undefined ? {} : { selectPolicy }) };
}

function scaleUpLimit({ current, history, nowMs }: ScalingLimits, { policies, selectPolicy }: Rules): number {
  if (selectPolicy === 'Disabled') return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - sumWithin(history.scaleUps, periodSeconds, nowMs) + sumWithin(history.scaleDowns, periodSeconds, nowMs);
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits);
}

function scaleDownLimit({ current, history, nowMs }: ScalingLimits, { policies, selectPolicy }: Rules): number {
  if (selectPolicy === 'Disabled') return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current + sumWithin(history.scaleDowns, periodSeconds, nowMs) - sumWithin(history.scaleUps, periodSeconds, nowMs);
    return type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100));
  });
  // "Min" means the smallest change.
  return selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits);
}

function sumWithin(entries: readonly Dated[], periodSeconds: number, nowMs: number): number {
  return entries.filter(({ atMs }) => nowMs - atMs < periodSeconds * 1000).reduce((sum, { replicas }) => sum + replicas, 0);
}
