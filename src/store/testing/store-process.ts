import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { StoreEntry, StoreEvent } from '../object-store.ts';
import type { StoreCommand } from './store-child.ts';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

/** What a store holds: everything now, and all changes after a revision. */
export interface StoreState { readonly revision: number; readonly entries: readonly StoreEntry[]; readonly events: readonly StoreEvent[] }

/** An answer, or the code of the refusal; undefined when the process was killed before it gave one. */
export type StoreAnswer = { readonly result: unknown } | { readonly code: string } | undefined;

/** A store in a process of its own, which can be killed as by a power cut. */
export class StoreProcess {
  /** Changes that a watcher in the process has told, in order. */
  readonly heard: StoreEvent[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: StoreAnswer) => void>();
  readonly #ended: Promise<void>;
  #lastId = 0;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    // What is in the pipe when the process dies counts: somebody could have read it.
    this.#ended = this.#read();
    child.stdin.on('error', () => undefined);
  }

  /** Starts it; its watcher tells every change after `revision`. */
  static async open(path: string, revision: number): Promise<StoreProcess> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'store-child.ts'), path, String(revision)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const opened = new StoreProcess(child);
    await new Promise<void>((resolve, reject) => {
      opened.#waiting.set(0, (answer) => (answer === undefined ? reject(new Error('the store’s process ended at once')) : resolve()));
    });
    return opened;
  }

  /** Commands are carried out in the order they are sent; answers may be waited for together. */
  send(command: WithoutId<StoreCommand>): Promise<StoreAnswer> {
    const id = (this.#lastId += 1);
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  /** Kills the process now; resolves when all that it said before has been read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** An ordinary end. */
  async close(): Promise<void> {
    await this.send({ do: 'close' });
    await this.#ended;
  }

  async #read(): Promise<void> {
    const closed = once(this.#child, 'close');
    for await (const line of createInterface({ input: this.#child.stdout })) {
      // A line that was cut off by the kill was never read by anyone.
      if (!line.endsWith('}')) continue;
      const said = JSON.parse(line) as { id?: number; ready?: true; event?: StoreEvent; result?: unknown; code?: string };
      if (said.event !== undefined) this.heard.push(said.event);
      else this.#settle(said.id ?? 0, said.code === undefined ? { result: said.result } : { code: said.code });
    }
    await closed;
    for (const id of this.#waiting.keys()) this.#settle(id, undefined);
  }

  #settle(id: number, answer: StoreAnswer): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
