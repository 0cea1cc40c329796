import { existsSync } from 'node:fs';
import { commandName, identifyProcess, isSameProcess } from '../../host/mod.ts';
import { cancelled, formatError, GantryError, type Logger, pollUntil, randomHex, toGantryError, withTimeout } from '../../kernel/mod.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import type { EventLog } from '../events/event-log.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import type { ExitFiles } from '../runtime/exits.ts';
import { readMonitorPid, watchMonitor } from '../runtime/monitor.ts';
import type { ContainerId, ContainerRecord, ContainerSpec, ContainerStatus, RootfsSource, UserNamespaceMode } from '../types.ts';
import type { VolumeManager } from '../volumes/volume-manager.ts';
import { ContainerEntry } from './container-entry.ts';
import { updateLinkedHosts } from './container-etc.ts';
import type { ContainerIndex } from './container-index.ts';
import type { ContainerStore } from './container-store.ts';
import { chooseUserNamespace, type UserNamespaceOptions } from './id-ranges.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { Launcher } from './launcher.ts';
import type { RecoveryAction } from './recovery-plan.ts';
import { isStartedAtBoot, planRestart } from './restart-plan.ts';
import { parseSignal } from './signals.ts';
import { validateSpec } from './validate-spec.ts';

export interface LifecycleParts {
  readonly index: ContainerIndex;
  readonly store: ContainerStore;
  readonly launcher: Launcher;
  readonly exits: ExitFiles;
  readonly cgroups: Cgroups;
  readonly networks: NetworkManager;
  readonly volumes: VolumeManager;
  readonly images: RootfsSource;
  readonly events: EventLog;
  readonly health: HealthMonitor;
  readonly userNamespaces: UserNamespaceOptions;
  /** Of all containers and pods. */
  readonly idRangesInUse: () => readonly UserNamespaceMode[];
  readonly paths: EnginePaths;
  readonly log: Logger;
}

/** Exit code of a container whose monitor died or that went down with the machine. */
const lostExitCode = 255;
const killedExitCode = 137;

/**
 * The states of containers: create, start, stop, kill, pause, remove, restart. Every change of a record happens under its entry's lock;
 * an exit is a change like any other, so nobody sees a half-started or half-ended container.
 */
export class ContainerLifecycle {
  readonly #parts: LifecycleParts;
  /** Aborts restarts and cleanups when the engine closes. Containers run on. */
  readonly #closing = new AbortController();

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  async create(asked: ContainerSpec, signal: AbortSignal): Promise<ContainerRecord> {
    const { index, store, images, volumes, paths, userNamespaces, idRangesInUse } = this.#parts;
    const choose = (): ContainerSpec => ({ ...asked, namespaces: { ...asked.namespaces, user: chooseUserNamespace(asked.namespaces.user, userNamespaces, idRangesInUse()) } });
    validateSpec(choose());
    await images.openRootfs(asked.image.id, signal);
    // Again, and from here on without a pause: of two creations each has a range of its own.
    const spec = choose();
    if (spec.network.mode === 'bridge') for (const { network } of spec.network.endpoints) this.#parts.networks.get(network);
    const id = randomHex(32) as ContainerId;
    const record: ContainerRecord = { id, spec, status: initialStatus() };
    const entry = new ContainerEntry(record, paths.container(id));
    // Synchronous, so that of two creations with one name the second fails.
    index.add(entry);
    try {
      const mounts = await Promise.all(
        spec.mounts.map(async (mount) => (mount.type === 'volume' ? { ...mount, volume: (await volumes.create({ name: mount.volume, labels: {}, options: {} })).name } : mount)),
      );
      entry.change({ spec: { mounts } });
      await store.create(entry.record);
    } catch (error) {
      index.remove(entry);
      throw error;
    }
    this.#publish(entry, 'create');
    return entry.record;
  }

  /** A no-op when it runs. */
  async start(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
    await entry.lock.run(() => this.#start(entry, { restartCount: 0, isStopRequested: false }, signal));
  }

  async #start(entry: ContainerEntry, status: Pick<ContainerStatus, 'restartCount' | 'isStopRequested'>, signal: AbortSignal): Promise<void> {
    if (entry.isRunning) return;
    if (entry.isRemoved || entry.status.state === 'removing') throw new GantryError('conflict', 'container is marked for removal and cannot be started');
    this.#cancelRestart(entry);
    const { launcher, store } = this.#parts;
    try {
      const launched = await launcher.create(entry, signal);
      entry.monitor = watchMonitor(entry.paths, () => void this.observeEnd(entry, true));
      entry.change({ status: { ...status, ...launched } });
      // Before it runs: should we die now, the next engine knows its addresses, and from the host whether it runs (recovery-plan.ts).
      await store.save(entry.record, false);
      await this.#letGo(entry, signal);
      entry.change({ status: { state: 'running', startedAt: new Date().toISOString(), finishedAt: undefined, exitCode: undefined, error: undefined, isOomKilled: false, health: undefined } });
      this.#parts.health.begin(entry);
      await store.save(entry.record, false);
      this.#publishAttached(entry, true);
      this.#publish(entry, 'start');
      await updateLinkedHosts(entry, this.#parts.index.all()).catch((error: unknown) => this.#parts.log.warn('telling linked containers the new address failed', { container: entry.id, err: error }));
    } catch (error) {
      if (entry.status.state === 'restarting' && this.#closing.signal.aborted) await this.#leaveRestart(entry, status.restartCount);
      else await this.#startFailed(entry, toGantryError(error));
      throw error;
    }
  }

  /** The engine closes in the midst of a restart: the next one makes it, as if this had not begun. */
  async #leaveRestart(entry: ContainerEntry, restartCount: number): Promise<void> {
    // One that the engine's start had made due is found due again.
    const state = restartCount === 0 ? 'exited' : 'restarting';
    entry.change({ status: { state, restartCount: Math.max(0, restartCount - 1), ...endOfRun } });
    await this.#parts.store.save(entry.record, false).catch(() => undefined);
  }

  async #letGo(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
    try {
      await this.#parts.launcher.letGo(entry, withTimeout(signal, 30_000));
    } catch (error) {
      await this.#parts.launcher.cleanUp(entry, entry.status.endpoints);
      throw error;
    }
  }

  async #startFailed(entry: ContainerEntry, error: GantryError): Promise<void> {
    const exitCode = typeof error.details.exitCode === 'number' ? error.details.exitCode : 128;
    entry.exitCount += 1;
    const isFirst = entry.status.state === 'created' && entry.spec.owner.kind === 'user';
    entry.change({
      status: {
        state: isFirst ? 'created' : 'exited',
        exitCode,
        error: formatError(error),
        ...(isFirst ? {} : { finishedAt: new Date().toISOString() }),
        ...endOfRun,
      },
    });
    await this.#parts.store.save(entry.record, false).catch(() => undefined);
  }

  /** Looks whether the container has ended and if so takes it out of service. Called for exit files and for monitors that are gone. */
  async observeEnd(entry: ContainerEntry, isMonitorGone: boolean): Promise<void> {
    try {
      await entry.lock.run(async () => {
        // What ends while the engine closes is found by the next one.
        if (!entry.isRunning || this.#closing.signal.aborted) return;
        const exitCode = isMonitorGone ? await this.#lastExitCode(entry) : await this.#parts.exits.read(entry.id);
        if (exitCode !== undefined) await this.#ended(entry, exitCode, undefined);
        else if (isMonitorGone) await this.#ended(entry, killedExitCode, 'the monitor of the container died, and the container was killed');
      });
    } catch (error) {
      this.#parts.log.error('handling the end of a container failed', { container: entry.id, err: error });
    }
  }

  /** conmon closes its descriptors a few milliseconds before it writes the exit file, so the file counts until the process has gone. */
  async #lastExitCode(entry: ContainerEntry): Promise<number | undefined> {
    const pid = readMonitorPid(entry.paths);
    const monitor = pid === undefined ? undefined : identifyProcess(pid);
    const look = async (): Promise<{ exitCode: number | undefined } | undefined> => {
      const isGone = monitor === undefined || !isSameProcess(monitor);
      const exitCode = await this.#parts.exits.read(entry.id);
      return exitCode !== undefined || isGone ? { exitCode } : undefined;
    };
    const { exitCode } = await pollUntil('the exit code', look, { timeoutMs: 5000, intervalMs: 2 }, AbortSignal.timeout(10_000));
    return exitCode;
  }

  /** The transition running → exited, with what follows: clean up, then restart or removal. Under the lock. */
  async #ended(entry: ContainerEntry, exitCode: number, error: string | undefined): Promise<void> {
    const { launcher, store } = this.#parts;
    const { endpoints, startedAt, isStopRequested, restartCount } = entry.status;
    this.#parts.health.end(entry);
    const isOomKilled = launcher.wasOomKilled(entry);
    const ranForMs = Date.now() - Date.parse(startedAt ?? new Date().toISOString());
    const restart = planRestart(entry.spec.restart, { exitCode, isStopRequested, restartCount, ranForMs });
    const state = restart.restart ? 'restarting' : 'exited';
    entry.exitCount += 1;
    entry.change({ status: { state, exitCode, isOomKilled, finishedAt: new Date().toISOString(), error, ...endOfRun } });
    if (isOomKilled) this.#publish(entry, 'oom');
    this.#publish(entry, 'die', { exitCode: String(exitCode), execDuration: String(Math.max(0, Math.floor(ranForMs / 1000))) });
    this.#publishAttached(entry, false, endpoints);
    if (isStopRequested) this.#publish(entry, 'stop');
    const recorded = store.save(entry.record, !entry.spec.autoRemove);
    await Promise.all([recorded, launcher.cleanUp(entry, endpoints, recorded)]);
    if (restart.restart) this.#scheduleRestart(entry, restart.delayMs, restartCount + 1);
    else if (entry.spec.autoRemove) await this.#remove(entry, true);
  }

  /** `restartCount`: what the container will have once it runs. */
  #scheduleRestart(entry: ContainerEntry, delayMs: number, restartCount: number): void {
    if (this.#closing.signal.aborted) return;
    this.#cancelRestart(entry);
    entry.restartTimer = setTimeout(() => {
      entry.restartTimer = undefined;
      void entry.lock.run(() => this.#restartNow(entry, restartCount)).catch((error: unknown) => this.#restartFailed(entry, restartCount, error));
    }, delayMs);
    entry.restartTimer.unref();
  }

  async #restartNow(entry: ContainerEntry, restartCount: number): Promise<void> {
    if (entry.status.state !== 'restarting' || this.#closing.signal.aborted) return;
    await this.#start(entry, { restartCount, isStopRequested: false }, this.#closing.signal);
  }

  #restartFailed(entry: ContainerEntry, restartCount: number, error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#parts.log.warn('restarting a container failed', { container: entry.id, err: error });
    const { isStopRequested, exitCode = 128 } = entry.status;
    const plan = planRestart(entry.spec.restart, { exitCode, isStopRequested, restartCount, ranForMs: 0 });
    if (!plan.restart || entry.isRemoved) return;
    entry.change({ status: { state: 'restarting', restartCount } });
    this.#scheduleRestart(entry, plan.delayMs, restartCount + 1);
  }

  #cancelRestart(entry: ContainerEntry): void {
    clearTimeout(entry.restartTimer);
    entry.restartTimer = undefined;
  }

  /** Resolves when it has exited. A no-op when it does not run. */
  async stop(entry: ContainerEntry, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    const stopSignal = parseSignal(options.signal ?? entry.spec.stopSignal);
    const timeoutSeconds = options.timeoutSeconds ?? entry.spec.stopTimeoutSeconds;
    await entry.lock.run(() => this.#markStopped(entry));
    if (!entry.isRunning) return;
    if (entry.status.state === 'paused') await this.unpause(entry);
    const hasExited = (): boolean => !entry.isRunning;
    await this.#signal(entry, stopSignal);
    this.#publish(entry, 'kill', { signal: String(stopSignal) });
    const patience = timeoutSeconds < 0 ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
    if (await entry.until(hasExited, patience)) return;
    // Also when the caller has left: a stop that has begun is finished.
    await this.#signal(entry, 9);
    this.#publish(entry, 'kill', { signal: '9' });
    await this.#exited(entry, signal);
  }

  async #markStopped(entry: ContainerEntry): Promise<void> {
    this.#cancelRestart(entry);
    if (entry.status.state === 'restarting') entry.change({ status: { state: 'exited' } });
    entry.change({ status: { isStopRequested: true } });
    await this.#parts.store.save(entry.record, false);
  }

  /** Waits for an exit that must come; processes that cannot be killed are an `internal` error after ten seconds. */
  async #exited(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
    const hasExited = await entry.until(() => !entry.isRunning, AbortSignal.any([signal, AbortSignal.timeout(10_000)]));
    if (hasExited) return;
    if (signal.aborted) throw cancelled(signal);
    throw new GantryError('internal', `the container ${entry.id.slice(0, 12)} does not end after SIGKILL`);
  }

  /** `conflict` when it does not run. */
  async kill(entry: ContainerEntry, killSignal: string): Promise<void> {
    const number = parseSignal(killSignal);
    if (!entry.isRunning) throw new GantryError('conflict', `container ${entry.id} is not running`);
    if (number === 9 || number === parseSignal(entry.spec.stopSignal)) await entry.lock.run(() => this.#markStopped(entry));
    if (number === 9 && entry.status.state === 'paused') await this.unpause(entry);
    await this.#signal(entry, number);
    this.#publish(entry, 'kill', { signal: String(number) });
  }

  async #signal(entry: ContainerEntry, number: number): Promise<void> {
    const { pid } = entry.status;
    const identity = pid === undefined ? undefined : identifyProcess(pid);
    if (identity === undefined) return;
    // For a moment after the start the process is still the runtime's init, which a signal ends that the program would have handled.
    if (number !== 9) await waitUntilExecuted(identity.pid);
    try {
      process.kill(identity.pid, number);
    } catch (error) {
      // It has just ended; the exit is on its way.
      if (identifyProcess(identity.pid) !== undefined) throw error;
    }
  }

  async pause(entry: ContainerEntry): Promise<void> {
    await entry.lock.run(async () => {
      if (entry.status.state === 'paused') throw new GantryError('conflict', `Container ${entry.id} is already paused`);
      if (entry.status.state !== 'running') throw new GantryError('conflict', `Container ${entry.id} is not running`);
      this.#freeze(entry, true);
      entry.change({ status: { state: 'paused' } });
      await this.#parts.store.save(entry.record, false);
      this.#publish(entry, 'pause');
    });
  }

  async unpause(entry: ContainerEntry): Promise<void> {
    await entry.lock.run(async () => {
      if (entry.status.state !== 'paused') throw new GantryError('conflict', `Container ${entry.id} is not paused`);
      this.#freeze(entry, false);
      entry.change({ status: { state: 'running' } });
      await this.#parts.store.save(entry.record, false);
      this.#publish(entry, 'unpause');
    });
  }

  #freeze(entry: ContainerEntry, isFrozen: boolean): void {
    const { cgroups, launcher } = this.#parts;
    if (!cgroups.freeze(launcher.cgroupPath(entry), isFrozen)) throw new GantryError('unsupported', 'this host has no cgroup freezer');
  }

  async restart(entry: ContainerEntry, options: { timeoutSeconds?: number; signal?: string }, signal: AbortSignal): Promise<void> {
    await this.stop(entry, options, signal);
    await entry.lock.run(() => this.#start(entry, { restartCount: entry.status.restartCount, isStopRequested: false }, signal));
    this.#publish(entry, 'restart');
  }

  async rename(entry: ContainerEntry, name: string): Promise<void> {
    await entry.lock.run(async () => {
      if (name === entry.spec.name) throw new GantryError('invalid', 'Renaming a container with the same name as its current name');
      validateSpec({ ...entry.spec, name });
      this.#parts.index.rename(entry, name);
      const oldName = entry.spec.name;
      entry.change({ spec: { name } });
      await this.#parts.store.save(entry.record, true);
      this.#publish(entry, 'rename', { oldName: `/${oldName}` });
    });
  }

  /** `conflict` when it runs and is not forced. */
  async remove(entry: ContainerEntry, options: { force: boolean; removeVolumes: boolean }, signal: AbortSignal): Promise<void> {
    if (entry.isRunning && !options.force) {
      throw new GantryError('conflict', `cannot remove container "/${entry.spec.name}": container is ${entry.status.state}: stop the container before removing or force remove`);
    }
    if (entry.isRunning) {
      await entry.lock.run(() => this.#markStopped(entry));
      if (entry.status.state === 'paused') await this.unpause(entry);
      await this.#signal(entry, 9);
      this.#publish(entry, 'kill', { signal: '9' });
      await this.#exited(entry, signal);
    }
    await entry.lock.run(() => this.#remove(entry, options.removeVolumes));
  }

  async #remove(entry: ContainerEntry, removeVolumes: boolean): Promise<void> {
    if (entry.isRemoved) return;
    const { index, store, launcher, volumes } = this.#parts;
    if (entry.isRunning) throw new GantryError('conflict', `container ${entry.id} was started again`);
    this.#cancelRestart(entry);
    entry.change({ status: { state: 'removing' } });
    // After a run it has been cleaned up; anything left (of a removal that failed half-way) has its run folder still.
    if (existsSync(entry.paths.run)) await launcher.cleanUp(entry, entry.status.endpoints);
    // Kept for those who shared it.
    this.#parts.networks.removeNamespace(entry.id.slice(0, 16));
    await store.remove(entry.id);
    entry.isRemoved = true;
    index.remove(entry);
    this.#removeScopeCgroup(entry.spec.scope?.id);
    entry.notify();
    this.#publish(entry, 'destroy');
    if (removeVolumes) await this.#removeAnonymousVolumes(entry, volumes);
  }

  async #removeAnonymousVolumes(entry: ContainerEntry, volumes: VolumeManager): Promise<void> {
    const names = entry.spec.mounts.flatMap((mount) => (mount.type === 'volume' ? [mount.volume] : []));
    for (const name of names) {
      const volume = volumes.list().find((candidate) => candidate.name === name);
      if (volume?.isAnonymous === true && !this.isVolumeUsed(name)) await volumes.remove(name);
    }
  }

  /** With the last container of a scope goes the cgroup over them. */
  #removeScopeCgroup(scopeId: string | undefined): void {
    const { index, cgroups } = this.#parts;
    if (scopeId === undefined || index.all().some(({ spec }) => spec.scope?.id === scopeId)) return;
    cgroups.remove(cgroups.scopePath(scopeId));
  }

  isVolumeUsed(name: string): boolean {
    return this.#parts.index.all().some(({ spec }) => spec.mounts.some((mount) => mount.type === 'volume' && mount.volume === name));
  }

  /** Resolves to the exit code of the run that is meant. `cancelled` with the signal. */
  async wait(entry: ContainerEntry, condition: 'not-running' | 'next-exit' | 'removed', signal: AbortSignal): Promise<{ exitCode: number; error?: string }> {
    const exitsBefore = entry.exitCount;
    const holds = {
      'not-running': () => !entry.isRunning && entry.status.state !== 'restarting',
      'next-exit': () => entry.exitCount > exitsBefore || entry.isRemoved,
      removed: () => entry.isRemoved,
    }[condition];
    if (!(await entry.until(holds, signal))) throw cancelled(signal);
    const { exitCode = 0, error } = entry.status;
    return { exitCode, ...(error === undefined ? {} : { error }) };
  }

  /** Takes up a container that ran on, or that ended, while the engine was away. Under no lock: nobody knows the entry yet. */
  async recover(entry: ContainerEntry, action: RecoveryAction): Promise<void> {
    const { endpoints, pid } = entry.status;
    switch (action.kind) {
      case 'adopt':
        if (entry.status.state !== 'paused') entry.change({ status: { state: 'running', startedAt: entry.status.startedAt ?? new Date().toISOString(), error: undefined } });
        entry.monitor = watchMonitor(entry.paths, () => void this.observeEnd(entry, true));
        this.#parts.health.begin(entry);
        return this.#parts.store.save(entry.record, false);
      case 'exited':
        entry.change({ status: { state: 'running' } });
        await this.#ended(entry, action.exitCode, undefined);
        // The rules of the engine's start are wider than those of an exit.
        if (entry.status.state === 'exited' && !entry.isRemoved && this.#isStartedAtBoot(entry)) this.#startAtBoot(entry);
        return;
      case 'lost':
        await this.#ended(entry, lostExitCode, 'the container was lost: the machine went down, or its monitor died');
        if (!entry.isRemoved && this.#isStartedAtBoot(entry)) this.#startAtBoot(entry);
        return;
      case 'discard':
        await this.#parts.launcher.undo(entry, endpoints);
        entry.change({ status: { ...endOfRun } });
        await this.#parts.store.save(entry.record, false);
        // With a pid the run that is undone had been counted.
        return this.#recoverStopped(entry, pid === undefined ? 1 : 0);
      case 'remove':
        return this.#remove(entry, false);
      case 'keep':
        return this.#recoverStopped(entry, 1);
    }
  }

  /** One that did not run: a removal or restart that was due is done now, and policies mean from the start of the engine on. */
  async #recoverStopped(entry: ContainerEntry, restarts: 0 | 1): Promise<void> {
    const { state } = entry.status;
    if (state === 'restarting') return this.#scheduleRestart(entry, 0, entry.status.restartCount + restarts);
    if (state !== 'exited') return;
    if (this.#isStartedAtBoot(entry)) this.#startAtBoot(entry);
    else if (entry.spec.autoRemove) await this.#remove(entry, true);
  }

  #isStartedAtBoot({ spec, status }: ContainerEntry): boolean {
    const { exitCode = 0, isStopRequested, restartCount, startedAt } = status;
    return isStartedAtBoot(spec.restart, { hasStarted: startedAt !== undefined, isStopRequested, exitCode, restartCount });
  }

  /** A start like a user's: the count of restarts begins anew. */
  #startAtBoot(entry: ContainerEntry): void {
    entry.change({ status: { state: 'restarting', isStopRequested: false, restartCount: 0 } });
    this.#scheduleRestart(entry, 0, 0);
  }

  /** Stops timers and watches. Containers run on. */
  async close(): Promise<void> {
    this.#closing.abort(new GantryError('cancelled', 'the engine is closing'));
    for (const entry of this.#parts.index.all()) {
      this.#cancelRestart(entry);
      await entry.lock.run(() => Promise.resolve());
      entry.monitor?.[Symbol.dispose]();
      entry.monitor = undefined;
    }
  }

  /** A run has its networks and volumes, and gives them back with its end. Pods' containers have no networks of their own. */
  #publishAttached({ id, spec, status }: ContainerEntry, isBegin: boolean, endpoints = status.endpoints): void {
    if (spec.owner.kind !== 'user') return;
    const { events } = this.#parts;
    for (const { networkId, networkName } of endpoints) events.publish({ type: 'network', action: isBegin ? 'connect' : 'disconnect', id: networkId, attributes: { container: id, name: networkName, type: 'bridge' } });
    for (const mount of spec.mounts) {
      if (mount.type !== 'volume') continue;
      const place: Record<string, string> = isBegin ? { destination: mount.target, propagation: '', 'read/write': String(!mount.isReadOnly) } : {};
      events.publish({ type: 'volume', action: isBegin ? 'mount' : 'unmount', id: mount.volume, attributes: { container: id, driver: 'local', ...place } });
    }
  }

  #publish(entry: ContainerEntry, action: string, attributes: Record<string, string> = {}): void {
    const { spec } = entry;
    this.#parts.events.publish({
      type: 'container',
      action,
      id: entry.id,
      attributes: { ...spec.labels, name: spec.name, image: spec.image.reference, ...attributes },
    });
  }
}

/** At most a second: an image may have a program of the runtime's name. */
async function waitUntilExecuted(pid: number): Promise<void> {
  const hasExecuted = (): true | undefined => !/^(runc:\[|crun$)/.test(commandName(pid)) || undefined;
  await pollUntil('the program to be executed', hasExecuted, { timeoutMs: 1000, intervalMs: 1 }, AbortSignal.timeout(2000)).catch(() => undefined);
}

/** What a container that does not run has not got. */
const endOfRun = { pid: undefined, endpoints: [], ports: [] } satisfies Partial<ContainerStatus>;

function initialStatus(): ContainerStatus {
  return { state: 'created', createdAt: new Date().toISOString(), isOomKilled: false, restartCount: 0, isStopRequested: false, endpoints: [], ports: [], warnings: [] };
}

