import { encodeWatchFrame } from '../../../wire/mod.ts';
import type { Encoding } from './negotiation.ts';
import type { Body } from './representation.ts';

/** Makes one watch event of a type and an encoded object: a line of JSON, or a length-prefixed protobuf WatchEvent. */
export function watchFrame(encoding: Encoding): (type: string, object: Body) => Body {
  if (encoding !== 'protobuf') return (type, object) => `{"type":"${type}","object":${String(object)}}\n`;
  return (type, object) => encodeWatchFrame(type, typeof object === 'string' ? Buffer.from(object) : object);
}
