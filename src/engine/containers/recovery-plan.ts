import type { ContainerState } from '../types.ts';

/** What is found of a container when the engine starts. */
export interface RecoveryFacts {
  readonly recordedState: ContainerState;
  /** The exit file's code, if the monitor left one. */
  readonly exitCode: number | undefined;
  /** The monitor lives. */
  readonly isMonitorAlive: boolean;
  /** The runtime has let the process go (`exec.fifo` is gone). */
  readonly isStarted: boolean;
  /** Processes left in its cgroup. */
  readonly processCount: number;
  /** Something of a run is left in the run folder: a start or a clean-up was cut short, or it runs. */
  readonly hasRunFolder: boolean;
}

/**
 * - `adopt`: it runs on; watch it again.
 * - `exited`: it ended while nobody looked; take the code over.
 * - `lost`: the machine went down, or its monitor died; whatever is left of it is killed, exit code 255.
 * - `discard`: it was being started, or cleaned up after, when the engine died; what exists of the run is removed, the state stays.
 * - `keep`: not running before and nothing running now.
 * - `remove`: its removal had begun.
 */
export type RecoveryAction = { kind: 'adopt' } | { kind: 'exited'; exitCode: number } | { kind: 'lost' } | { kind: 'discard' } | { kind: 'keep' } | { kind: 'remove' };

/** Pure. */
export function planRecovery(facts: RecoveryFacts): RecoveryAction {
  if (facts.recordedState === 'removing') return { kind: 'remove' };
  const wasRunning = facts.recordedState === 'running' || facts.recordedState === 'paused';
  if (facts.isMonitorAlive && facts.exitCode === undefined && facts.processCount > 0) return facts.isStarted || wasRunning ? { kind: 'adopt' } : { kind: 'discard' };
  if (facts.exitCode !== undefined && (wasRunning || facts.isStarted)) return { kind: 'exited', exitCode: facts.exitCode };
  if (wasRunning) return { kind: 'lost' };
  return facts.isMonitorAlive || facts.processCount > 0 || facts.exitCode !== undefined || facts.hasRunFolder ? { kind: 'discard' } : { kind: 'keep' };
}
