import { GantryError } from '../kernel/mod.ts';

/** Streams of Docker's multiplexed format (Docker Engine API, "Attach to a container", "Stream format"). */
export type DockerStream = 'stdin' | 'stdout' | 'stderr' | 'systemerr';

const streamTypes: readonly DockerStream[] = ['stdin', 'stdout', 'stderr', 'systemerr'];
const headerBytes = 8;

/** A frame: the stream's number, three zero bytes, the length as 32 bits big-endian, then the content. */
export function encodeDockerFrame(stream: DockerStream, content: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + content.byteLength);
  frame.writeUInt32BE(streamTypes.indexOf(stream) << 24, 0);
  frame.writeUInt32BE(content.byteLength, 4);
  frame.set(content, headerBytes);
  return frame;
}

/** Takes frames out of chunks of any size. */
export class DockerFrameDecoder {
  readonly #maxFrameBytes: number;
  #pending: Buffer = Buffer.alloc(0);

  /** Longer frames are `invalid`. */
  constructor(maxFrameBytes = 16 << 20) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** The frames that are complete now. */
  push(chunk: Uint8Array): { stream: DockerStream; content: Buffer }[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const frames: { stream: DockerStream; content: Buffer }[] = [];
    while (this.#pending.length >= headerBytes) {
      const stream = streamTypes[this.#pending.readUInt8(0)];
      const length = this.#pending.readUInt32BE(4);
      if (stream === undefined || this.#pending.readUIntBE(1, 3) !== 0) throw new GantryError('invalid', 'malformed frame of a multiplexed stream');
      if (length > this.#maxFrameBytes) throw new GantryError('invalid', `a frame of ${length} bytes is longer than ${this.#maxFrameBytes}`);
      if (this.#pending.length < headerBytes + length) break;
      frames.push({ stream, content: this.#pending.subarray(headerBytes, headerBytes + length) });
      this.#pending = this.#pending.subarray(headerBytes + length);
    }
    return frames;
  }

  /** Bytes of a frame that has not ended. */
  get pendingBytes(): number {
    return this.#pending.length;
  }
}
