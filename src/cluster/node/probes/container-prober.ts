import type { k8s } from '../../../api/mod.ts';
import type { Clock } from '../../../kernel/mod.ts';
import type { ProbeVerdict } from '../pod-view.ts';
import type { ContainerRuntime } from '../ports.ts';
import { type ProbeTarget, runHandler } from './handlers.ts';
import { nextState, planNextProbe, type ProbeKind, type ProbeState, timingOf } from './probe-state.ts';

export interface ProberOptions {
  readonly target: ProbeTarget;
  /** When the container was started, for `initialDelaySeconds`. */
  readonly startedAtMs: number;
  /** What is known from before a restart of the agent: a ready container stays ready until a probe says otherwise. */
  readonly initial: ProbeVerdict | undefined;
  readonly onChange: (verdict: ProbeVerdict) => void;
  /** Called for every failure that counts. */
  readonly onFailure: (kind: ProbeKind, message: string) => void;
}

/** Runs all probes of one running container until the signal aborts. */
export class ContainerProber {
  readonly #runtime: ContainerRuntime;
  readonly #clock: Clock;
  readonly #options: ProberOptions;
  #verdict: ProbeVerdict;

  constructor(runtime: ContainerRuntime, clock: Clock, options: ProberOptions) {
    this.#runtime = runtime;
    this.#clock = clock;
    this.#options = options;
    const { startupProbe, readinessProbe } = options.target.container;
    this.#verdict = options.initial ?? { isStarted: startupProbe === undefined, isReady: readinessProbe === undefined && startupProbe === undefined };
  }

  get verdict(): ProbeVerdict {
    return this.#verdict;
  }

  /** Startup first; the other two begin when it has succeeded. */
  async run(signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.#options.target.container;
    if (startupProbe !== undefined && !this.#verdict.isStarted) {
      const hasStarted = await this.#follow('startup', startupProbe, (state) => state.result === 'unknown', signal);
      if (!hasStarted) return;
      this.#set({ isStarted: true, isReady: readinessProbe === undefined });
    }
    await Promise.all([
      readinessProbe === undefined ? undefined : this.#follow('readiness', readinessProbe, () => true, signal),
      livenessProbe === undefined ? undefined : this.#follow('liveness', livenessProbe, (state) => state.result !== 'failure', signal),
    ]);
  }

  /** Probes while `goOn` says so; returns whether the last result was success. */
  async #follow(kind: ProbeKind, probe: k8s.Probe, goOn: (state: ProbeState) => boolean, signal: AbortSignal): Promise<boolean> {
    const timing = timingOf(probe);
    let state: ProbeState = { result: kind === 'readiness' && this.#verdict.isReady ? 'success' : 'unknown', successes: 0, failures: 0 };
    await this.#clock.sleep(Math.max(0, this.#options.startedAtMs + timing.initialDelayMs - this.#clock.now()), signal);
    // A container that has only just begun is hardly ever ready; that is no news.
    let counts = kind !== 'readiness';
    let periodStartMs = this.#clock.now();
    for (let tries = 0; ; tries += 1) {
      const { isSuccess, message } = await runHandler(this.#runtime, this.#options.target, probe, timing.timeoutMs, signal);
      if (isSuccess || counts) {
        state = nextState(state, isSuccess, timing);
        if (!isSuccess) this.#options.onFailure(kind, message);
        this.#apply(kind, state, message);
      }
      if (!goOn(state)) return state.result === 'success';
      const next = planNextProbe(kind, state, timing, tries, this.#clock.now() - periodStartMs);
      counts = next.counts;
      await this.#clock.sleep(next.delayMs, signal);
      if (counts) periodStartMs = this.#clock.now();
    }
  }

  #apply(kind: ProbeKind, state: ProbeState, message: string): void {
    if (kind === 'readiness') {
      const isReady = state.result === 'success' || (state.result === 'unknown' && this.#verdict.isReady);
      if (isReady !== this.#verdict.isReady) this.#set({ ...this.#verdict, isReady });
      return;
    }
    if (state.result === 'failure') this.#set({ ...this.#verdict, mustRestart: { probe: kind, message, sinceMs: this.#clock.now() } });
  }

  #set(verdict: ProbeVerdict): void {
    this.#verdict = verdict;
    this.#options.onChange(verdict);
  }
}
