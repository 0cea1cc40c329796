import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { GantryError } from '../kernel/mod.ts';

type Fields = Record<string, unknown>;

/** How the special types reach ordinary messages inside them. */
export interface SpecialContext {
  decode(message: string, bytes: Uint8Array): Fields;
  encode(message: string, value: Fields): Uint8Array;
}

const schemaMessage = 'apiextensions.k8s.io/v1.JSONSchemaProps';

/** The JSON form of a type whose JSON is not an object of its fields: times, quantities, raw JSON. */
export function decodeSpecial(type: string, bytes: Uint8Array, context: SpecialContext): unknown {
  const found = readFields(bytes);
  const text = (number: number): string => Buffer.from((found.get(number)?.[0] as Uint8Array | undefined) ?? []).toString();
  const integer = (number: number): number => Number(found.get(number)?.[0] ?? 0);
  switch (type) {
    case '@Time':
      return bytes.length === 0 ? undefined : `${new Date(integer(1) * 1000).toISOString().slice(0, 19)}Z`;
    case '@MicroTime':
      return bytes.length === 0 ? undefined : `${new Date(integer(1) * 1000).toISOString().slice(0, 19)}.${String(Math.floor(integer(2) / 1000)).padStart(6, '0')}Z`;
    case '@Duration':
      return `${integer(1) / 1e9}s`;
    case '@Quantity':
      return text(1);
    case '@IntOrString':
      return integer(1) === 1 ? text(3) : integer(2);
    case '@Raw':
      return text(1) === '' ? undefined : (JSON.parse(text(1)) as unknown);
    case '@SchemaOrBool':
      return found.has(2) ? context.decode(schemaMessage, first(found, 2)) : integer(1) === 1;
    case '@SchemaOrArray':
      return found.has(1) ? context.decode(schemaMessage, first(found, 1)) : (found.get(2) ?? []).map((item) => context.decode(schemaMessage, item as Uint8Array));
    case '@SchemaOrStrings':
      return found.has(1) ? context.decode(schemaMessage, first(found, 1)) : (found.get(2) ?? []).map((item) => Buffer.from(item as Uint8Array).toString());
    case '@List:s':
      return (found.get(1) ?? []).map((item) => Buffer.from(item as Uint8Array).toString());
    case '@Skip':
      return undefined;
    default:
      throw new GantryError('internal', `unknown special type ${type}`);
  }
}

/** The inverse of `decodeSpecial`. */
export function encodeSpecial(type: string, value: unknown, context: SpecialContext): Uint8Array {
  const writer = new BinaryWriter();
  const bytes = (number: number, content: Uint8Array | string): BinaryWriter => writer.uint32((number << 3) | WireType.LengthDelimited).bytes(typeof content === 'string' ? Buffer.from(content) : content);
  const integer = (number: number, content: number | bigint): BinaryWriter => writer.uint32((number << 3) | WireType.Varint).int64(BigInt(content));
  switch (type) {
    case '@Time':
    case '@MicroTime': {
      const ms = Date.parse(String(value));
      const micros = Number((/\.(\d{1,6})/.exec(String(value))?.[1] ?? '0').padEnd(6, '0'));
      integer(1, Math.floor(ms / 1000));
      integer(2, type === '@Time' ? 0 : micros * 1000);
      break;
    }
    case '@Duration':
      integer(1, BigInt(Math.round(Number.parseFloat(String(value)) * 1e9)));
      break;
    case '@Quantity':
      bytes(1, String(value));
      break;
    case '@IntOrString':
      if (typeof value === 'number') integer(1, 0).uint32((2 << 3) | WireType.Varint).int64(BigInt(value));
      else {
        integer(1, 1);
        bytes(3, String(value));
      }
      break;
    case '@Raw':
      bytes(1, JSON.stringify(value));
      break;
    case '@SchemaOrBool':
      if (typeof value === 'boolean') integer(1, value ? 1 : 0);
      else {
        integer(1, 1);
        bytes(2, context.encode(schemaMessage, value as Fields));
      }
      break;
    case '@SchemaOrArray':
    case '@SchemaOrStrings':
      if (!Array.isArray(value)) bytes(1, context.encode(schemaMessage, value as Fields));
      else for (const item of value) bytes(2, typeof item === 'string' ? item : context.encode(schemaMessage, item as Fields));
      break;
    case '@List:s':
      for (const item of Array.isArray(value) ? value : []) bytes(1, String(item));
      break;
    default:
      throw new GantryError('internal', `unknown special type ${type}`);
  }
  return writer.finish();
}

function first(found: Map<number, unknown[]>, number: number): Uint8Array {
  return (found.get(number)?.[0] ?? new Uint8Array()) as Uint8Array;
}

/** All fields of a message by number: integers as bigint or number, everything else as bytes. */
function readFields(bytes: Uint8Array): Map<number, unknown[]> {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, unknown[]>();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    let value: unknown;
    if (wireType === WireType.Varint) value = reader.int64();
    else if (wireType === WireType.LengthDelimited) value = reader.bytes();
    else {
      reader.skip(wireType);
      continue;
    }
    found.set(number, [...(found.get(number) ?? []), value]);
  }
  return found;
}
