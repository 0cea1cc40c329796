import { EventEmitter, once } from 'node:events';
import { appendFile, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { LogStore, RepositoryRef } from '../ports.ts';

/** What one job may write. Beyond it the log ends with a line that says so. */
export const maxLogBytes = 64 << 20;

const chunkBytes = 64 << 10;

/**
 * Job logs as files: `<namespace>/<run>/<job>.log`, appended as lines come, and an empty `.end` beside it once nothing more will come.
 * One process writes; its readers wait for its events and never poll.
 */
export class DiskLogStore implements LogStore {
  readonly #folder: string;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #sizes = new Map<string, number>();
  readonly #writes = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  append(run: RepositoryRef, job: string, text: string): Promise<void> {
    const path = this.#path(run, job);
    return this.#inOrder(path, async () => {
      const size = this.#sizes.get(path) ?? (await sizeOf(path));
      if (size > maxLogBytes) return;
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const isOver = size + Buffer.byteLength(text) > maxLogBytes;
      const written = isOver ? `[the log is longer than ${maxLogBytes} bytes; the rest is left out]\n` : text;
      await appendFile(path, written, { mode: 0o600 });
      this.#sizes.set(path, isOver ? maxLogBytes + 1 : size + Buffer.byteLength(written));
      this.#changes.emit(path);
    });
  }

  async *read(run: RepositoryRef, job: string, follow: boolean, signal: AbortSignal): AsyncGenerator<string> {
    const path = this.#path(run, job);
    const decoder = new TextDecoder();
    let position = 0;
    while (!signal.aborted) {
      // Listening starts before the look at the file, so that nothing falls between the two.
      const wait = new AbortController();
      const changed = once(this.#changes, path, { signal: AbortSignal.any([signal, wait.signal]) }).catch(() => undefined);
      try {
        const isEnded = (await sizeOf(`${path}.end`, -1)) >= 0;
        for await (const chunk of readFrom(path, position)) {
          position += chunk.length;
          yield decoder.decode(chunk, { stream: true });
        }
        if (isEnded || !follow) return;
        await changed;
      } finally {
        wait.abort();
      }
    }
  }

  close(run: RepositoryRef, job: string): Promise<void> {
    const path = this.#path(run, job);
    return this.#inOrder(path, async () => {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(`${path}.end`, '', { mode: 0o600 });
      this.#sizes.delete(path);
      this.#changes.emit(path);
    });
  }

  /** Opens a log that was closed for more, as when a job starts over. */
  async reopen(run: RepositoryRef, job: string): Promise<void> {
    await rm(`${this.#path(run, job)}.end`, { force: true });
  }

  /** Removes all logs of a run. */
  async remove(run: RepositoryRef): Promise<void> {
    await rm(join(this.#folder, checked(run.namespace), checked(run.name)), { recursive: true, force: true });
  }

  #path(run: RepositoryRef, job: string): string {
    return join(this.#folder, checked(run.namespace), checked(run.name), `${checked(job)}.log`);
  }

  async #inOrder(path: string, write: () => Promise<void>): Promise<void> {
    const before = this.#writes.get(path) ?? Promise.resolve();
    const own = before.catch(() => undefined).then(write);
    this.#writes.set(path, own);
    try {
      await own;
    } finally {
      if (this.#writes.get(path) === own) this.#writes.delete(path);
    }
  }
}

/** Names come from resources and job ids; nothing else may become a path. */
function checked(name: string): string {
  if (!/^[A-Za-z0-9_][-A-Za-z0-9_.]{0,252}$/.test(name)) throw new GantryError('invalid', `invalid log name ${JSON.stringify(name.slice(0, 100))}`);
  return name;
}

async function sizeOf(path: string, absent = 0): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return absent;
    throw error;
  }
}

async function* readFrom(path: string, start: number): AsyncGenerator<Buffer> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    for (let position = start; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
