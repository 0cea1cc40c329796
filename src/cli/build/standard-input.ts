import { createWriteStream, mkdtempSync, openSync, readSync, closeSync, readFileSync, rmSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { baseEnv, GantryError, runCommand } from '../../kernel/mod.ts';

/** What standard input gave: a folder with what was in an archive, or the text of a Dockerfile that needs no context. */
export interface PipedContext extends Disposable {
  readonly folder: string;
  readonly dockerfile: string | undefined;
}

const maxDockerfileBytes = 4 << 20;
const magics: readonly (readonly [offset: number, bytes: string])[] = [
  [0, '1f8b'], // gzip
  [0, '28b52ffd'], // zstd
  [0, '425a68'], // bzip2
  [0, 'fd377a585a00'], // xz
  [257, '7573746172'], // ustar
];

/** As other builders: an archive, plain or compressed, is the context; anything else is a Dockerfile. */
export async function readPipedContext(input: Readable, signal: AbortSignal): Promise<PipedContext> {
  const base = mkdtempSync(join(tmpdir(), 'gantry-stdin-'));
  const remove = (): void => rmSync(base, { recursive: true, force: true });
  try {
    const file = join(base, 'input');
    const folder = join(base, 'context');
    mkdirSync(folder);
    await pipeline(input, createWriteStream(file), { signal });
    const start = startOf(file);
    if (start.length === 0) throw new GantryError('invalid', 'standard input is empty: it is to be an archive or a Dockerfile');
    const isArchive = magics.some(([offset, bytes]) => start.subarray(offset, offset + bytes.length / 2).toString('hex') === bytes);
    if (isArchive) await unpack(file, folder, signal);
    const dockerfile = isArchive ? undefined : textOf(file);
    rmSync(file);
    return { folder, dockerfile, [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}

async function unpack(file: string, folder: string, signal: AbortSignal): Promise<void> {
  try {
    await runCommand('bsdtar', ['-x', '-p', '-C', folder, '-f', file], { env: { ...baseEnv(), LC_ALL: 'C.UTF-8' } }, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new GantryError('invalid', 'the archive on standard input cannot be unpacked', { cause: error });
  }
}

function startOf(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const start = Buffer.alloc(512);
    return start.subarray(0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}

function textOf(path: string): string {
  const bytes = readFileSync(path);
  if (bytes.length > maxDockerfileBytes || bytes.includes(0)) throw new GantryError('invalid', 'standard input is neither an archive nor a Dockerfile');
  return bytes.toString();
}
