import type { Healthcheck } from '../../api/mod.ts';
import type { HealthStatus } from '../types.ts';

/** A health check with its defaults (Dockerfile reference, HEALTHCHECK). Times in milliseconds. */
export interface HealthPlan {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** How many probes and how much of each one's output are kept. */
const keptProbes = 5;
const keptOutputBytes = 4096;

/** The plan of a check, or undefined for none (absent, empty, or `NONE`). `shell` runs `CMD-SHELL`. */
export function planHealthCheck(check: Healthcheck | undefined, shell: readonly string[] = ['/bin/sh', '-c']): HealthPlan | undefined {
  const [kind, ...rest] = check?.Test ?? [];
  if (check === undefined || kind === undefined || kind === 'NONE') return undefined;
  const milliseconds = (nanoseconds: number | undefined, fallback: number): number => (nanoseconds === undefined || nanoseconds === 0 ? fallback : nanoseconds / 1e6);
  return {
    command: kind === 'CMD' ? rest : kind === 'CMD-SHELL' ? [...shell, rest.join(' ')] : [kind, ...rest],
    intervalMs: milliseconds(check.Interval, 30_000),
    timeoutMs: milliseconds(check.Timeout, 30_000),
    startPeriodMs: milliseconds(check.StartPeriod, 0),
    startIntervalMs: milliseconds(check.StartInterval, 5000),
    retries: check.Retries === undefined || check.Retries === 0 ? 3 : check.Retries,
  };
}

/** The state before the first probe. */
export const startingHealth: HealthStatus = { state: 'starting', failingStreak: 0, log: [] };

export interface Probe { readonly startedAt: string; readonly finishedAt: string; readonly exitCode: number; readonly output: string }

/**
 * The state after a probe. Failures while the container is still starting and within the start period do not count; the first success ends
 * the start. Pure.
 */
export function afterProbe(status: HealthStatus, probe: Probe, plan: HealthPlan, sinceStartMs: number): HealthStatus {
  const log = [...status.log, { ...probe, output: probe.output.slice(0, keptOutputBytes) }].slice(-keptProbes);
  if (probe.exitCode === 0) return { state: 'healthy', failingStreak: 0, log };
  if (status.state === 'starting' && sinceStartMs < plan.startPeriodMs) return { ...status, log };
  const failingStreak = status.failingStreak + 1;
  return { state: failingStreak >= plan.retries ? 'unhealthy' : status.state, failingStreak, log };
}

/** How long to wait before the next probe. */
export function nextProbeMs(status: HealthStatus, plan: HealthPlan, sinceStartMs: number): number {
  return status.state === 'starting' && sinceStartMs < plan.startPeriodMs ? Math.min(plan.startIntervalMs, plan.intervalMs) : plan.intervalMs;
}
