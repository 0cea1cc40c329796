import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { GantryError } from '../kernel/mod.ts';
import { spdyDictionary } from './spdy-dictionary.ts';

/** Control frame types (SPDY Protocol draft 3, 2.6). */
export const spdyTypes = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const;

/** The flag of the last frame of one direction of a stream. */
export const spdyFin = 1;

export type SpdyFrame =
  | { readonly type: 'data'; readonly streamId: number; readonly isLast: boolean; readonly data: Buffer }
  | { readonly type: 'control'; readonly code: number; readonly flags: number; readonly payload: Buffer };

/** Frames longer than this are refused: nobody here has a use for them. */
const maxFrameBytes = 4 << 20;
const headerBytes = 8;

/** Cuts a byte stream into frames. `invalid` when it is no SPDY/3. */
export class SpdyFrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** The frames that are complete with this chunk. */
  *push(chunk: Uint8Array): Generator<SpdyFrame> {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= headerBytes) {
      const length = this.#pending.readUIntBE(5, 3);
      if (length > maxFrameBytes) throw new GantryError('invalid', `SPDY: a frame of ${length} bytes`);
      if (this.#pending.length < headerBytes + length) return;
      const frame = parseFrame(this.#pending.subarray(0, headerBytes), this.#pending.subarray(headerBytes, headerBytes + length));
      this.#pending = this.#pending.subarray(headerBytes + length);
      yield frame;
    }
  }
}

function parseFrame(head: Buffer, payload: Buffer): SpdyFrame {
  const first = head.readUInt32BE(0);
  const flags = head.readUInt8(4);
  if (first < 2 ** 31) return { type: 'data', streamId: first, isLast: (flags & spdyFin) !== 0, data: payload };
  const version = (first >>> 16) & 0x7fff;
  if (version !== 3) throw new GantryError('invalid', `SPDY: version ${version} is not 3`);
  return { type: 'control', code: first & 0xffff, flags, payload };
}

/** A data frame; an empty last one ends the direction. */
export function encodeSpdyData(streamId: number, data: Uint8Array, isLast: boolean): Buffer {
  const head = Buffer.alloc(headerBytes);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt32BE(data.length, 4);
  head.writeUInt8(isLast ? spdyFin : 0, 4);
  return Buffer.concat([head, data]);
}

/** A control frame. */
export function encodeSpdyControl(code: number, flags: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(headerBytes);
  head.writeUInt32BE(2 ** 31 + 3 * 2 ** 16 + code, 0);
  head.writeUInt32BE(payload.length, 4);
  head.writeUInt8(flags, 4);
  return Buffer.concat([head, payload]);
}

/** Compresses and reads header blocks. Each direction of a connection has one history, so blocks must come in order and one at a time. */
export class SpdyHeaderCodec implements Disposable {
  readonly #inflate: Inflate;
  readonly #deflate: Deflate;
  #inflated: Buffer[] = [];
  #deflated: Buffer[] = [];

  constructor() {
    const dictionary = spdyDictionary();
    this.#inflate = createInflate({ dictionary, finishFlush: constants.Z_SYNC_FLUSH });
    this.#deflate = createDeflate({ dictionary });
    this.#inflate.on('data', (chunk: Buffer) => this.#inflated.push(chunk));
    this.#deflate.on('data', (chunk: Buffer) => this.#deflated.push(chunk));
  }

  /** Names are lower-case; several values of a name are joined by a zero byte. */
  async decode(block: Uint8Array): Promise<Map<string, string>> {
    this.#inflated = [];
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error): void => reject(new GantryError('invalid', 'SPDY: a header block that does not unpack', { cause: error }));
      this.#inflate.once('error', onError);
      this.#inflate.write(block, () => {
        this.#inflate.off('error', onError);
        resolve();
      });
    });
    return parseHeaders(Buffer.concat(this.#inflated));
  }

  async encode(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    this.#deflated = [];
    this.#deflate.write(formatHeaders(headers));
    await new Promise<void>((resolve) => this.#deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    return Buffer.concat(this.#deflated);
  }

  [Symbol.dispose](): void {
    this.#inflate.destroy();
    this.#deflate.destroy();
  }
}

function parseHeaders(bytes: Buffer): Map<string, string> {
  let at = 0;
  const number = (): number => {
    if (at + 4 > bytes.length) throw new GantryError('invalid', 'SPDY: a header block that ends early');
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const string = (): string => {
    const length = number();
    if (at + length > bytes.length) throw new GantryError('invalid', 'SPDY: a header block that ends early');
    at += length;
    return bytes.toString('utf8', at - length, at);
  };
  const headers = new Map<string, string>();
  for (let left = number(); left > 0; left -= 1) headers.set(string(), string());
  return headers;
}

function formatHeaders(headers: ReadonlyMap<string, string>): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const string = (text: string): Buffer[] => [number(Buffer.byteLength(text)), Buffer.from(text)];
  return Buffer.concat([number(headers.size), ...[...headers].flatMap(([name, value]) => [...string(name), ...string(value)])]);
}
