import { type Backoff, backoffMs, type Logger, type Service, systemClock } from '../../kernel/mod.ts';
import type { ContainerRuntime, PodContainer, Sandbox } from './ports.ts';

const eventBackoff: Backoff = { initialMs: 100, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** What the engine has, by pod. It follows the engine's events and lists after each: an event may be lost, a list cannot lie. */
export class RuntimeIndex implements Service {
  readonly name = 'runtime index';
  readonly #runtime: ContainerRuntime;
  readonly #log: Logger;
  readonly #handlers = new Set<(podUid: string) => void>();
  #sandboxes = new Map<string, Sandbox>();
  #containers = new Map<string, PodContainer[]>();
  #current: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(runtime: ContainerRuntime, log: Logger) {
    this.#runtime = runtime;
    this.#log = log;
  }

  sandboxOf(podUid: string): Sandbox | undefined {
    return this.#sandboxes.get(podUid);
  }

  containersOf(podUid: string): readonly PodContainer[] {
    return this.#containers.get(podUid) ?? [];
  }

  podUids(): string[] {
    return [...new Set([...this.#sandboxes.keys(), ...this.#containers.keys()])];
  }

  onChange(handler: (podUid: string) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Lists anew; resolves when a list that began after this call is in. Calls during a list share the one after it. */
  refresh(signal: AbortSignal): Promise<void> {
    if (this.#current === undefined) {
      this.#current = this.#list(signal).finally(() => (this.#current = undefined));
      return this.#current;
    }
    this.#next ??= this.#current.catch(() => undefined).then(() => {
      this.#next = undefined;
      return this.refresh(signal);
    });
    return this.#next;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const events = this.#runtime.events(signal)[Symbol.asyncIterator]();
        await this.refresh(signal);
        while (!(await events.next()).done) {
          await this.refresh(signal);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn('engine events interrupted', { err: error });
      }
      await systemClock.sleep(backoffMs(eventBackoff, failures), signal).catch(() => undefined);
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const [sandboxes, containers] = await Promise.all([this.#runtime.listSandboxes(signal), this.#runtime.listContainers(signal)]);
    const before = { sandboxes: this.#sandboxes, containers: this.#containers };
    this.#sandboxes = new Map(sandboxes.map((sandbox) => [sandbox.podUid, sandbox]));
    this.#containers = new Map();
    for (const container of containers) this.#containers.set(container.podUid, [...(this.#containers.get(container.podUid) ?? []), container]);
    for (const podUid of new Set([...before.sandboxes.keys(), ...before.containers.keys(), ...this.podUids()])) {
      const hasChanged =
        before.sandboxes.get(podUid)?.id !== this.#sandboxes.get(podUid)?.id || fingerprint(before.containers.get(podUid)) !== fingerprint(this.#containers.get(podUid));
      if (hasChanged) for (const handler of this.#handlers) handler(podUid);
    }
  }
}

function fingerprint(containers: readonly PodContainer[] = []): string {
  return containers.map(({ id, state, startedAt, finishedAt }) => `${id} ${state} ${startedAt ?? ''} ${finishedAt ?? ''}`).toSorted().join('\n');
}
