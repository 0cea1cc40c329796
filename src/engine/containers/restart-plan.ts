import type { RestartPolicy } from '../types.ts';

export interface ExitFacts {
  readonly exitCode: number;
  readonly isStopRequested: boolean;
  /** Restarts in a row so far. */
  readonly restartCount: number;
  readonly ranForMs: number;
}

/** Docker's back-off: 100 ms, doubled each time, at most a minute; a run of ten seconds counts as a success. */
const initialDelayMs = 100;
const maxDelayMs = 60_000;
const stableRunMs = 10_000;

/** Whether a container that has just exited is started again, and after how long. Pure. */
export function planRestart(policy: RestartPolicy, exit: ExitFacts): { restart: false } | { restart: true; delayMs: number } {
  if (exit.isStopRequested || policy.name === 'no') return { restart: false };
  if (policy.name === 'on-failure') {
    if (exit.exitCode === 0) return { restart: false };
    if (policy.maximumRetryCount > 0 && exit.restartCount >= policy.maximumRetryCount) return { restart: false };
  }
  const exponent = exit.ranForMs >= stableRunMs ? 0 : Math.min(exit.restartCount, 16);
  return { restart: true, delayMs: Math.min(maxDelayMs, initialDelayMs * 2 ** exponent) };
}

/** Whether a container that was found exited when the engine starts is started: after a reboot, or a crash of engine and container. Pure. */
export function isStartedAtBoot(policy: RestartPolicy, facts: { wasRunning: boolean; isStopRequested: boolean; exitCode: number }): boolean {
  if (policy.name === 'always') return true;
  if (policy.name === 'unless-stopped') return !facts.isStopRequested && facts.wasRunning;
  if (policy.name === 'on-failure') return facts.wasRunning && !facts.isStopRequested && facts.exitCode !== 0;
  return false;
}
