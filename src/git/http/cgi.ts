import { type ChildProcess, spawn } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

const maxHeaderBytes = 64 << 10;

/**
 * Runs a CGI program (RFC 3875) for a request: the body streams in, headers and body stream out. When the client goes away or the
 * signal aborts, the program and all it started are ended by SIGTERM to their process group, at which git cleans up after itself.
 */
export async function runCgi(command: string, args: readonly string[], environment: Record<string, string>, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const child = spawn(command, args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const end = (): void => {
    if (!response.writableFinished) endGroup(child);
  };
  response.once('close', end);
  signal.addEventListener('abort', end, { once: true });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-4000);
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new GantryError('unavailable', `cannot start ${command}`, { cause: error })));
    child.once('close', (code) => resolve(code));
  });
  exited.catch(() => undefined);
  try {
    const fed = pipeline(request, child.stdin).catch((error: unknown) => {
      // The program may answer without reading everything; a client that stops in the middle is ended through `close`.
      if (!['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'ERR_STREAM_DESTROYED'].includes(errnoOf(error) ?? '')) throw error;
    });
    await answer(child.stdout, response);
    await fed;
    const code = await exited;
    if (code !== 0 && !response.destroyed && !response.writableFinished) throw new GantryError('internal', `${command} ended with ${code ?? 'a signal'}: ${stderr.trim()}`);
  } finally {
    response.removeListener('close', end);
    signal.removeEventListener('abort', end);
    if (child.exitCode === null && child.signalCode === null) end();
  }
}

/** Reads the header block, then passes the rest on as it comes. */
async function answer(output: Readable, response: ServerResponse): Promise<void> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextChunk(output);
    if (chunk === undefined) throw new GantryError('internal', 'the program ended before it had sent its headers');
    head = Buffer.concat([head, chunk]);
    const found = /\r?\n\r?\n/.exec(head.toString('latin1'));
    if (found !== null) {
      writeHead(head.subarray(0, found.index).toString('latin1'), response);
      response.write(head.subarray(found.index + found[0].length));
      break;
    }
    if (head.length > maxHeaderBytes) throw new GantryError('internal', 'the program sent no end of headers');
  }
  try {
    await pipeline(output, response);
  } catch (error) {
    if (!response.destroyed) throw error;
  }
}

function nextChunk(stream: Readable): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null && !stream.readableEnded) return;
      clear();
      resolve(chunk ?? undefined);
    };
    const fail = (error: Error): void => {
      clear();
      reject(error);
    };
    const clear = (): void => {
      stream.removeListener('readable', settle);
      stream.removeListener('end', settle);
      stream.removeListener('error', fail);
    };
    stream.on('readable', settle);
    stream.on('end', settle);
    stream.on('error', fail);
  });
}

function writeHead(block: string, response: ServerResponse): void {
  let status = 200;
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
  response.flushHeaders();
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}
