import type { k8s } from '../../../api/mod.ts';

export interface Eviction {
  readonly atMs: number;
  /** The taint's key. */
  readonly taint: string;
}

/** What Kubernetes' admission gives every pod that does not say otherwise. */
const defaultTolerationSeconds = 300;
const defaultTolerated = new Set(['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']);

/** When a pod has to leave a node with these taints; undefined when it may stay. */
export function evictionTimeMs(pod: k8s.Pod, taints: readonly k8s.Taint[], nowMs: number): Eviction | undefined {
  const times = taints.flatMap((taint): Eviction[] => {
    if (taint.effect !== 'NoExecute') return [];
    const matching = (pod.spec?.tolerations ?? []).filter((toleration) => tolerates(toleration, taint));
    const seconds = matching.length > 0 ? toleratedSeconds(matching) : defaultTolerated.has(taint.key) ? defaultTolerationSeconds : 0;
    const sinceMs = Date.parse(taint.timeAdded ?? '');
    return seconds === undefined ? [] : [{ atMs: (Number.isNaN(sinceMs) ? nowMs : sinceMs) + seconds * 1000, taint: taint.key }];
  });
  return times.toSorted((a, b) => a.atMs - b.atMs)[0];
}

/** The shortest time of those that name one; undefined is for ever. */
function toleratedSeconds(tolerations: readonly k8s.Toleration[]): number | undefined {
  const named = tolerations.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
  return named.length === 0 ? undefined : Math.max(0, Math.min(...named));
}

function tolerates({ key, operator, value, effect }: k8s.Toleration, taint: k8s.Taint): boolean {
  if (effect !== undefined && effect !== '' && effect !== taint.effect) return false;
  if (key === undefined || key === '') return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''));
}
