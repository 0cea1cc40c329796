import { Mutex } from '../../kernel/mod.ts';
import type { ContainerPaths } from '../paths.ts';
import type { ContainerId, ContainerRecord, ContainerSpec, ContainerStatus } from '../types.ts';

/** One container in memory: its record, the lock that orders what changes it, and who waits for a change. */
export class ContainerEntry {
  readonly id: ContainerId;
  readonly paths: ContainerPaths;
  /** Held by start, remove, the handling of an exit, pause and update. Never while waiting for an exit. */
  readonly lock = new Mutex();
  readonly #listeners = new Set<() => void>();
  #record: ContainerRecord;
  /** Runs that have ended, and starts that failed, since the engine opened: for those who wait for the next end. */
  exitCount = 0;
  isRemoved = false;
  /** Stops watching the monitor of the current run. */
  monitor: Disposable | undefined;
  /** A restart that is due. */
  restartTimer: NodeJS.Timeout | undefined;

  constructor(record: ContainerRecord, paths: ContainerPaths) {
    this.id = record.id;
    this.#record = record;
    this.paths = paths;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  get spec(): ContainerSpec {
    return this.#record.spec;
  }

  get status(): ContainerStatus {
    return this.#record.status;
  }

  get isRunning(): boolean {
    return this.status.state === 'running' || this.status.state === 'paused';
  }

  /** Replaces parts of the record (undefined takes a part away) and wakes whoever waits. Does not write it to disk. */
  change(change: { spec?: Partial<ContainerSpec>; status?: Partial<ContainerStatus> }): void {
    this.#record = { id: this.id, spec: { ...this.spec, ...change.spec }, status: withoutUndefined({ ...this.status, ...change.status }) };
    this.notify();
  }

  notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Resolves when the condition holds, false when the signal aborted first. */
  until(condition: () => boolean, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (result: boolean): void => {
        watching[Symbol.dispose]();
        signal.removeEventListener('abort', look);
        resolve(result);
      };
      const look = (): void => {
        if (condition()) finish(true);
        else if (signal.aborted) finish(false);
      };
      const watching = this.onChange(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }
}

/** As it will be read back from disk. */
function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as T;
}
