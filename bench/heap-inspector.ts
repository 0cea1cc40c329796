import { setTimeout as sleep } from 'node:timers/promises';
import { GantryError, pollUntil } from '../src/kernel/mod.ts';
import { costsOf } from './process-costs.ts';

/** Where Node listens when it is asked by a signal. */
const inspector = 'http://127.0.0.1:9229';

/** What a process holds when nothing is garbage. */
export interface Held { readonly heapBytes: number; readonly externalBytes: number; readonly rssBytes: number }

/** Looks into a running Node process by its inspector (Chrome DevTools protocol), which SIGUSR1 opens; nothing in the process is made for it. */
export class HeapInspector implements Disposable {
  readonly #pid: number;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #sent = 0;

  private constructor(pid: number, socket: WebSocket) {
    this.#pid = pid;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
      if (id !== undefined) this.#waiting.get(id)?.(result);
    });
  }

  /** `conflict` when another process has the inspector's port. */
  static async open(pid: number, signal: AbortSignal): Promise<HeapInspector> {
    process.kill(pid, 'SIGUSR1');
    const url = await pollUntil('the inspector', () => fetch(`${inspector}/json/list`).then(async (answer) => ((await answer.json()) as { webSocketDebuggerUrl: string }[])[0]?.webSocketDebuggerUrl, () => undefined), { timeoutMs: 10_000, intervalMs: 50 }, signal);
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => reject(new GantryError('unavailable', 'the inspector does not answer')), { once: true });
    });
    const opened = new HeapInspector(pid, socket);
    const found = await opened.#evaluate<number>('process.pid');
    if (found === pid) return opened;
    opened[Symbol.dispose]();
    throw new GantryError('conflict', `port 9229 is the inspector of process ${found}, not of ${pid}`);
  }

  /** Collects, until nothing more goes, and tells what is left. */
  async collect(): Promise<Held> {
    for (let pass = 0; pass < 3; pass += 1) {
      await this.#call('HeapProfiler.collectGarbage');
      // Finalizers run in turns of the process's own.
      await sleep(100);
    }
    const { heapUsed, external } = await this.#evaluate<{ heapUsed: number; external: number }>('(({ heapUsed, external }) => ({ heapUsed, external }))(process.memoryUsage())');
    return { heapBytes: heapUsed, externalBytes: external, rssBytes: (await costsOf([this.#pid])).rssBytes };
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #evaluate<T>(expression: string): Promise<T> {
    return ((await this.#call('Runtime.evaluate', { expression, returnByValue: true })) as { result: { value: T } }).result.value;
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    this.#sent += 1;
    const id = this.#sent;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }
}
