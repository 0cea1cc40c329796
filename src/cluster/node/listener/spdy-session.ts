import { Duplex } from 'node:stream';
import { encodeSpdyControl, encodeSpdyData, spdyFin, type SpdyFrame, SpdyFrameReader, SpdyHeaderCodec, spdyTypes } from '../../../wire/mod.ts';

const cancelStatus = 5;

/** One stream of a session. Ending it ends our direction; destroying it resets both. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #send: (frame: Buffer) => Promise<void>;
  #wanted = Promise.withResolvers<void>();
  #hasEnded = false;

  constructor(id: number, headers: ReadonlyMap<string, string>, send: (frame: Buffer) => Promise<void>) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.headers = headers;
    this.#send = send;
  }

  /** Hands over received bytes; resolves when more may come. `null` is the end. */
  async deliver(data: Buffer | null): Promise<void> {
    if (this.destroyed || this.readableEnded) return;
    this.#wanted = Promise.withResolvers();
    // Destroying the stream also ends the wait.
    if (!this.push(data) && data !== null) await this.#wanted.promise;
  }

  override _read(): void {
    this.#wanted.resolve();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(encodeSpdyData(this.id, chunk, false)).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#hasEnded = true;
    this.#send(encodeSpdyData(this.id, Buffer.alloc(0), true)).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#wanted.resolve();
    if (this.#hasEnded && error === null) return done(null);
    this.#send(encodeSpdyControl(spdyTypes.rstStream, 0, numbers(this.id, cancelStatus))).then(() => done(error), () => done(error));
  }
}

/**
 * Serves SPDY/3.1 as Kubernetes' clients speak it: streams that the client opens, without priorities and without flow control
 * beyond that of the transport. Resolves when the transport ends; every stream is gone then.
 */
export async function serveSpdySession(transport: Duplex, onStream: (stream: SpdyStream) => void): Promise<void> {
  const streams = new Map<number, SpdyStream>();
  const reader = new SpdyFrameReader();
  using codec = new SpdyHeaderCodec();
  const send = frameSender(transport);
  const handle = async (frame: SpdyFrame): Promise<void> => {
    if (frame.type === 'data') {
      const stream = streams.get(frame.streamId);
      if (frame.data.length > 0) await stream?.deliver(Buffer.from(frame.data));
      if (frame.isLast) await stream?.deliver(null);
      return;
    }
    const id = frame.payload.length >= 4 ? frame.payload.readUInt32BE(0) : 0;
    if (frame.code === spdyTypes.ping) await send(encodeSpdyControl(spdyTypes.ping, 0, frame.payload));
    if (frame.code === spdyTypes.rstStream) streams.get(id)?.destroy();
    if (frame.code !== spdyTypes.synStream) return;
    // Stream, associated stream, priority and slot stand before the header block (2.6.1).
    const stream = new SpdyStream(id, await codec.decode(frame.payload.subarray(10)), send);
    streams.set(id, stream);
    stream.once('close', () => streams.delete(id));
    stream.on('error', () => undefined);
    await send(encodeSpdyControl(spdyTypes.synReply, 0, Buffer.concat([numbers(id), await codec.encode(new Map())])));
    onStream(stream);
    if ((frame.flags & spdyFin) !== 0) await stream.deliver(null);
  };
  try {
    for await (const chunk of transport as AsyncIterable<Buffer>) for (const frame of reader.push(chunk)) await handle(frame);
  } finally {
    for (const stream of streams.values()) stream.destroy();
    transport.destroy();
  }
}

/** Writes frames; the promise resolves when the transport takes more, or is gone. */
function frameSender(transport: Duplex): (frame: Buffer) => Promise<void> {
  let room: PromiseWithResolvers<void> | undefined;
  const release = (): void => {
    room?.resolve();
    room = undefined;
  };
  transport.on('drain', release);
  transport.once('close', release);
  return async (frame) => {
    if (transport.destroyed || transport.write(frame)) return;
    room ??= Promise.withResolvers();
    await room.promise;
  };
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}
