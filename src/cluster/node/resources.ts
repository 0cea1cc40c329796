import { type k8s, quantityMilliValue, quantityValue } from '../../api/mod.ts';
import type { PodContainerSpec, SandboxSpec } from './ports.ts';
import { qosClassOf } from './qos.ts';
import { isSidecar } from './restart-policy.ts';

const quotaPeriodMicros = 100_000;
/** The kernel's lower limits. */
const minShares = 2;
const minQuotaMicros = 1_000;

/** The kernel's oom_score_adj of a container: the more of its request it may exceed, the sooner it goes (Kubernetes, "Node out of memory behavior"). */
export function oomScoreAdj(spec: k8s.PodSpec, container: k8s.Container, nodeMemoryBytes: number): number {
  const qos = qosClassOf(spec);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const requested = toWhole(container.resources?.requests?.['memory'] ?? container.resources?.limits?.['memory']);
  return Math.min(999, Math.max(3, Math.floor(1000 - (1000 * requested) / nodeMemoryBytes)));
}

/** A container's cgroup values. CPU without a request gets the least share, so that whoever asked gets theirs. */
export function toContainerResources(spec: k8s.PodSpec, container: k8s.Container, limits: { nodeMemoryBytes: number; podPidsLimit: number }): PodContainerSpec['resources'] {
  const { requests, limits: own } = container.resources ?? {};
  const cpuLimit = toMilli(own?.['cpu']);
  const memoryLimitBytes = toWhole(own?.['memory']);
  return {
    cpuShares: toShares(toMilli(requests?.['cpu'] ?? own?.['cpu'])),
    ...(cpuLimit > 0 ? { cpuQuotaMicros: toQuota(cpuLimit), cpuPeriodMicros: quotaPeriodMicros } : {}),
    ...(memoryLimitBytes > 0 ? { memoryLimitBytes } : {}),
    pidsLimit: limits.podPidsLimit,
    oomScoreAdj: oomScoreAdj(spec, container, limits.nodeMemoryBytes),
  };
}

/** The whole pod's cgroup: the sum of its containers, limits only when every container has one. Init containers run before the others. */
export function toPodCgroup(spec: k8s.PodSpec, workload: 'application' | 'job'): SandboxSpec['cgroup'] {
  const sidecars = (spec.initContainers ?? []).filter(isSidecar);
  const together = [...spec.containers, ...sidecars];
  const alone = (spec.initContainers ?? []).filter((container) => !isSidecar(container));
  const need = (kind: 'requests' | 'limits', resource: 'cpu' | 'memory', amount: (quantity: string | undefined) => number): number => {
    const of = ({ resources }: k8s.Container): number => amount(resources?.[kind]?.[resource] ?? (kind === 'requests' ? resources?.limits?.[resource] : undefined));
    return Math.max(together.reduce((sum, container) => sum + of(container), 0), ...alone.map(of));
  };
  const everyHas = (resource: string): boolean => [...together, ...alone].every(({ resources }) => resources?.limits?.[resource] !== undefined);
  return {
    qos: qosClassOf(spec),
    workload,
    cpuShares: toShares(need('requests', 'cpu', toMilli)),
    ...(everyHas('cpu') ? { cpuQuotaMicros: toQuota(need('limits', 'cpu', toMilli)) } : {}),
    ...(everyHas('memory') ? { memoryLimitBytes: need('limits', 'memory', toWhole) } : {}),
  };
}

function toShares(milli: number): number {
  return Math.max(minShares, Math.min(262_144, Math.floor((milli * 1024) / 1000)));
}

function toQuota(milli: number): number {
  return Math.max(minQuotaMicros, Math.round((milli * quotaPeriodMicros) / 1000));
}

function toMilli(quantity: string | undefined): number {
  return quantity === undefined ? 0 : quantityMilliValue(quantity);
}

function toWhole(quantity: string | undefined): number {
  return quantity === undefined ? 0 : quantityValue(quantity);
}
