import { createConnection, type Socket } from 'node:net';
import { once } from 'node:events';
import { GantryError } from '../../../kernel/mod.ts';
import { DockerFrameDecoder } from '../../../wire/mod.ts';

/** A client that has taken its connection over (`Upgrade: tcp`) and reads only when it is told to. */
export interface HijackedClient extends AsyncDisposable {
  readonly socket: Socket;
  /** All that comes until the other end closes, as it is. */
  rest(): Promise<Buffer>;
  /** Reads until the bytes have what is wanted. */
  until(isEnough: (bytes: Buffer) => boolean): Promise<Buffer>;
}

/** `POST path` with the body. The socket is paused: nothing after the head of the answer has been read. */
export async function openHijacked(socketPath: string, path: string, body?: unknown): Promise<HijackedClient> {
  const socket = createConnection({ path: socketPath, allowHalfOpen: true });
  const text = body === undefined ? '' : JSON.stringify(body);
  socket.write(`POST ${path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  let bytes: Buffer = Buffer.alloc(0);
  while (!bytes.includes('\r\n\r\n')) {
    await once(socket, 'readable');
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded) break;
  }
  const end = bytes.indexOf('\r\n\r\n');
  if (!bytes.toString('latin1').startsWith('HTTP/1.1 101 ')) throw new GantryError('internal', `not upgraded: ${bytes.toString('latin1')}`);
  let seen: Buffer = bytes.subarray(end + 4);
  return {
    socket,
    rest: async () => {
      const chunks = [seen];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      seen = Buffer.concat(chunks);
      return seen;
    },
    until: async (isEnough) => {
      while (!isEnough(seen) && !socket.readableEnded) {
        const chunk = socket.read() as Buffer | null;
        if (chunk === null) await once(socket, 'readable', { signal: AbortSignal.timeout(60_000) });
        else seen = Buffer.concat([seen, chunk]);
      }
      return seen;
    },
    [Symbol.asyncDispose]: async () => void socket.destroy(),
  };
}

/** The content of one stream of multiplexed bytes. */
export function contentOf(bytes: Buffer, stream: 'stdout' | 'stderr'): Buffer {
  return Buffer.concat(new DockerFrameDecoder().push(bytes).flatMap((frame) => (frame.stream === stream ? [frame.content] : [])));
}
