import { readFileSync } from 'node:fs';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { GantryError, isError } from '../kernel/mod.ts';
import { decodeSpecial, encodeSpecial, type SpecialContext } from './kubernetes-special.ts';

type Fields = Record<string, unknown>;

/** One field: its JSON name (empty: its fields are the message's own), type and whether zero is a value. */
interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly shape: 'one' | 'list' | 'map';
  /** Absent and zero differ. */
  readonly isPointer: boolean;
  /** JSON shows the zero value. */
  readonly isShown: boolean;
}

/** The four bytes before every object ("k8s\0"). */
const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/**
 * Kubernetes' binary encoding (`application/vnd.kubernetes.protobuf`): an envelope with apiVersion and kind around the object.
 * One walker over a table of field numbers, so every kind of the table works both ways.
 */
export class KubernetesProtobuf {
  readonly #table: Readonly<Record<string, string>>;
  readonly #messages = new Map<string, Map<number, Field>>();

  private constructor(table: Readonly<Record<string, string>>) {
    this.#table = table;
  }

  /** Reads the generated table: once per process part that needs it. */
  static load(): KubernetesProtobuf {
    return new KubernetesProtobuf(JSON.parse(readFileSync(new URL('kubernetes-fields.gen.json', import.meta.url), 'utf8')) as Record<string, string>);
  }

  /** Whether objects of the kind can be read and written. */
  has(apiVersion: string, kind: string): boolean {
    return this.#messageOf(apiVersion, kind) !== undefined;
  }

  /** The object in the envelope, in its JSON form. `invalid` for broken bytes, `unsupported` for a kind that is not in the table. */
  decode(bytes: Uint8Array): Fields {
    if (bytes.length < 4 || !magic.equals(bytes.subarray(0, 4))) throw new GantryError('invalid', 'the body does not begin with the mark of Kubernetes protobuf');
    try {
      const { apiVersion, kind, raw } = readEnvelope(bytes.subarray(4));
      const message = this.#messageOf(apiVersion, kind);
      if (message === undefined) throw new GantryError('unsupported', `no protobuf form is known of ${apiVersion} ${kind}`);
      return { kind, apiVersion, ...this.#decode(message, raw, 0) };
    } catch (error) {
      if (isError(error)) throw error;
      throw new GantryError('invalid', 'the protobuf body is broken', { cause: error });
    }
  }

  /** The object with its envelope. `unsupported` for a kind that is not in the table. */
  encode(object: Fields & { apiVersion: string; kind: string }): Uint8Array {
    const message = this.#messageOf(object.apiVersion, object.kind);
    if (message === undefined) throw new GantryError('unsupported', `no protobuf form is known of ${object.apiVersion} ${object.kind}`);
    const writer = new BinaryWriter();
    writer.uint32((1 << 3) | WireType.LengthDelimited).fork().uint32((1 << 3) | WireType.LengthDelimited).string(object.apiVersion).uint32((2 << 3) | WireType.LengthDelimited).string(object.kind).join();
    writer.uint32((2 << 3) | WireType.LengthDelimited).bytes(this.#encode(message, object));
    writer.uint32((3 << 3) | WireType.LengthDelimited).string('').uint32((4 << 3) | WireType.LengthDelimited).string('');
    return Buffer.concat([magic, writer.finish()]);
  }

  #messageOf(apiVersion: string, kind: string): string | undefined {
    // Options and Status are the same in every group.
    return [`${apiVersion}.${kind}`, `meta/v1.${kind}`].find((id) => this.#table[id] !== undefined);
  }

  #fieldsOf(message: string): Map<number, Field> {
    let fields = this.#messages.get(message);
    if (fields === undefined) this.#messages.set(message, (fields = parseFields(this.#table[message] ?? '')));
    return fields;
  }

  #decode(message: string, bytes: Uint8Array, depth: number): Fields {
    if (depth > 100) throw new GantryError('invalid', 'the protobuf body is nested too deeply');
    const fields = this.#fieldsOf(message);
    const reader = new BinaryReader(bytes);
    const result: Fields = {};
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      const field = fields.get(number);
      if (field === undefined) reader.skip(wireType);
      else this.#decodeField(field, reader, wireType, result, depth);
    }
    return result;
  }

  #decodeField(field: Field, reader: BinaryReader, wireType: WireType, result: Fields, depth: number): void {
    if (field.shape === 'map') {
      const { key, value } = this.#decodeEntry(field, reader.bytes(), depth);
      const map = (result[field.name] ??= {}) as Fields;
      Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
      return;
    }
    if (field.shape === 'list') {
      const list = (result[field.name] ??= []) as unknown[];
      if (wireType === WireType.LengthDelimited && (field.type === 'i' || field.type === 'B')) return void list.push(...readPacked(field.type, reader.bytes()));
      return void list.push(this.#decodeValue(field.type, reader, depth));
    }
    const value = this.#decodeValue(field.type, reader, depth);
    if (field.name === '') return void Object.assign(result, value);
    const isZero = value === '' || value === 0 || value === false || value === undefined || value === null;
    if (!isZero || (field.isPointer && value !== undefined) || (field.isShown && value !== undefined && value !== null)) result[field.name] = value;
  }

  #decodeEntry(field: Field, bytes: Uint8Array, depth: number): { key: string; value: unknown } {
    const reader = new BinaryReader(bytes);
    let key = '';
    let value: unknown;
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (number === 1) key = reader.string();
      else if (number === 2) value = this.#decodeValue(field.type, reader, depth);
      else reader.skip(wireType);
    }
    return { key, value: value ?? (field.type === 's' || field.type === 'b' ? '' : {}) };
  }

  #decodeValue(type: string, reader: BinaryReader, depth: number): unknown {
    switch (type) {
      case 's':
        return reader.string();
      case 'i':
        return Number(reader.int64());
      case 'B':
        return reader.bool();
      case 'd':
        return reader.double();
      case 'b':
        return Buffer.from(reader.bytes()).toString('base64');
      default:
        return type.startsWith('@') ? decodeSpecial(type, reader.bytes(), this.#special(depth)) : this.#decode(type, reader.bytes(), depth + 1);
    }
  }

  #encode(message: string, object: Fields): Uint8Array {
    const writer = new BinaryWriter();
    for (const field of this.#fieldsOf(message).values()) {
      const value = field.name === '' ? object : object[field.name];
      if (value !== undefined && value !== null) this.#encodeField(field, value, writer);
    }
    return writer.finish();
  }

  #encodeField(field: Field, value: unknown, writer: BinaryWriter): void {
    if (field.shape === 'list') {
      for (const item of Array.isArray(value) ? value : []) this.#encodeValue(field.number, field.type, item, writer);
    } else if (field.shape === 'map') {
      for (const [key, item] of Object.entries(value as Fields)) {
        writer.uint32((field.number << 3) | WireType.LengthDelimited).fork().uint32((1 << 3) | WireType.LengthDelimited).string(key);
        this.#encodeValue(2, field.type, item, writer);
        writer.join();
      }
    } else this.#encodeValue(field.number, field.type, value, writer);
  }

  #encodeValue(number: number, type: string, value: unknown, writer: BinaryWriter): void {
    switch (type) {
      case 's':
        return void writer.uint32((number << 3) | WireType.LengthDelimited).string(String(value));
      case 'i':
        return void writer.uint32((number << 3) | WireType.Varint).int64(BigInt(Math.trunc(Number(value))));
      case 'B':
        return void writer.uint32((number << 3) | WireType.Varint).bool(value === true);
      case 'd':
        return void writer.uint32((number << 3) | WireType.Bit64).double(Number(value));
      case 'b':
        return void writer.uint32((number << 3) | WireType.LengthDelimited).bytes(Buffer.from(String(value), 'base64'));
      case '@Skip':
        return;
      default:
        writer.uint32((number << 3) | WireType.LengthDelimited).bytes(type.startsWith('@') ? encodeSpecial(type, value, this.#special(0)) : this.#encode(type, value as Fields));
    }
  }

  #special(depth: number): SpecialContext {
    return { decode: (message, bytes) => this.#decode(message, bytes, depth + 1), encode: (message, value) => this.#encode(message, value) };
  }
}

function readEnvelope(bytes: Uint8Array): { apiVersion: string; kind: string; raw: Uint8Array } {
  const reader = new BinaryReader(bytes);
  let type = { apiVersion: '', kind: '' };
  let raw: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1) type = readTypeMeta(reader.bytes());
    else if (number === 2) raw = reader.bytes();
    else reader.skip(wireType);
  }
  return { ...type, raw };
}

function readTypeMeta(bytes: Uint8Array): { apiVersion: string; kind: string } {
  const reader = new BinaryReader(bytes);
  const type = { apiVersion: '', kind: '' };
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1) type.apiVersion = reader.string();
    else if (number === 2) type.kind = reader.string();
    else reader.skip(wireType);
  }
  return type;
}

function readPacked(type: 'i' | 'B', bytes: Uint8Array): unknown[] {
  const reader = new BinaryReader(bytes);
  const values: unknown[] = [];
  while (reader.pos < reader.len) values.push(type === 'i' ? Number(reader.int64()) : reader.bool());
  return values;
}

/** `name,number,type` by blanks; the marks are explained in scripts/generate-kubernetes-protobuf.ts. */
function parseFields(text: string): Map<number, Field> {
  const fields = text.split(' ').filter((part) => part !== '').map((part): Field => {
    const [name = '', number = '', marked = ''] = part.split(',');
    const bare = marked.replace(/^[*!]/, '');
    const shape = bare.startsWith('[]') ? 'list' : bare.startsWith('{}') ? 'map' : 'one';
    return { name, number: Number(number), type: shape === 'one' ? bare : bare.slice(2), shape, isPointer: marked.startsWith('*'), isShown: marked.startsWith('!') };
  });
  return new Map(fields.map((field) => [field.number, field]));
}
