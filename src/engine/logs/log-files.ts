import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';
import { parseLogLine } from './log-record.ts';

/** The file conmon writes. Rotated ones are `container.log.1` (the newest) and up. */
export const currentLogName = 'container.log';

/** Rotated files and the current one, the oldest first. */
export async function listLogFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /^container\.log(\.\d+)?$/.test(name)).toSorted((a, b) => rank(b) - rank(a)).map((name) => join(folder, name));
}

function rank(name: string): number {
  return Number(/\.(\d+)$/.exec(name)?.[1] ?? 0);
}

/** Makes room for a new current file. The writer must be told to reopen it afterwards. The oldest file beyond `maxFiles` goes. */
export async function rotateLogFiles(folder: string, maxFiles: number): Promise<void> {
  const files = await listLogFiles(folder);
  for (const file of files) {
    const next = rank(file) + 1;
    if (next >= maxFiles && next > 1) await rm(file, { force: true });
    else await rename(file, join(folder, `${currentLogName}.${next}`));
  }
}

/** Bytes of the current file; 0 when there is none yet. */
export async function currentLogBytes(folder: string): Promise<number> {
  try {
    return (await stat(join(folder, currentLogName))).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

export interface LogPosition { readonly file: string; readonly offset: number }

/** Where the last `lines` lines begin, across rotated files. Reads backwards, so the size of the log does not matter. */
export async function findTail(folder: string, lines: number): Promise<LogPosition | undefined> {
  const files = await listLogFiles(folder);
  let wanted = lines;
  for (const file of files.toReversed()) {
    await using handle = await open(file, 'r');
    const { offset, found } = await findTailIn(handle, wanted, wanted === lines);
    if (found >= wanted || file === files[0]) return { file, offset };
    wanted -= found;
  }
  return undefined;
}

const blockBytes = 64 << 10;

/** `isNewest`: an unfinished line at the very end counts as a line. */
async function findTailIn(handle: FileHandle, lines: number, isNewest: boolean): Promise<{ offset: number; found: number }> {
  const { size } = await handle.stat();
  let tail = Buffer.alloc(0);
  let start = size;
  while (start > 0) {
    const length = Math.min(blockBytes, start);
    start -= length;
    const block = Buffer.alloc(length);
    await handle.read(block, 0, length, start);
    tail = Buffer.concat([block, tail]);
    const result = countBackwards(tail, lines, start === 0, isNewest);
    if (result.found >= lines || start === 0) return { offset: start + result.offset, found: Math.min(result.found, lines) };
  }
  return { offset: 0, found: 0 };
}

function countBackwards(buffer: Buffer, lines: number, isWhole: boolean, isNewest: boolean): { offset: number; found: number } {
  let found = 0;
  let offset = buffer.length;
  let end = buffer.lastIndexOf(10);
  let isFirst = isNewest;
  while (end >= 0) {
    const before = end === 0 ? -1 : buffer.lastIndexOf(10, end - 1);
    if (before < 0 && !isWhole) break;
    const record = parseLogLine(buffer.subarray(before + 1, end));
    if (record !== undefined && (!record.isPartial || isFirst)) {
      if (found === lines) return { offset, found };
      found += 1;
    }
    if (record !== undefined) isFirst = false;
    offset = before + 1;
    end = before;
  }
  // Without the line before, it is not known whether the first line here is whole.
  return { offset, found: isWhole ? found : Math.max(0, found - 1) };
}
