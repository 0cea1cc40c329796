import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { openPipe } from '../../host/mod.ts';
import { baseEnv, cancelled, type ErrorCode, GantryError } from '../../kernel/mod.ts';
import { sniffCompression } from './compression.ts';
import { Limiter } from './limiter.ts';
import type { Layer } from './types.ts';
import type { UnpackOptions } from './unpack-layer.ts';

/** For the thread: a descriptor that ends with the plain tar, where it goes, and a number that is not 0 once nobody wants it any more. */
export interface UnpackTask extends UnpackOptions { readonly fd: number; readonly folder: string; readonly stop: Int32Array }

/** What the thread says of a task. */
export type UnpackAnswer = { readonly layer: Layer } | { readonly problem: { readonly code: ErrorCode; readonly message: string; readonly details: Readonly<Record<string, unknown>> } };

/** Unpacking is bound by the processor. */
const parallelUnpacks = 2;
/** A thread takes a tenth of a second to start, and memory. */
const idleMs = 3000;
const progressMs = 100;
const pipeBytes = 1 << 20;
/** Whose ids the decompressor has: it needs nothing but its two ends. */
const nobody = 65_534;

/**
 * Unpacks layers that are kept as files: `bsdcat` decompresses, a thread of this process checks, hashes and writes. They wait for each other
 * only when a pipe is full, and this thread goes on serving.
 */
export class Unpacker implements AsyncDisposable {
  readonly #limiter = new Limiter(parallelUnpacks);
  readonly #idle = new Map<Worker, NodeJS.Timeout>();

  /** `file` may be compressed by gzip or zstd; damaged data is `invalid`. `onRead` is told how much of it has been read, now and then. */
  async unpack(file: string, folder: string, options: UnpackOptions, onRead: ((bytes: number) => void) | undefined, signal: AbortSignal): Promise<Layer> {
    return this.#limiter.run(async () => {
      await using blob = await open(file, 'r');
      const { buffer } = await blob.read({ buffer: Buffer.alloc(4), position: 0 });
      const stop = new Int32Array(new SharedArrayBuffer(4));
      const onAbort = (): void => void Atomics.store(stop, 0, 1);
      signal.addEventListener('abort', onAbort, { once: true });
      const watch = onRead === undefined ? undefined : watchPosition(blob.fd, onRead);
      try {
        const task = { ...options, folder, stop };
        const layer = await (sniffCompression(buffer) === 'none' ? this.#write({ ...task, fd: blob.fd }) : this.#decompress(blob.fd, task, signal));
        onRead?.((await blob.stat()).size);
        return layer;
      } catch (error) {
        throw signal.aborted ? cancelled(signal) : error;
      } finally {
        watch?.[Symbol.dispose]();
        signal.removeEventListener('abort', onAbort);
      }
    }, signal);
  }

  /** Has a thread started by the time that there is something to unpack. */
  prepare(): void {
    if (this.#idle.size === 0) this.#leave(this.#take());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#idle.keys()].map((worker) => this.#end(worker)));
  }

  async #decompress(blobFd: number, task: Omit<UnpackTask, 'fd'>, signal: AbortSignal): Promise<Layer> {
    const { readFd, writeFd } = openPipe(pipeBytes);
    const child = spawn('bsdcat', [], { stdio: [blobFd, writeFd, 'ignore'], uid: nobody, gid: nobody, env: baseEnv() });
    closeSync(writeFd);
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    const ended = once(child, 'close').then(([code]) => code as number | null, (error: unknown) => Promise.reject(new GantryError('unavailable', 'cannot start bsdcat', { cause: error })));
    ended.catch(() => undefined);
    // Whoever has no reader any more is ended by its next write; its code is a number only when it ended by itself.
    const written = await this.#write({ ...task, fd: readFd }).then((layer) => ({ layer }), (error: unknown) => ({ error })).finally(() => closeSync(readFd));
    const code = await ended.finally(() => signal.removeEventListener('abort', kill));
    if (code !== null && code !== 0) throw new GantryError('invalid', `${task.what}: the data is not properly compressed`);
    if ('error' in written) throw written.error;
    return written.layer;
  }

  /** Has a thread do it. */
  async #write(task: UnpackTask): Promise<Layer> {
    const worker = this.#take();
    try {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      worker.postMessage(task);
      const [answer] = (await once(worker, 'message')) as [UnpackAnswer];
      if ('layer' in answer) return answer.layer;
      const { code, message, details } = answer.problem;
      throw new GantryError(code, message, { details });
    } finally {
      this.#leave(worker);
    }
  }

  #take(): Worker {
    for (const [worker, timer] of this.#idle) {
      clearTimeout(timer);
      this.#idle.delete(worker);
      worker.ref();
      return worker;
    }
    // What it opens it also closes, by numbers: to have them tracked would cost more than the files.
    return new Worker(new URL('unpack-worker.ts', import.meta.url), { trackUnmanagedFds: false });
  }

  #leave(worker: Worker): void {
    worker.unref();
    this.#idle.set(worker, setTimeout(() => void this.#end(worker), idleMs).unref());
  }

  async #end(worker: Worker): Promise<void> {
    clearTimeout(this.#idle.get(worker));
    this.#idle.delete(worker);
    await worker.terminate();
  }
}

/** Tells now and then how far the file has been read, once there is something to tell, and nothing after its end. */
function watchPosition(fd: number, onRead: (bytes: number) => void): Disposable {
  let isOver = false;
  const timer = setInterval(() => {
    void positionOf(fd).then((bytes) => {
      if (bytes > 0 && !isOver) onRead(bytes);
    }, () => undefined);
  }, progressMs);
  return {
    [Symbol.dispose]() {
      isOver = true;
      clearInterval(timer);
    },
  };
}

/** How far the file has been read, by whoever shares the descriptor. */
async function positionOf(fd: number): Promise<number> {
  return Number(/^pos:\s*(\d+)/m.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? 0);
}
