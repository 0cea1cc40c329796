import { watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';
import type { LogQuery, LogRecord } from '../engine.ts';
import { currentLogName, findTail, listLogFiles, type LogPosition } from './log-files.ts';
import { LogRecordParser, timeNanos } from './log-record.ts';

/** Whether more may come: the container runs. `onEnd` calls back once when it has exited and everything is in the file. */
export interface LogWriterState {
  isLive(): boolean;
  onEnd(listener: () => void): Disposable;
}

const chunkBytes = 64 << 10;

/** The records of a container's log that the query asks for. Ends at the end of the log, or with `follow` when the writer has ended. */
export async function* readLog(folder: string, query: LogQuery, writer: LogWriterState, signal: AbortSignal): AsyncGenerator<LogRecord> {
  const from = query.tailLines === undefined ? undefined : query.tailLines === 0 ? await endOfLog(folder) : await findTail(folder, query.tailLines);
  const since = query.since === undefined ? undefined : timeNanos(query.since);
  const until = query.until === undefined ? undefined : timeNanos(query.until);
  for await (const records of readRecords(folder, from, query.follow ? writer : undefined, signal)) {
    for (const record of records) {
      if ((record.stream === 'stdout' && !query.stdout) || (record.stream === 'stderr' && !query.stderr)) continue;
      const time = since === undefined && until === undefined ? undefined : timeNanos(record.time);
      if (since !== undefined && time !== undefined && time < since) continue;
      if (until !== undefined && time !== undefined && time > until) return;
      yield record;
    }
  }
}

/** The position after everything written so far. */
export async function endOfLog(folder: string): Promise<LogPosition | undefined> {
  const file = join(folder, currentLogName);
  try {
    await using handle = await open(file, 'r');
    return { file, offset: (await handle.stat()).size };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Records from a position on, in batches. With a live writer it waits for more (inotify, no polling) and goes along with rotation:
 * the next file is the one with the next lower number than the file that was being read has now.
 */
export async function* readRecords(folder: string, from: LogPosition | undefined, writer: LogWriterState | undefined, signal: AbortSignal): AsyncGenerator<LogRecord[]> {
  const parser = new LogRecordParser();
  using changes = new ChangeSignal(folder, writer, signal);
  let handle = await openFirst(folder, from);
  let offset = from?.offset ?? 0;
  try {
    while (!signal.aborted) {
      // Whether more may come is asked before reading, so that the last bytes are not missed.
      const mayGrow = writer?.isLive() === true;
      changes.reset();
      handle ??= await openFirst(folder, undefined);
      if (handle !== undefined) {
        const next: FileHandle | undefined = yield* readFileRecords({ handle, offset, folder, parser, changes, writer }, signal);
        if (next === undefined) return;
        await handle.close();
        handle = next;
        offset = 0;
        continue;
      }
      if (!mayGrow) return;
      await changes.wait();
    }
  } finally {
    await handle?.close();
  }
}

/** The file of the position, or the oldest; undefined when there is none. */
async function openFirst(folder: string, from: LogPosition | undefined): Promise<FileHandle | undefined> {
  const file = from?.file ?? (await listLogFiles(folder))[0];
  return file === undefined ? undefined : openIfExists(file);
}

interface FileReading {
  readonly handle: FileHandle;
  readonly offset: number;
  readonly folder: string;
  readonly parser: LogRecordParser;
  readonly changes: ChangeSignal;
  readonly writer: LogWriterState | undefined;
}

/** Reads one file to its end, and on while it grows. Returns the file to go on with; undefined: that was all. */
async function* readFileRecords(reading: FileReading, signal: AbortSignal): AsyncGenerator<LogRecord[], FileHandle | undefined> {
  const { handle, folder, parser, changes, writer } = reading;
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let offset = reading.offset;
  let newer: FileHandle | undefined;
  try {
    while (!signal.aborted) {
      const mayGrow = writer?.isLive() === true;
      changes.reset();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
      offset += bytesRead;
      // The parser keeps no reference into the buffer beyond the batch; copy what is handed out.
      if (bytesRead > 0) {
        const records = parser.push(Buffer.from(buffer.subarray(0, bytesRead)));
        if (records.length > 0) yield records;
        continue;
      }
      if (newer !== undefined) {
        const next = newer;
        newer = undefined;
        return next;
      }
      // Once a newer file exists the writer is done with this one, and one more read gets all of it.
      newer = await openNewer(folder, handle);
      if (newer !== undefined) continue;
      if (!mayGrow) return undefined;
      await changes.wait();
    }
    return undefined;
  } finally {
    // Also when the reader is left in the middle.
    await newer?.close();
  }
}

/** The file that follows the one that is read, open; undefined when that is the newest. Rotation may happen meanwhile: then it looks again. */
async function openNewer(folder: string, current: FileHandle): Promise<FileHandle | undefined> {
  for (;;) {
    const { ino, nlink } = await current.stat();
    const files = await readInodes(folder);
    // The container was removed, and its folder moved away.
    if (files.length === 0) return undefined;
    const position = files.findIndex(({ inode }) => inode === ino);
    // A folder that is listed while files are renamed may show a file twice or not at all.
    if ((position < 0 && nlink > 0) || !isSameList(files, await readInodes(folder))) continue;
    // A file that rotation has removed is followed by the oldest that is left.
    const next = files[position + 1];
    if (next === undefined) return undefined;
    const handle = await openIfExists(next.path);
    if (handle === undefined) continue;
    if ((await handle.stat()).ino === next.inode) return handle;
    await handle.close();
  }
}

interface LogFile { readonly path: string; readonly inode: number }

function isSameList(a: readonly LogFile[], b: readonly LogFile[]): boolean {
  return a.length === b.length && a.every(({ path, inode }, index) => path === b[index]?.path && inode === b[index]?.inode);
}

/** Log files with their inodes, the oldest first. */
async function readInodes(folder: string): Promise<LogFile[]> {
  const found: LogFile[] = [];
  // The newest first, which is the way rotation moves them: a file that moves while we look is seen twice and never missed.
  for (const path of (await listLogFiles(folder)).toReversed()) {
    const inode = await stat(path).then(({ ino }) => ino, () => undefined);
    if (inode !== undefined && !found.some((file) => file.inode === inode)) found.push({ path, inode });
  }
  return found.toReversed();
}

async function openIfExists(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Remembers changes of the folder between two waits. */
class ChangeSignal implements Disposable {
  #isChanged = false;
  #wake: (() => void) | undefined;
  readonly #close: () => void;

  constructor(folder: string, writer: LogWriterState | undefined, signal: AbortSignal) {
    const notify = (): void => {
      this.#isChanged = true;
      this.#wake?.();
    };
    if (writer === undefined) {
      this.#close = () => undefined;
      return;
    }
    const watcher = watch(folder, notify);
    // The folder goes when the container is removed; the writer has ended then.
    watcher.on('error', notify);
    const ended = writer.onEnd(notify);
    signal.addEventListener('abort', notify, { once: true });
    this.#close = () => {
      watcher.close();
      ended[Symbol.dispose]();
      signal.removeEventListener('abort', notify);
    };
  }

  reset(): void {
    this.#isChanged = false;
  }

  async wait(): Promise<void> {
    if (this.#isChanged) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
