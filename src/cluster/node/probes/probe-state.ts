import type { k8s } from '../../../api/mod.ts';

export type ProbeKind = 'startup' | 'readiness' | 'liveness';

/** Runs of equal outcomes, and what they add up to. */
export interface ProbeState {
  readonly result: 'unknown' | 'success' | 'failure';
  readonly successes: number;
  readonly failures: number;
}

export interface ProbeTiming {
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** The probe's numbers with Kubernetes' defaults (Kubernetes, "Configure Probes"). */
export function timingOf(probe: k8s.Probe): ProbeTiming {
  return {
    initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
    periodMs: Math.max(1, probe.periodSeconds ?? 10) * 1000,
    timeoutMs: Math.max(1, probe.timeoutSeconds ?? 1) * 1000,
    successThreshold: Math.max(1, probe.successThreshold ?? 1),
    failureThreshold: Math.max(1, probe.failureThreshold ?? 3),
  };
}

/** The state after one more outcome. The result changes only when a threshold is reached. */
export function nextState(state: ProbeState, isSuccess: boolean, timing: ProbeTiming): ProbeState {
  const successes = isSuccess ? state.successes + 1 : 0;
  const failures = isSuccess ? 0 : state.failures + 1;
  const result = successes >= timing.successThreshold ? 'success' : failures >= timing.failureThreshold ? 'failure' : state.result;
  return { result, successes, failures };
}

const eagerInitialMs = 50;

/**
 * How long to wait before the next probe, and whether a failure of it counts.
 * Until the first success of a startup or readiness probe it is also tried between the periods, soon at first and then
 * ever more rarely, so that a container is ready when it is and not a period later; such an extra failure never counts.
 */
export function planNextProbe(kind: ProbeKind, state: ProbeState, timing: ProbeTiming, tries: number, sincePeriodMs: number): { delayMs: number; counts: boolean } {
  const untilPeriodMs = Math.max(0, timing.periodMs - sincePeriodMs);
  if (kind === 'liveness' || state.result === 'success' || state.successes > 0) return { delayMs: untilPeriodMs, counts: true };
  const eagerMs = eagerInitialMs * 1.6 ** tries;
  return eagerMs < untilPeriodMs ? { delayMs: eagerMs, counts: false } : { delayMs: untilPeriodMs, counts: true };
}
