import type { k8s } from '../../../api/mod.ts';

export interface Fenceposts {
  /** How many pods may exist beyond the wanted number. */
  readonly maxSurge: number;
  /** How many of the wanted number may be missing. */
  readonly maxUnavailable: number;
}

/** maxSurge and maxUnavailable as numbers: percentages of the replicas, surge rounded up, unavailable down, never both 0. Recreate: both 0. */
export function fencepostsOf({ replicas = 1, strategy }: k8s.DeploymentSpec): Fenceposts {
  if (strategy?.type === 'Recreate') return { maxSurge: 0, maxUnavailable: 0 };
  const maxSurge = resolve(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, Math.ceil);
  const maxUnavailable = Math.min(replicas, resolve(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, Math.floor));
  return { maxSurge, maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable };
}

/** An int-or-string: a count, or a percentage of `total`. */
export function resolve(value: number | string, total: number, round: (exact: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent === null ? 0 : round((Number(percent[1]) * total) / 100);
}
