import { PassThrough, type Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { formatError, isError } from '../../../kernel/mod.ts';
import { decodeRemoteFrame, encodeRemoteClose, encodeRemoteData, encodeRemoteResult, parseTerminalSize, type RemoteResult, type TerminalSize } from '../../../wire/mod.ts';

export interface RemoteStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resizes: AsyncIterable<TerminalSize>;
}

export interface RemoteWants { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly tty: boolean }

/**
 * One exec or attach over a WebSocket: the peer's frames become stdin and terminal sizes, what is written to stdout and stderr
 * becomes frames. Slow readers slow the command down. `work`'s result is sent last; when the peer leaves, `work` is aborted.
 */
export async function serveRemoteSession(socket: WebSocket, wants: RemoteWants, canClose: boolean, work: (streams: RemoteStreams, signal: AbortSignal) => Promise<RemoteResult>, stop: AbortSignal): Promise<void> {
  const left = new AbortController();
  const signal = AbortSignal.any([left.signal, stop]);
  const stdin = wants.stdin ? new PassThrough() : undefined;
  const resizes = new SizeQueue(signal);
  socket.on('message', (data: Buffer) => receive(socket, data, stdin, resizes));
  socket.on('error', () => left.abort());
  socket.once('close', () => {
    left.abort();
    stdin?.destroy();
  });
  const streams: RemoteStreams = {
    stdin,
    stdout: wants.stdout ? frameWriter(socket, 'stdout', canClose) : undefined,
    stderr: wants.stderr && !wants.tty ? frameWriter(socket, 'stderr', canClose) : undefined,
    resizes,
  };
  let result: RemoteResult;
  try {
    result = await work(streams, signal);
  } catch (error) {
    if (!isError(error, 'cancelled')) result = { error: formatError(error) };
    else result = { error: 'the session was cancelled' };
  }
  if (socket.readyState === socket.OPEN) {
    await new Promise<void>((resolve) => socket.send(encodeRemoteResult(result), () => resolve()));
    socket.close(1000);
  }
}

function receive(socket: WebSocket, data: Buffer, stdin: PassThrough | undefined, resizes: SizeQueue): void {
  try {
    const frame = decodeRemoteFrame(data);
    if (frame.type === 'close') {
      if (frame.channel === 'stdin') stdin?.end();
      return;
    }
    if (frame.channel === 'resize') {
      // A terminal that has no size, as under a script, says zero: that is nothing to tell the command.
      if (!/"(Width|Height)":0\b/.test(frame.payload.toString())) resizes.push(parseTerminalSize(frame.payload));
      return;
    }
    if (frame.channel !== 'stdin' || stdin === undefined || stdin.writableEnded || frame.payload.length === 0) return;
    if (stdin.write(frame.payload)) return;
    socket.pause();
    stdin.once('drain', () => socket.resume());
  } catch (error) {
    socket.close(1008, formatError(error).slice(0, 100));
  }
}

function frameWriter(socket: WebSocket, channel: 'stdout' | 'stderr', canClose: boolean): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (socket.readyState !== socket.OPEN) return done();
      // The callback comes when the kernel took the bytes: the command waits for its reader.
      socket.send(encodeRemoteData(channel, chunk), () => done());
    },
    final: (done) => {
      if (canClose && socket.readyState === socket.OPEN) socket.send(encodeRemoteClose(channel));
      done();
    },
  });
}

/** Terminal sizes in order; only the newest of those nobody has read yet is kept. */
class SizeQueue implements AsyncIterable<TerminalSize> {
  readonly #signal: AbortSignal;
  #newest: TerminalSize | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
  }

  push(size: TerminalSize): void {
    this.#newest = size;
    this.#wake.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TerminalSize> {
    for (;;) {
      await this.#wake.promise;
      if (this.#signal.aborted) return;
      this.#wake = Promise.withResolvers();
      const size = this.#newest;
      this.#newest = undefined;
      if (size !== undefined) yield size;
    }
  }
}
