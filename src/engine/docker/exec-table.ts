import { GantryError, randomHex } from '../../kernel/mod.ts';
import type { ExecSession, ExecSpec } from '../engine.ts';
import type { ContainerId } from '../types.ts';

/** created → running → exited. */
export type ExecState = 'created' | 'running' | 'exited';

export interface ExecEntry {
  readonly id: string;
  readonly containerId: ContainerId;
  readonly spec: ExecSpec;
  readonly attach: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly detachKeys: string;
  state: ExecState;
  session: ExecSession | undefined;
  /** Settles when there is a session, or never will be. */
  readonly started: PromiseWithResolvers<void>;
  exitCode: number | undefined;
}

/** How many ended or never started execs are remembered. */
const maxIdle = 1000;

/** The execs that clients have created. They end with the process of this engine, so the table need not outlive it. */
export class ExecTable {
  readonly #entries = new Map<string, ExecEntry>();

  add(containerId: ContainerId, spec: ExecSpec, attach: ExecEntry['attach'], detachKeys: string): ExecEntry {
    const entry: ExecEntry = { id: randomHex(32), containerId, spec, attach, detachKeys, state: 'created', session: undefined, started: Promise.withResolvers(), exitCode: undefined };
    this.#entries.set(entry.id, entry);
    this.#forgetOldest();
    return entry;
  }

  get(id: string): ExecEntry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new GantryError('not-found', `No such exec instance: ${id}`);
    return entry;
  }

  idsOf(containerId: ContainerId): string[] {
    return [...this.#entries.values()].filter((entry) => entry.containerId === containerId && entry.state === 'running').map(({ id }) => id);
  }

  #forgetOldest(): void {
    const idle = [...this.#entries.values()].filter(({ state }) => state !== 'running');
    for (const { id } of idle.slice(0, Math.max(0, idle.length - maxIdle))) this.#entries.delete(id);
  }
}
