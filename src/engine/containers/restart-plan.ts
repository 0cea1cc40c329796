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

export interface BootFacts {
  /** It has run before: nothing starts by itself that nobody has ever started. */
  readonly hasStarted: boolean;
  readonly isStopRequested: boolean;
  readonly exitCode: number;
  readonly restartCount: number;
}

/**
 * Whether a container that does not run when the engine starts is started: after a reboot, or when it ended while no engine was there. As in
 * Docker: `always` also after a stop by hand; `on-failure` whenever the last run failed and the retries are not used up. Pure.
 */
export function isStartedAtBoot(policy: RestartPolicy, { hasStarted, isStopRequested, exitCode, restartCount }: BootFacts): boolean {
  if (!hasStarted) return false;
  switch (policy.name) {
    case 'no':
      return false;
    case 'always':
      return true;
    case 'unless-stopped':
      return !isStopRequested;
    case 'on-failure':
      return exitCode !== 0 && (policy.maximumRetryCount === 0 || restartCount < policy.maximumRetryCount);
  }
}
