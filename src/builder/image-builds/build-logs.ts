import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

/** Of one log; what comes after is left out, and said so. */
const maxLogBytes = 64 << 20;

/** The logs of a node's image builds: one file each, kept until the build's resource is gone, read by many while it grows. */
export class BuildLogs {
  readonly #folder: string;
  readonly #open = new Map<string, BuildLog>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<BuildLogs> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new BuildLogs(folder);
  }

  /** A log to write to; a build that is started again goes on in the same file. */
  async start(uid: string): Promise<BuildLog> {
    const log = await BuildLog.open(this.#path(uid));
    this.#open.set(uid, log);
    return log;
  }

  /** Ends the log for its readers. */
  async finish(uid: string): Promise<void> {
    const log = this.#open.get(uid);
    this.#open.delete(uid);
    await log?.close();
  }

  /** All of it, then what comes until it ends when `follow`. `not-found` when there is none. */
  async *read(uid: string, follow: boolean, signal: AbortSignal): AsyncGenerator<Buffer> {
    let file: FileHandle;
    try {
      file = await open(this.#path(uid), 'r');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw new GantryError('not-found', 'this build has no log on this node');
      throw error;
    }
    try {
      for (let offset = 0; ; ) {
        const log = this.#open.get(uid);
        const change = follow ? log?.change(signal) : undefined;
        // The reader may leave before it waits.
        change?.catch(() => undefined);
        for (let chunk = await readAt(file, offset); chunk.length > 0; chunk = await readAt(file, offset)) {
          offset += chunk.length;
          yield chunk;
        }
        if (change === undefined) return;
        await change;
      }
    } finally {
      await file.close();
    }
  }

  has(uid: string): boolean {
    return existsSync(this.#path(uid));
  }

  async remove(uid: string): Promise<void> {
    await rm(this.#path(uid), { force: true });
  }

  /** The uids of all logs. */
  async list(): Promise<string[]> {
    return (await readdir(this.#folder)).map((name) => name.replace(/\.log$/, ''));
  }

  #path(uid: string): string {
    if (!/^[\w-]{1,64}$/.test(uid)) throw new GantryError('invalid', 'malformed uid');
    return join(this.#folder, `${uid}.log`);
  }
}

async function readAt(file: FileHandle, offset: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(64 << 10), 0, 64 << 10, offset);
  return buffer.subarray(0, bytesRead);
}

/** One log while it is written. */
export class BuildLog {
  readonly #file: FileHandle;
  readonly #changes = new EventEmitter();
  #writing: Promise<void> = Promise.resolve();
  #sizeBytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
    this.#changes.setMaxListeners(0);
  }

  static async open(path: string): Promise<BuildLog> {
    return new BuildLog(await open(path, 'a', 0o600));
  }

  /** Written in the order of the calls. */
  write(text: string): void {
    if (this.#sizeBytes > maxLogBytes) return;
    this.#sizeBytes += Buffer.byteLength(text);
    const kept = this.#sizeBytes > maxLogBytes ? `\n[the log is longer than ${maxLogBytes} bytes; the rest is left out]\n` : text;
    this.#writing = this.#writing.then(async () => {
      await this.#file.appendFile(kept);
      this.#changes.emit('change');
    });
  }

  /** Resolves at the next write or at the end. */
  async change(signal: AbortSignal): Promise<void> {
    await once(this.#changes, 'change', { signal }).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : error;
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
    this.#changes.emit('change');
  }
}
