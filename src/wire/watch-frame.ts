import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

const tag = (number: number): number => (number << 3) | WireType.LengthDelimited;

/** One event of a protobuf watch (`stream=watch`): four bytes of length, then meta/v1 WatchEvent around the object with its own envelope. */
export function encodeWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const event = new BinaryWriter().uint32(tag(1)).string(type).uint32(tag(2)).fork().uint32(tag(1)).bytes(object).join().finish();
  const frame = Buffer.allocUnsafe(4 + event.length);
  frame.writeUInt32BE(event.length);
  frame.set(event, 4);
  return frame;
}

/** Takes whole frames from the start of a buffer: the events, and what is left of the buffer. */
export function takeWatchFrames(buffer: Buffer): { events: { type: string; object: Uint8Array }[]; rest: Buffer } {
  const events: { type: string; object: Uint8Array }[] = [];
  let at = 0;
  while (buffer.length - at >= 4 && buffer.length - at - 4 >= buffer.readUInt32BE(at)) {
    const length = buffer.readUInt32BE(at);
    events.push(readEvent(buffer.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return { events, rest: buffer.subarray(at) };
}

function readEvent(bytes: Uint8Array): { type: string; object: Uint8Array } {
  const event: { type: string; object: Uint8Array } = { type: '', object: new Uint8Array() };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1) event.type = reader.string();
    else if (number === 2) {
      const raw = new BinaryReader(reader.bytes());
      raw.tag();
      event.object = raw.bytes();
    } else reader.skip(wireType);
  }
  return event;
}
