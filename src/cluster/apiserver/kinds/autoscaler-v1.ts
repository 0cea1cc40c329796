import { isFields, type k8s } from '../../../api/mod.ts';
import type { ApiObject, Conversion } from './kind.ts';

type V1 = k8s.HorizontalPodAutoscalerV1;
type V2 = k8s.HorizontalPodAutoscaler;

/** Where the older version keeps what it has no fields for. */
const metricsAnnotation = 'autoscaling.alpha.kubernetes.io/metrics';
const behaviorAnnotation = 'autoscaling.alpha.kubernetes.io/behavior';

/** autoscaling/v1 as a view of autoscaling/v2: one CPU target is a field, everything else travels in annotations. */
export const autoscalerV1Conversion: Conversion = {
  toStored(object) {
    const { metadata, spec, status } = object as unknown as V1;
    const { [metricsAnnotation]: metrics, [behaviorAnnotation]: behavior, ...annotations } = metadata?.annotations ?? {};
    const { targetCPUUtilizationPercentage: target, ...rest } = spec ?? { maxReplicas: 0, scaleTargetRef: { kind: '', name: '' } };
    const cpu: k8s.MetricSpec[] = target === undefined ? [] : [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: target } } }];
    const all = [...listOf<k8s.MetricSpec>(metrics), ...cpu];
    const kept = parsed(behavior);
    const { currentCPUUtilizationPercentage: current, ...restStatus } = status ?? { desiredReplicas: 0, currentReplicas: 0 };
    const result: V2 = {
      metadata: { ...metadata, annotations },
      spec: { ...rest, ...(all.length === 0 ? {} : { metrics: all }), ...(isFields(kept) ? { behavior: kept } : {}) },
      ...(status === undefined ? {} : { status: { ...restStatus, ...(current === undefined ? {} : { currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: current } } }] }) } }),
    };
    if (Object.keys(annotations).length === 0) delete result.metadata?.annotations;
    return { ...result, kind: object.kind, apiVersion: 'autoscaling/v2' } as unknown as ApiObject;
  },
  fromStored(object) {
    const { metadata, spec, status } = object as unknown as V2;
    const { metrics = [], behavior, ...rest } = spec ?? { maxReplicas: 0, scaleTargetRef: { kind: '', name: '' } };
    const cpu = metrics.find(isCpuTarget);
    const others = metrics.filter((metric) => metric !== cpu);
    const annotations = { ...metadata?.annotations, ...(others.length === 0 ? {} : { [metricsAnnotation]: JSON.stringify(others) }), ...(behavior === undefined ? {} : { [behaviorAnnotation]: JSON.stringify(behavior) }) };
    const { currentMetrics, conditions: _, ...restStatus } = status ?? { desiredReplicas: 0 };
    const current = currentMetrics?.find(({ resource }) => resource?.name === 'cpu')?.resource?.current.averageUtilization;
    const target = cpu?.resource?.target.averageUtilization;
    const result: V1 = {
      metadata: { ...metadata, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) },
      spec: { ...rest, ...(target === undefined ? {} : { targetCPUUtilizationPercentage: target }) },
      ...(status === undefined ? {} : { status: { ...restStatus, currentReplicas: restStatus.currentReplicas ?? 0, ...(current === undefined ? {} : { currentCPUUtilizationPercentage: current }) } }),
    };
    return { ...result, kind: object.kind, apiVersion: 'autoscaling/v1' } as unknown as ApiObject;
  },
};

function isCpuTarget({ resource }: k8s.MetricSpec): boolean {
  return resource?.name === 'cpu' && resource.target.averageUtilization !== undefined;
}

function listOf<T>(text: string | undefined): T[] {
  const value = parsed(text);
  return Array.isArray(value) ? (value as T[]) : [];
}

/** What people wrote into the annotation by hand may be no JSON: then it says nothing. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
