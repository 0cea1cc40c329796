import type { Digest } from '../../../api/mod.ts';
import { GantryError, randomHex } from '../../../kernel/mod.ts';
import type { ContainerRuntime, ExecRequest, ImageSummary, LogLine, PodContainer, PodContainerSpec, Sandbox, SandboxSpec } from '../ports.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A ContainerRuntime without containers, for tests of the agent where no root is at hand. It keeps what it is told and changes state
 * when the test says so; every image name that does not contain `missing` exists.
 */
export class MemoryRuntime implements ContainerRuntime {
  readonly sandboxes = new Map<string, Sandbox>();
  readonly sandboxSpecs = new Map<string, SandboxSpec>();
  readonly containers = new Map<string, Mutable<PodContainer>>();
  readonly specs = new Map<string, PodContainerSpec>();
  /** What happened, in order: `pull x`, `create web 0`, `start web 0`, `stop web 30`, `exec web ls`. */
  readonly calls: string[] = [];
  /** Called in place of commands; by default they succeed without output. */
  onExec: (container: PodContainer, request: ExecRequest) => Promise<number> | number = () => 0;
  /** Exit code of a container as soon as it starts; undefined: it keeps running. */
  onStart: (spec: PodContainerSpec) => number | undefined = () => undefined;
  /** Whether the stop signal ends the container; otherwise it is killed when its time is over. */
  obeysStop = true;
  readonly #waiters = new Set<() => void>();
  readonly #lines = new Map<string, LogLine[]>();
  #addresses = 2;

  async pullImage(reference: string): Promise<ImageSummary> {
    this.calls.push(`pull ${reference}`);
    if (reference.includes('missing')) throw new GantryError('not-found', `no such image ${reference}`);
    return this.#image(reference);
  }

  async imageOf(reference: string): Promise<ImageSummary | undefined> {
    return reference.startsWith('remote/') || reference.includes('missing') ? undefined : this.#image(reference);
  }

  async createSandbox(spec: SandboxSpec): Promise<Sandbox> {
    const known = [...this.sandboxes.values()].find(({ podUid }) => podUid === spec.podUid);
    if (known !== undefined) return known;
    const sandbox = { id: randomHex(8), podUid: spec.podUid, namespace: spec.namespace, name: spec.name, ip: spec.hostNetwork ? '' : `127.77.0.${this.#addresses++}`, createdAt: now() };
    this.sandboxes.set(sandbox.id, sandbox);
    this.sandboxSpecs.set(sandbox.id, spec);
    return sandbox;
  }

  async listSandboxes(): Promise<Sandbox[]> {
    return [...this.sandboxes.values()];
  }

  async removeSandbox(id: string): Promise<void> {
    this.sandboxes.delete(id);
    for (const container of this.containers.values()) if (container.sandboxId === id) this.containers.delete(container.id);
  }

  async createContainer(spec: PodContainerSpec): Promise<string> {
    this.calls.push(`create ${spec.name} ${spec.attempt}`);
    const id = randomHex(32);
    const { sandboxId, podUid, name, attempt, imageId, imageReference, labels } = spec;
    this.specs.set(id, spec);
    this.containers.set(id, { id, sandboxId, podUid, name, attempt, imageId, imageReference, labels, state: 'created', createdAt: now() });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#get(id);
    this.calls.push(`start ${container.name} ${container.attempt}`);
    Object.assign(container, { state: 'running', startedAt: now() });
    const spec = this.specs.get(id);
    const exitCode = spec === undefined ? undefined : this.onStart(spec);
    if (exitCode !== undefined) this.exit(id, exitCode);
    this.#changed();
  }

  stopContainer: ContainerRuntime['stopContainer'] = async (id, gracePeriodSeconds) => {
    const container = this.#get(id);
    this.calls.push(`stop ${container.name} ${gracePeriodSeconds}`);
    if (container.state === 'running') this.exit(id, this.obeysStop ? 0 : 137);
  };

  async removeContainer(id: string): Promise<void> {
    this.containers.delete(id);
  }

  async listContainers(): Promise<PodContainer[]> {
    return [...this.containers.values()].map((container) => ({ ...container }));
  }

  async exec(id: string, request: ExecRequest): Promise<{ exitCode: number }> {
    const container = this.#get(id);
    this.calls.push(`exec ${container.name} ${request.command.join(' ')}`);
    return { exitCode: await this.onExec(container, request) };
  }

  async attach(): Promise<void> {
    throw new GantryError('unsupported', 'attach needs a real container');
  }

  async dial(): Promise<never> {
    throw new GantryError('unsupported', 'dial needs a real sandbox');
  }

  async *logs(id: string): AsyncIterable<LogLine> {
    yield* this.#lines.get(id) ?? [];
  }

  async stats() {
    return [...this.containers.values()]
      .filter(({ state }) => state === 'running')
      .map(({ id, podUid, name }) => ({ containerId: id, podUid, name, time: now(), cpuNanoseconds: 1_000_000n, workingSetBytes: 4096 }));
  }

  async *events(signal: AbortSignal): AsyncIterable<{ containerId: string; podUid: string }> {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      if (!signal.aborted) yield { containerId: '', podUid: '' };
    }
  }

  /** Ends a container as if its process had exited. */
  exit(id: string, exitCode: number): void {
    Object.assign(this.#get(id), { state: 'exited', exitCode, finishedAt: now() });
    this.#changed();
  }

  print(id: string, text: string): void {
    this.#lines.set(id, [...(this.#lines.get(id) ?? []), { time: now(), stream: 'stdout', text: Buffer.from(text), isPartial: false }]);
  }

  /** The newest attempt of a container, by name. */
  find(name: string): PodContainer {
    const found = [...this.containers.values()].filter((container) => container.name === name).toSorted((a, b) => b.attempt - a.attempt)[0];
    if (found === undefined) throw new GantryError('not-found', `no container ${name}`);
    return found;
  }

  #get(id: string): Mutable<PodContainer> {
    const container = this.containers.get(id);
    if (container === undefined) throw new GantryError('not-found', `no container ${id}`);
    return container;
  }

  #image(reference: string): ImageSummary {
    return { id: `sha256:${'1'.repeat(64)}` as Digest, references: [reference], user: '', entrypoint: [], command: ['sleep', 'inf'], env: ['PATH=/bin'], workingDir: '/' };
  }

  #changed(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}

function now(): string {
  return new Date().toISOString();
}
