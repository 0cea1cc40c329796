import { formatError, type Logger, systemClock, withTimeout } from '../../kernel/mod.ts';
import type { ExecSession, ExecSpec } from '../engine.ts';
import type { EventLog } from '../events/event-log.ts';
import type { ContainerEntry } from './container-entry.ts';
import { afterProbe, type HealthPlan, nextProbeMs, planHealthCheck, type Probe, startingHealth } from './health-plan.ts';

export interface HealthParts {
  readonly exec: (entry: ContainerEntry, spec: ExecSpec, signal: AbortSignal) => Promise<ExecSession>;
  readonly events: EventLog;
  readonly log: Logger;
}

/** Probes containers that have a health check while they run. Results are in the record and in `health_status` events. */
export class HealthMonitor implements Disposable {
  readonly #parts: HealthParts;
  readonly #running = new Map<string, AbortController>();

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  /** Begins with a container's run; also for one that was adopted, whose state goes on. */
  begin(entry: ContainerEntry): void {
    const plan = planHealthCheck(entry.spec.healthcheck);
    this.end(entry);
    if (plan === undefined) return;
    const controller = new AbortController();
    this.#running.set(entry.id, controller);
    if (entry.status.health === undefined) entry.change({ status: { health: startingHealth } });
    void this.#run(entry, plan, controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) this.#parts.log.warn('a health check ended', { container: entry.id, err: error });
    });
  }

  end(entry: ContainerEntry): void {
    this.#running.get(entry.id)?.abort();
    this.#running.delete(entry.id);
  }

  async #run(entry: ContainerEntry, plan: HealthPlan, signal: AbortSignal): Promise<void> {
    const sinceStartMs = (): number => Date.now() - Date.parse(entry.status.startedAt ?? new Date().toISOString());
    while (!signal.aborted) {
      await systemClock.sleep(nextProbeMs(entry.status.health ?? startingHealth, plan, sinceStartMs()), signal);
      // A paused container is neither well nor ill.
      if (entry.status.state !== 'running') continue;
      const probe = await this.#probe(entry, plan, signal);
      if (signal.aborted) return;
      const before = entry.status.health ?? startingHealth;
      const after = afterProbe(before, probe, plan, sinceStartMs());
      entry.change({ status: { health: after } });
      if (after.state !== before.state) this.#publish(entry, after.state);
    }
  }

  async #probe(entry: ContainerEntry, plan: HealthPlan, signal: AbortSignal): Promise<Probe> {
    const startedAt = new Date().toISOString();
    const limited = withTimeout(signal, plan.timeoutMs);
    const finish = (exitCode: number, output: string): Probe => ({ startedAt, finishedAt: new Date().toISOString(), exitCode, output });
    try {
      const session = await this.#parts.exec(entry, { args: [...plan.command], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, limited);
      let output = '';
      for (const stream of [session.stdout, session.stderr]) stream?.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(0, 8192)));
      const { exitCode, error } = await session.exit;
      if (limited.aborted && !signal.aborted) return finish(-1, `Health check exceeded timeout (${plan.timeoutMs} ms)`);
      return finish(exitCode, error ?? output);
    } catch (error) {
      return finish(-1, formatError(error));
    }
  }

  #publish(entry: ContainerEntry, state: string): void {
    const { spec } = entry;
    this.#parts.events.publish({ type: 'container', action: `health_status: ${state}`, id: entry.id, attributes: { ...spec.labels, name: spec.name, image: spec.image.reference } });
  }

  [Symbol.dispose](): void {
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }
}
