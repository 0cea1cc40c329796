import { readFile } from 'node:fs/promises';
import { errnoOf, GantryError, runCommand } from '../../kernel/mod.ts';
import { checkResources, planResources } from '../bundle/resources.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { parseInterfaceCounters, readUsage } from '../cgroups/usage.ts';
import type { Attachment, Containers, ExecSession, ExecSpec, LogQuery, LogRecord, TerminalSize } from '../engine.ts';
import type { EventLog } from '../events/event-log.ts';
import type { HostFacts } from '../host-facts.ts';
import { readLog } from '../logs/log-reader.ts';
import type { EnginePaths } from '../paths.ts';
import { resizeContainerTerminal } from '../runtime/attach-input.ts';
import type { ContainerRecord, ContainerSpec, ContainerUsage, Resources, RestartPolicy } from '../types.ts';
import { openAttachment, writerState } from './attachment.ts';
import type { ContainerEntry } from './container-entry.ts';
import { execInContainer } from './container-exec.ts';
import type { ContainerIndex } from './container-index.ts';
import type { ContainerLifecycle } from './container-lifecycle.ts';
import type { ContainerStore } from './container-store.ts';
import type { Launcher } from './launcher.ts';
import { listProcesses } from './process-list.ts';
import { unmountRootfs } from './rootfs.ts';

export interface ContainersParts {
  readonly host: HostFacts;
  readonly paths: EnginePaths;
  readonly index: ContainerIndex;
  readonly store: ContainerStore;
  readonly lifecycle: ContainerLifecycle;
  readonly launcher: Launcher;
  readonly cgroups: Cgroups;
  readonly events: EventLog;
}

/** The engine's containers by name or id. States are changed by the lifecycle; here are the questions and the streams. */
export class LocalContainers implements Containers {
  readonly #parts: ContainersParts;

  constructor(parts: ContainersParts) {
    this.#parts = parts;
  }

  create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerRecord> {
    return this.#parts.lifecycle.create(spec, signal);
  }

  get(idOrName: string): ContainerRecord {
    return this.#entry(idOrName).record;
  }

  list(): readonly ContainerRecord[] {
    return this.#parts.index.all().map(({ record }) => record);
  }

  start(idOrName: string, signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.start(this.#entry(idOrName), signal);
  }

  stop(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.stop(this.#entry(idOrName), options, signal);
  }

  restart(idOrName: string, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.restart(this.#entry(idOrName), options, signal);
  }

  kill(idOrName: string, killSignal: string, _signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.kill(this.#entry(idOrName), killSignal);
  }

  pause(idOrName: string, _signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.pause(this.#entry(idOrName));
  }

  unpause(idOrName: string, _signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.unpause(this.#entry(idOrName));
  }

  rename(idOrName: string, name: string, _signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.rename(this.#entry(idOrName), name.replace(/^\//, ''));
  }

  remove(idOrName: string, options: { force: boolean; removeVolumes: boolean }, signal: AbortSignal): Promise<void> {
    return this.#parts.lifecycle.remove(this.#entry(idOrName), options, signal);
  }

  wait(idOrName: string, condition: 'not-running' | 'next-exit' | 'removed', signal: AbortSignal): Promise<{ exitCode: number; error?: string }> {
    return this.#parts.lifecycle.wait(this.#entry(idOrName), condition, signal);
  }

  async update(idOrName: string, change: { resources?: Partial<Resources>; restart?: RestartPolicy }, signal: AbortSignal): Promise<string[]> {
    const entry = this.#entry(idOrName);
    return entry.lock.run(async () => {
      const resources = { ...entry.spec.resources, ...change.resources };
      checkResources(resources);
      if (change.restart !== undefined && change.restart.name !== 'no' && entry.spec.autoRemove) {
        throw new GantryError('conflict', 'Restart policy cannot be updated because AutoRemove is enabled for the container');
      }
      const { resources: planned, warnings } = planResources(resources, this.#parts.cgroups.layout.support);
      if (change.resources !== undefined && entry.isRunning) {
        const { programs } = this.#parts.host;
        await runCommand(programs.path, ['--root', this.#parts.paths.runtimeState, 'update', '--resources', '-', entry.id], { stdin: JSON.stringify(planned) }, signal);
      }
      entry.change({ spec: { resources, restart: change.restart ?? entry.spec.restart } });
      await this.#parts.store.save(entry.record, true);
      this.#parts.events.publish({ type: 'container', action: 'update', id: entry.id, attributes: { ...entry.spec.labels, name: entry.spec.name, image: entry.spec.image.reference } });
      return warnings;
    });
  }

  logs(idOrName: string, request: LogQuery, signal: AbortSignal): AsyncIterable<LogRecord> {
    const entry = this.#entry(idOrName);
    return readLog(entry.paths.logs, request, writerState(entry), signal);
  }

  attach(idOrName: string, signal: AbortSignal): Promise<Attachment> {
    return openAttachment(this.#entry(idOrName), signal);
  }

  async resize(idOrName: string, size: TerminalSize): Promise<void> {
    const entry = this.#entry(idOrName);
    if (!entry.isRunning) throw new GantryError('conflict', `container ${entry.id} is not running`);
    await resizeContainerTerminal(entry.paths, size);
  }

  exec(idOrName: string, spec: ExecSpec, signal: AbortSignal): Promise<ExecSession> {
    return execInContainer(this.#parts, this.#entry(idOrName), spec, signal);
  }

  async top(idOrName: string, psArgs: readonly string[], signal: AbortSignal): Promise<{ titles: string[]; processes: string[][] }> {
    const entry = this.#running(idOrName);
    return listProcesses(this.#parts.cgroups.processes(this.#parts.launcher.cgroupPath(entry)), psArgs, signal);
  }

  usage(idOrName: string, _signal: AbortSignal): Promise<ContainerUsage> {
    return this.#usage(this.#running(idOrName));
  }

  async usageOfAll(_signal: AbortSignal): Promise<ContainerUsage[]> {
    return Promise.all(this.#parts.index.all().filter(({ isRunning }) => isRunning).map((entry) => this.#usage(entry)));
  }

  async #usage(entry: ContainerEntry): Promise<ContainerUsage> {
    const counters = await readFile(`/proc/${entry.status.pid ?? 0}/net/dev`, 'utf8').catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EINVAL' || errnoOf(error) === 'ESRCH') return '';
      throw error;
    });
    const interfaces = entry.spec.network.mode === 'host' ? [] : parseInterfaceCounters(counters);
    return readUsage(this.#parts.cgroups, this.#parts.launcher.cgroupPath(entry), entry.id, interfaces);
  }

  async withRootfs<T>(idOrName: string, work: (rootPath: string) => Promise<T>, signal: AbortSignal): Promise<T> {
    const entry = this.#entry(idOrName);
    // A run keeps it mounted; otherwise it is mounted for the work, and nothing may start meanwhile.
    if (entry.isRunning) return work(entry.paths.rootfs);
    return entry.lock.run(async () => {
      if (entry.isRunning) return work(entry.paths.rootfs);
      await this.#parts.launcher.mountRootfs(entry, signal);
      try {
        return await work(entry.paths.rootfs);
      } finally {
        await unmountRootfs(entry.paths);
      }
    });
  }

  writableFolder(idOrName: string): string {
    return this.#entry(idOrName).paths.upper;
  }

  #entry(idOrName: string): ContainerEntry {
    return this.#parts.index.get(idOrName);
  }

  #running(idOrName: string): ContainerEntry {
    const entry = this.#entry(idOrName);
    if (!entry.isRunning) throw new GantryError('conflict', `container ${entry.id} is not running`);
    return entry;
  }
}
