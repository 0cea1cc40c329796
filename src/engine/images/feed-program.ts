import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { openPipe } from '../../host/mod.ts';
import { cancelled, errnoOf, GantryError, throwIfAborted } from '../../kernel/mod.ts';

const pipeBytes = 1 << 20;
const maxErrorBytes = 64 * 1024;

/**
 * Runs a program that reads a stream of many small parts and prints nothing but errors. The parts are gathered in one buffer that is used
 * again and again, and go through a pipe of a megabyte: what passes by is never garbage. The error of the source is thrown as it is;
 * `internal` when the program fails, with what it said.
 */
export async function feedProgram(program: string, args: readonly string[], env: Readonly<Record<string, string>>, source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const { readFd, writeFd } = openPipe(pipeBytes);
  const child = spawn(program, args, { env, stdio: [readFd, 'ignore', 'pipe'] });
  closeSync(readFd);
  const pipe = new Socket({ fd: writeFd, readable: false, writable: true });
  pipe.on('error', () => undefined);
  const onAbort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-maxErrorBytes)));
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new GantryError('unavailable', `cannot start ${program}`, { cause: error })));
    child.once('close', (code) => resolve(code ?? 128));
  });
  ended.catch(() => undefined);
  try {
    await feed(pipe, source);
  } catch (error) {
    // The archive ends here, and with it the program.
    pipe.destroy();
    await ended.catch(() => undefined);
    throw signal.aborted ? cancelled(signal) : error;
  }
  try {
    const code = await ended;
    if (signal.aborted) throw cancelled(signal);
    if (code !== 0) throw new GantryError('internal', `${program} exited with ${code}: ${said.trim().slice(-2000)}`);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Ends when everything was written, or when the program reads no more. */
async function feed(pipe: Socket, source: AsyncIterable<Buffer>): Promise<void> {
  const batch = Buffer.allocUnsafeSlow(pipeBytes);
  let filled = 0;
  // Resolves to false when nobody reads any more: the exit code says why.
  const write = (bytes: Buffer): Promise<boolean> => new Promise((resolve, reject) => pipe.write(bytes, (error) => {
    if (error === undefined || error === null) resolve(true);
    else if (['EPIPE', 'ERR_STREAM_DESTROYED', 'ECONNRESET'].includes(errnoOf(error) ?? '')) resolve(false);
    else reject(error);
  }));
  for await (const part of source) {
    for (let offset = 0; offset < part.length;) {
      const count = part.copy(batch, filled, offset);
      offset += count;
      filled += count;
      if (filled < batch.length) continue;
      if (!(await write(batch))) return;
      filled = 0;
    }
  }
  if (filled > 0) await write(batch.subarray(0, filled));
  pipe.end();
}
