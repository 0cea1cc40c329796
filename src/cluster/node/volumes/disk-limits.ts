import { type k8s, quantityValue } from '../../../api/mod.ts';
import type { PodEnding } from '../pod-view.ts';

/** What a pod's emptyDir volumes on disk may hold, in bytes. */
export interface DiskLimits {
  /** Volume name → its `sizeLimit`. */
  readonly volumes: ReadonlyMap<string, number>;
  /** The sum of its containers' `ephemeral-storage` limits, when every one has one. */
  readonly total: number | undefined;
}

/** The pod's limits, or undefined when it has none that have to be looked after. */
export function diskLimitsOf(spec: k8s.PodSpec): DiskLimits | undefined {
  const onDisk = (spec.volumes ?? []).filter(({ emptyDir }) => emptyDir !== undefined && emptyDir.medium !== 'Memory');
  const volumes = new Map(onDisk.flatMap(({ name, emptyDir }) => (emptyDir?.sizeLimit === undefined ? [] : [[name, quantityValue(emptyDir.sizeLimit)] as const])));
  const limits = spec.containers.map(({ resources }) => resources?.limits?.['ephemeral-storage']);
  const total = onDisk.length > 0 && limits.every((limit) => limit !== undefined) ? limits.reduce((sum, limit) => sum + quantityValue(limit), 0) : undefined;
  return volumes.size === 0 && total === undefined ? undefined : { volumes, total };
}

/** Why the pod has to go, if it uses more than it may (Kubernetes, "Local ephemeral storage"). */
export function planEviction(limits: DiskLimits, usedBytes: ReadonlyMap<string, number>): PodEnding | undefined {
  for (const [name, limit] of limits.volumes) {
    if ((usedBytes.get(name) ?? 0) > limit) return { reason: 'Evicted', message: `Usage of EmptyDir volume "${name}" exceeds the limit of ${limit} bytes` };
  }
  const sum = [...usedBytes.values()].reduce((total, bytes) => total + bytes, 0);
  if (limits.total !== undefined && sum > limits.total) return { reason: 'Evicted', message: `Pod ephemeral local storage usage exceeds the total limit of its containers, ${limits.total} bytes` };
  return undefined;
}
