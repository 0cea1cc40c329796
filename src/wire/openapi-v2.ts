import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

type Fields = Readonly<Record<string, unknown>>;

/** How a JSON value becomes a protobuf field: the field's number and form. */
type Rule = readonly [number: number, form: 'text' | 'texts' | 'number' | 'integer' | 'flag' | 'any' | 'anys' | MessageForm | { readonly each: MessageForm }];
type MessageForm = (value: unknown) => Uint8Array;

/** A Swagger 2.0 document in gnostic's protobuf form (`openapi.v2.Document`), in the parts a Kubernetes document uses. */
export function encodeOpenApiV2(document: Fields): Uint8Array {
  return message(document, { swagger: [1, 'text'], info: [2, info], paths: [8, paths], definitions: [9, (value) => named(1, value, schema)] });
}

const info: MessageForm = (value) => message(value, { title: [1, 'text'], version: [2, 'text'] });
const paths: MessageForm = (value) => named(2, value, pathItem);
const pathItem: MessageForm = (value) => message(value, { get: [2, operation], put: [3, operation], post: [4, operation], delete: [5, operation], patch: [8, operation], parameters: [9, { each: parameter }] });
const operation: MessageForm = (value) =>
  message(value, { tags: [1, 'texts'], operationId: [5, 'text'], produces: [6, 'texts'], consumes: [7, 'texts'], parameters: [8, { each: parameter }], responses: [9, responses] }, 13);

/** ParametersItem → Parameter → the kind of parameter. */
const parameter: MessageForm = (value) => {
  const place = (value as { in?: string }).in;
  if (place === 'body') return wrap(1, wrap(1, message(value, { name: [2, 'text'], in: [3, 'text'], required: [4, 'flag'], schema: [5, schema] })));
  const isQuery = place === 'query';
  const fields = message(value, { required: [1, 'flag'], in: [2, 'text'], name: [4, 'text'], type: [isQuery ? 6 : 5, 'text'], uniqueItems: [isQuery ? 20 : 19, 'flag'] });
  return wrap(1, wrap(2, wrap(isQuery ? 3 : 4, fields)));
};

const responses: MessageForm = (value) => named(1, value, (response) => wrap(1, message(response, { description: [1, 'text'], schema: [2, (item) => wrap(1, schema(item))] })));

const schema: MessageForm = (value) =>
  message(
    value,
    {
      $ref: [1, 'text'],
      format: [2, 'text'],
      title: [3, 'text'],
      description: [4, 'text'],
      default: [5, 'any'],
      multipleOf: [6, 'number'],
      maximum: [7, 'number'],
      exclusiveMaximum: [8, 'flag'],
      minimum: [9, 'number'],
      exclusiveMinimum: [10, 'flag'],
      maxLength: [11, 'integer'],
      minLength: [12, 'integer'],
      pattern: [13, 'text'],
      maxItems: [14, 'integer'],
      minItems: [15, 'integer'],
      uniqueItems: [16, 'flag'],
      maxProperties: [17, 'integer'],
      minProperties: [18, 'integer'],
      required: [19, 'texts'],
      enum: [20, 'anys'],
      additionalProperties: [21, (item) => (typeof item === 'boolean' ? flag(2, item) : wrap(1, schema(item)))],
      type: [22, (item) => texts(1, [item])],
      items: [23, (item) => wrap(1, schema(item))],
      properties: [25, (item) => named(1, item, schema)],
    },
    31,
  );

/** Writes the fields that have rules; `x-` fields go to `extensionNumber` as NamedAny when it is given. */
function message(value: unknown, rules: Readonly<Record<string, Rule>>, extensionNumber?: number): Uint8Array {
  const writer = new BinaryWriter();
  for (const [name, item] of Object.entries((value ?? {}) as Fields)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (item === undefined) continue;
    if (rule !== undefined) writer.raw(field(rule, item));
    else if (extensionNumber !== undefined && name.startsWith('x-')) writer.raw(wrap(extensionNumber, Buffer.concat([texts(1, [name]), wrap(2, any(item))])));
  }
  return writer.finish();
}

function field([number, form]: Rule, value: unknown): Uint8Array {
  switch (form) {
    case 'text':
      return texts(number, [value]);
    case 'texts':
      return texts(number, value as unknown[]);
    case 'flag':
      return flag(number, value === true);
    case 'integer':
      return new BinaryWriter().uint32((number << 3) | WireType.Varint).int64(Number(value)).finish();
    case 'number':
      return new BinaryWriter().uint32((number << 3) | WireType.Bit64).double(Number(value)).finish();
    case 'any':
      return wrap(number, any(value));
    case 'anys':
      return Buffer.concat((value as unknown[]).map((item) => wrap(number, any(item))));
    default:
      return typeof form === 'function' ? wrap(number, form(value)) : Buffer.concat((value as unknown[]).map((item) => wrap(number, form.each(item))));
  }
}

/** A map as repeated pairs of name (1) and value (2). */
function named(number: number, value: unknown, item: MessageForm): Uint8Array {
  return Buffer.concat(Object.entries((value ?? {}) as Fields).map(([name, one]) => wrap(number, Buffer.concat([texts(1, [name]), wrap(2, item(one))]))));
}

/** gnostic keeps free values as YAML text, and JSON is YAML. */
function any(value: unknown): Uint8Array {
  return texts(2, [`${JSON.stringify(value)}\n`]);
}

function wrap(number: number, bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32((number << 3) | WireType.LengthDelimited).bytes(bytes).finish();
}

function texts(number: number, values: readonly unknown[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const value of values) writer.uint32((number << 3) | WireType.LengthDelimited).string(String(value));
  return writer.finish();
}

function flag(number: number, value: boolean): Uint8Array {
  return new BinaryWriter().uint32((number << 3) | WireType.Varint).bool(value).finish();
}
