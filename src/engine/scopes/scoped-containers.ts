import { GantryError } from '../../kernel/mod.ts';
import type { Attachment, Containers, ExecSession, ExecSpec, LogQuery, LogRecord, TerminalSize } from '../engine.ts';
import type { ContainerRecord, ContainerSpec, ContainerUsage, Resources, RestartPolicy } from '../types.ts';
import { admitContainer, admitResources, type RuleContext } from './container-rules.ts';

/** The containers of one scope: others are not found by any name, and none is made or changed beyond what the policy allows. */
export class ScopedContainers implements Containers {
  readonly #all: Containers;
  readonly #rules: RuleContext;
  /** Creations under way, which count. */
  #pending = 0;

  constructor(all: Containers, rules: RuleContext) {
    this.#all = all;
    this.#rules = rules;
  }

  async create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerRecord> {
    const { scope } = this.#rules;
    scope.checkOpen();
    const { containers } = scope.record.policy.total;
    if (this.list().length + this.#pending >= containers) throw new GantryError('exhausted', `the endpoint ${scope.record.name} may have ${containers} containers`);
    this.#pending += 1;
    try {
      const record = await this.#all.create(admitContainer(spec, this.#rules), signal);
      scope.noteMade(record.id);
      if (!scope.record.isClosing) return record;
      // It ended meanwhile, and its end did not see this one.
      await this.#all.remove(record.id, { force: true, removeVolumes: true }, new AbortController().signal);
      throw scope.refusal('it has ended');
    } finally {
      this.#pending -= 1;
    }
  }

  get(idOrName: string): ContainerRecord {
    const name = idOrName.replace(/^\//, '');
    const own = this.list();
    const exact = own.find(({ id }) => id === name) ?? own.find(({ spec }) => spec.name === name);
    if (exact !== undefined) return exact;
    const matches = /^[0-9a-f]{1,64}$/.test(name) ? own.filter(({ id }) => id.startsWith(name)) : [];
    if (matches.length > 1) throw new GantryError('invalid', `Multiple IDs found with provided prefix: ${name}`);
    const [found] = matches;
    if (found === undefined) throw new GantryError('not-found', `No such container: ${idOrName}`);
    return found;
  }

  list(): readonly ContainerRecord[] {
    return this.#all.list().filter((record) => this.#rules.scope.ownsContainer(record));
  }

  start(idOrName: string, signal: AbortSignal): Promise<void> {
    return this.#all.start(this.#openId(idOrName), signal);
  }

  stop(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    return this.#all.stop(this.#id(idOrName), options, signal);
  }

  restart(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    return this.#all.restart(this.#openId(idOrName), options, signal);
  }

  kill(idOrName: string, killSignal: string, signal: AbortSignal): Promise<void> {
    return this.#all.kill(this.#id(idOrName), killSignal, signal);
  }

  pause(idOrName: string, signal: AbortSignal): Promise<void> {
    return this.#all.pause(this.#id(idOrName), signal);
  }

  unpause(idOrName: string, signal: AbortSignal): Promise<void> {
    return this.#all.unpause(this.#id(idOrName), signal);
  }

  rename(idOrName: string, name: string, signal: AbortSignal): Promise<void> {
    return this.#all.rename(this.#id(idOrName), name, signal);
  }

  async update(idOrName: string, change: { resources?: Partial<Resources>; restart?: RestartPolicy }, signal: AbortSignal): Promise<string[]> {
    const { id, spec } = this.get(idOrName);
    this.#rules.scope.checkOpen();
    if (change.resources !== undefined) admitResources({ ...spec.resources, ...change.resources }, this.#rules.scope);
    return this.#all.update(id, change, signal);
  }

  remove(idOrName: string, options: { force: boolean; removeVolumes: boolean }, signal: AbortSignal): Promise<void> {
    return this.#all.remove(this.#id(idOrName), options, signal);
  }

  wait(idOrName: string, condition: 'not-running' | 'next-exit' | 'removed', signal: AbortSignal): Promise<{ exitCode: number; error?: string }> {
    return this.#all.wait(this.#id(idOrName), condition, signal);
  }

  logs(idOrName: string, request: LogQuery, signal: AbortSignal): AsyncIterable<LogRecord> {
    return this.#all.logs(this.#id(idOrName), request, signal);
  }

  attach(idOrName: string, signal: AbortSignal): Promise<Attachment> {
    return this.#all.attach(this.#id(idOrName), signal);
  }

  resize(idOrName: string, size: TerminalSize): Promise<void> {
    return this.#all.resize(this.#id(idOrName), size);
  }

  exec(idOrName: string, spec: ExecSpec, signal: AbortSignal): Promise<ExecSession> {
    if (spec.isPrivileged) throw this.#rules.scope.refusal('privileged processes');
    return this.#all.exec(this.#openId(idOrName), spec, signal);
  }

  top(idOrName: string, psArgs: readonly string[], signal: AbortSignal): Promise<{ titles: string[]; processes: string[][] }> {
    // They go to the host's ps, which some options make read files or format at will.
    if (psArgs.some((word) => !/^-?[a-zA-Z]{1,8}$|^[a-z%,]{1,100}$/.test(word))) throw this.#rules.scope.refusal('these options of ps');
    return this.#all.top(this.#id(idOrName), psArgs, signal);
  }

  usage(idOrName: string, signal: AbortSignal): Promise<ContainerUsage> {
    return this.#all.usage(this.#id(idOrName), signal);
  }

  async usageOfAll(signal: AbortSignal): Promise<ContainerUsage[]> {
    const own = new Set(this.list().map(({ id }) => id));
    return (await this.#all.usageOfAll(signal)).filter(({ containerId }) => own.has(containerId));
  }

  withRootfs<T>(idOrName: string, work: (rootPath: string) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#all.withRootfs(this.#id(idOrName), work, signal);
  }

  writableFolder(idOrName: string): string {
    return this.#all.writableFolder(this.#id(idOrName));
  }

  #id(idOrName: string): string {
    return this.get(idOrName).id;
  }

  #openId(idOrName: string): string {
    this.#rules.scope.checkOpen();
    return this.#id(idOrName);
  }
}
