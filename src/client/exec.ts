import type { Readable, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { cancelled, GantryError, throwIfAborted } from '../kernel/mod.ts';
import { decodeRemoteFrame, encodeRemoteClose, encodeRemoteData, parseRemoteResult, remoteCommandProtocol, type RemoteResult } from '../wire/mod.ts';
import type { PodExecOptions } from './client.ts';
import { identityHeaders, type KubeConnection, tlsOptions } from './connection.ts';
import { toStatusError } from './status-error.ts';

/** What one WebSocket message of stdin carries at most, in bytes. */
const stdinChunkBytes = 64 << 10;

/** Runs a command through the exec subresource at `path` (with its query) and resolves when it has ended and all output is handed over. */
export async function execOverWebSocket(connection: KubeConnection, path: string, options: PodExecOptions, signal: AbortSignal): Promise<{ exitCode: number }> {
  throwIfAborted(signal);
  const url = connection.server.replace(/^http/, 'ws').replace(/\/+$/, '') + path;
  const socket = new WebSocket(url, [remoteCommandProtocol], { ...tlsOptions(connection), headers: identityHeaders(connection), perMessageDeflate: false });
  const onAbort = (): void => socket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await opened(socket, path);
    const result = await converse(socket, options);
    if ('error' in result) throw new GantryError('internal', result.error);
    return result;
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.terminate();
  }
}

function opened(socket: WebSocket, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('close', () => reject(toStatusError(response.statusCode ?? 500, Buffer.concat(chunks).toString(), response.headers['retry-after'], `exec ${path}`)));
    });
    socket.on('error', (error) => reject(new GantryError('unavailable', `exec ${path}: ${error.message}`, { cause: error })));
  });
}

/** Pumps all streams; the result is known when the server has closed the socket or every byte before the result is delivered. */
async function converse(socket: WebSocket, options: PodExecOptions): Promise<RemoteResult> {
  const stopFeeding = options.stdin === undefined ? undefined : feedStdin(socket, options.stdin);
  try {
    return await new Promise<RemoteResult>((resolve, reject) => {
      socket.on('message', (message: Buffer) => {
        try {
          const frame = decodeRemoteFrame(message);
          if (frame.type === 'close') return;
          if (frame.channel === 'error') return resolve(parseRemoteResult(frame.payload));
          const sink = frame.channel === 'stdout' ? options.stdout : frame.channel === 'stderr' ? options.stderr : undefined;
          if (sink !== undefined) deliver(socket, sink, frame.payload);
        } catch (error) {
          reject(error);
        }
      });
      socket.once('close', () => reject(new GantryError('unavailable', 'exec: the connection broke before the command ended')));
    });
  } finally {
    stopFeeding?.();
  }
}

function deliver(socket: WebSocket, sink: Writable, payload: Buffer): void {
  if (sink.destroyed || sink.writableEnded || sink.write(payload)) return;
  socket.pause();
  const resume = (): void => {
    for (const event of ['drain', 'close', 'error']) sink.off(event, resume);
    socket.resume();
  };
  for (const event of ['drain', 'close', 'error']) sink.once(event, resume);
}

/** Sends stdin piece by piece, each after the one before has left for the network. Returns how to stop; the source is never destroyed. */
function feedStdin(socket: WebSocket, stdin: Readable): () => void {
  let waiting = 0;
  let isStopped = false;
  const onData = (data: Buffer | string): void => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let start = 0; start < bytes.length; start += stdinChunkBytes) {
      waiting += 1;
      socket.send(encodeRemoteData('stdin', bytes.subarray(start, start + stdinChunkBytes)), () => {
        waiting -= 1;
        if (waiting === 0 && !isStopped) stdin.resume();
      });
    }
    if (waiting > 0) stdin.pause();
  };
  const onEnd = (): void => socket.send(encodeRemoteClose('stdin'), () => undefined);
  const onError = (): void => socket.terminate();
  stdin.on('data', onData).once('end', onEnd).once('error', onError);
  if (stdin.readableEnded) onEnd();
  return () => {
    isStopped = true;
    stdin.off('data', onData).off('end', onEnd).off('error', onError);
    stdin.pause();
  };
}
