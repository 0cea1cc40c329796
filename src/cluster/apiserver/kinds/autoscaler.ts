import { parseQuantity, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { Strategy } from './kind.ts';
import { validateNonNegative, validateSelector } from './pod-template.ts';

/** How fast an autoscaler moves when only a part of its behaviour is given (HPA v2 documentation, "Default Behavior"). */
const defaultRules: Readonly<Record<'scaleUp' | 'scaleDown', k8s.HPAScalingRules>> = {
  scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }] },
  scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
};

/** HorizontalPodAutoscalers. */
export const autoscalerStrategy: Strategy<k8s.HorizontalPodAutoscaler> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.minReplicas ??= 1;
    if ((spec.metrics?.length ?? 0) === 0) spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }];
    if (spec.behavior === undefined) return;
    for (const direction of ['scaleUp', 'scaleDown'] as const) spec.behavior[direction] = { ...structuredClone(defaultRules[direction]), ...spec.behavior[direction] };
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.maxReplicas');
    const { minReplicas = 1, maxReplicas, scaleTargetRef } = spec;
    if (minReplicas < 1) errors.invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1');
    if (maxReplicas < 1) errors.invalid('spec.maxReplicas', maxReplicas, 'must be greater than 0');
    else if (maxReplicas < minReplicas) errors.invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`');
    if (scaleTargetRef.kind === '') errors.required('spec.scaleTargetRef.kind');
    if (scaleTargetRef.name === '') errors.required('spec.scaleTargetRef.name');
    for (const [index, metric] of (spec.metrics ?? []).entries()) validateMetric(metric, `spec.metrics[${index}]`, errors);
    for (const direction of ['scaleUp', 'scaleDown'] as const) validateRules(spec.behavior?.[direction], `spec.behavior.${direction}`, errors);
  },
};

/** Metric type → the field that describes it. */
const metricFields = { Resource: 'resource', ContainerResource: 'containerResource', Pods: 'pods', Object: 'object', External: 'external' } as const;

function validateMetric(metric: k8s.MetricSpec, at: string, errors: FieldErrors): void {
  const field = metricFields[metric.type as keyof typeof metricFields];
  if (field === undefined) return errors.unsupported(`${at}.type`, metric.type, Object.keys(metricFields));
  const source = metric[field];
  if (source === undefined) return errors.required(`${at}.${field}`, `must populate information for the given metric source`);
  for (const other of Object.values(metricFields)) if (other !== field && metric[other] !== undefined) errors.forbidden(`${at}.${other}`, 'must populate the given metric source only');
  validateTarget(source.target, `${at}.${field}.target`, errors);
  if (metric.pods !== undefined) validatePods(metric.pods, `${at}.pods`, errors);
  if (metric.object !== undefined) validateObject(metric.object, `${at}.object`, errors);
}

function validatePods({ metric, target }: k8s.PodsMetricSource, at: string, errors: FieldErrors): void {
  if (metric.name === '') errors.required(`${at}.metric.name`, 'must specify a metric name');
  validateSelector(metric.selector, `${at}.metric.selector`, errors);
  if (target.averageValue === undefined || parseQuantity(target.averageValue).nano <= 0n) errors.required(`${at}.target.averageValue`, 'must specify a positive target averageValue');
}

function validateObject({ describedObject, metric, target }: k8s.ObjectMetricSource, at: string, errors: FieldErrors): void {
  if (describedObject.kind === '') errors.required(`${at}.describedObject.kind`);
  if (describedObject.name === '') errors.required(`${at}.describedObject.name`);
  if (metric.name === '') errors.required(`${at}.metric.name`, 'must specify a metric name');
  validateSelector(metric.selector, `${at}.metric.selector`, errors);
  if (target.value !== undefined && target.averageValue !== undefined) errors.forbidden(`${at}.target.averageValue`, 'may not set both a target value for metric and a per-pod target');
  else if (target.value === undefined && target.averageValue === undefined) errors.required(`${at}.target.averageValue`, 'must set either a target value for metric or a per-pod target');
}

function validateTarget({ type, averageUtilization, averageValue, value }: k8s.MetricTarget, at: string, errors: FieldErrors): void {
  if (!['Utilization', 'Value', 'AverageValue'].includes(type)) errors.invalid(`${at}.type`, type, 'must be either Utilization, Value, or AverageValue');
  if (averageUtilization === undefined && averageValue === undefined && value === undefined) errors.required(`${at}.averageUtilization`, 'must set either a target raw value or a target utilization');
  if (averageUtilization !== undefined && averageUtilization < 1) errors.invalid(`${at}.averageUtilization`, averageUtilization, 'must be greater than 0');
}

function validateRules(rules: k8s.HPAScalingRules | undefined, at: string, errors: FieldErrors): void {
  if (rules === undefined) return;
  validateNonNegative(rules.stabilizationWindowSeconds, `${at}.stabilizationWindowSeconds`, errors);
  if ((rules.stabilizationWindowSeconds ?? 0) > 3600) errors.invalid(`${at}.stabilizationWindowSeconds`, rules.stabilizationWindowSeconds, 'must be less than or equal to 3600');
  if (rules.selectPolicy !== undefined && !['Max', 'Min', 'Disabled'].includes(rules.selectPolicy)) errors.unsupported(`${at}.selectPolicy`, rules.selectPolicy, ['Disabled', 'Max', 'Min']);
  if (rules.policies?.length === 0) errors.required(`${at}.policies`, 'must specify at least one Policy');
  for (const [index, policy] of (rules.policies ?? []).entries()) {
    const place = `${at}.policies[${index}]`;
    if (policy.type !== 'Pods' && policy.type !== 'Percent') errors.unsupported(`${place}.type`, policy.type, ['Percent', 'Pods']);
    if (policy.value <= 0) errors.invalid(`${place}.value`, policy.value, 'must be greater than zero');
    if (policy.periodSeconds <= 0) errors.invalid(`${place}.periodSeconds`, policy.periodSeconds, 'must be greater than zero');
    else if (policy.periodSeconds > 1800) errors.invalid(`${place}.periodSeconds`, policy.periodSeconds, 'must be less than or equal to 1800');
  }
}
