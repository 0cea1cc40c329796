/**
 * git's pkt-line framing (gitprotocol-common(5)): four hex digits of length, themselves included, then the payload; `0000` is a flush.
 * It lives beside the hook program, which git starts for every push and which therefore loads nothing else.
 */
export type Packet = { type: 'flush' } | { type: 'data'; payload: Buffer };

const maxPayloadBytes = 65_516;

/** One data packet. The payload is at most 65516 bytes; a longer one throws RangeError. */
export function encodePacket(payload: string | Uint8Array): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes.length > maxPayloadBytes) throw new RangeError(`a packet holds at most ${maxPayloadBytes} bytes, not ${bytes.length}`);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}

export const flushPacket: Buffer = Buffer.from('0000');

/** Cuts a byte stream into packets, however it is chunked. Throws RangeError for a malformed or unknown length. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The packets that are complete with this chunk. */
  push(chunk: Uint8Array): Packet[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const packets: Packet[] = [];
    while (this.#rest.length >= 4) {
      const digits = this.#rest.subarray(0, 4).toString('latin1');
      const length = /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
      if (length !== 0 && length < 4) throw new RangeError(`invalid packet length ${JSON.stringify(digits)}`);
      if (length === 0) {
        packets.push({ type: 'flush' });
        this.#rest = this.#rest.subarray(4);
        continue;
      }
      if (this.#rest.length < length) break;
      packets.push({ type: 'data', payload: this.#rest.subarray(4, length) });
      this.#rest = this.#rest.subarray(length);
    }
    return packets;
  }

  /** Bytes of an unfinished packet. */
  get pendingBytes(): number {
    return this.#rest.length;
  }
}
