import { Environment } from '@marcbachmann/cel-js';
import { isFields, type SchemaNode } from '../../../../api/mod.ts';
import { isSame } from './library-lists.ts';
import { namedClass } from './named-class.ts';

/** How values of one schema node appear in expressions: the name of the type and the way there. */
export interface CelType {
  readonly name: string;
  toCel(value: unknown): unknown;
}

const plain: Readonly<Record<string, CelType>> = {
  dyn: { name: 'dyn', toCel: dynamic },
  string: { name: 'string', toCel: (value) => value },
  bool: { name: 'bool', toCel: (value) => value },
  int: { name: 'int', toCel: (value) => (typeof value === 'number' ? BigInt(Math.trunc(value)) : value) },
  double: { name: 'double', toCel: (value) => value },
  bytes: { name: 'bytes', toCel: (value) => Uint8Array.from(Buffer.from(String(value), 'base64')) },
  timestamp: { name: 'google.protobuf.Timestamp', toCel: (value) => new Date(String(value)) },
};

/** Words that no field may be called in an expression without escaping (CustomResourceDefinition documentation, "Validation rules"). */
const reserved = new Set(['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while']);

/** The name of a property in expressions; undefined for one that cannot be reached. */
export function escapeProperty(name: string): string | undefined {
  if (reserved.has(name)) return `__${name}__`;
  if (!/^[A-Za-z_][A-Za-z0-9_./-]*$/.test(name)) return undefined;
  const escapes: Record<string, string> = { '__': '__underscores__', '.': '__dot__', '-': '__dash__', '/': '__slash__' };
  return name.replaceAll(/__|[./-]/g, (part) => escapes[part] ?? part);
}

/** The property that a name in an expression stands for. */
export function unescapeProperty(name: string): string {
  const word = /^__(.+)__$/.exec(name)?.[1];
  if (word !== undefined && reserved.has(word)) return word;
  const parts: Record<string, string> = { underscores: '__', dot: '.', dash: '-', slash: '/' };
  return name.replaceAll(/__(underscores|dot|dash|slash)__/g, (_, part: string) => parts[part] ?? '');
}

/** Declares the types of a schema in an environment, each once. */
export class CelTypes {
  readonly #env: Environment;
  readonly #known = new Map<SchemaNode, CelType>();

  constructor(env: Environment) {
    this.#env = env;
  }

  /** The type of a node. */
  of(node: SchemaNode): CelType {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    const made = this.#make(node);
    const type = node.isNullable ? { name: 'dyn', toCel: (value: unknown) => (value === null ? null : made.toCel(value)) } : made;
    this.#known.set(node, type);
    return type;
  }

  #make(node: SchemaNode): CelType {
    switch (node.type) {
      case 'object':
        return this.#object(node);
      case 'array': {
        const items = node.items === undefined ? dyn : this.of(node.items);
        return { name: `list<${items.name}>`, toCel: (value) => (Array.isArray(value) ? value.map((item) => items.toCel(item)) : value) };
      }
      case 'string':
        return textType(node.format);
      case 'integer':
        return known('int');
      case 'number':
        return known('double');
      case 'boolean':
        return known('bool');
      case 'bytes':
        return known('string');
      case 'quantity':
      case 'int-or-string':
      case 'any':
        return dyn;
    }
  }

  #object(node: SchemaNode): CelType {
    if (node.values !== undefined) {
      const values = this.of(node.values);
      return { name: `map<string, ${values.name}>`, toCel: (value) => (isFields(value) ? new Map(Object.entries(value).map(([key, item]) => [key, values.toCel(item)])) : value) };
    }
    // Fields that the schema does not name cannot be reached, even where they are kept.
    if (node.properties === undefined) return node.isOpen ? dyn : this.#message([]);
    return this.#message(
      [...node.properties].flatMap(([name, child]) => {
        const escaped = escapeProperty(name);
        return escaped === undefined ? [] : [{ name, escaped, type: this.of(name === 'metadata' && (node.isEmbedded || child.name === 'ObjectMeta') ? reachableMetadata : child) }];
      }),
    );
  }

  #message(fields: readonly { name: string; escaped: string; type: CelType }[]): CelType {
    // Values of one type are known by their class.
    const name = `object${(serial += 1)}`;
    const ctor = namedClass(name);
    this.#env.registerType(name, { ctor, fields: Object.fromEntries(fields.map(({ escaped, type }) => [escaped, type.name])) });
    this.#env.registerOperator(`${name} == ${name}`, isSame);
    const toCel = (value: unknown): unknown => {
      if (!isFields(value)) return value;
      const object: Record<string, unknown> = new ctor() as Record<string, unknown>;
      for (const field of fields) if (value[field.name] !== undefined) object[field.escaped] = field.type.toCel(value[field.name]);
      return object;
    };
    return { name, toCel };
  }
}

function textType(format: string): CelType {
  if (format === 'date-time' || format === 'date') return known('timestamp');
  if (format === 'byte') return known('bytes');
  return format === 'duration' ? { name: 'google.protobuf.Duration', toCel: toDuration } : known('string');
}

const durations = new Environment().registerVariable('text', 'string').parse('duration(text)');

function toDuration(value: unknown): unknown {
  return durations({ text: String(value) });
}

let serial = 0;

/** Of metadata, rules see these two only, as in Kubernetes. */
const text: SchemaNode = { type: 'string', format: '', name: '', properties: undefined, values: undefined, items: undefined, required: [], listType: 'atomic', mapKeys: [], isAtomic: false, hasRetainKeys: false, isOpen: false, isEmbedded: false, isNullable: false, pattern: undefined, combined: undefined, source: { type: 'string' } };
const reachableMetadata: SchemaNode = { ...text, type: 'object', properties: new Map([['name', text], ['generateName', text]]) };

const dyn: CelType = { name: 'dyn', toCel: dynamic };

function known(name: string): CelType {
  return plain[name] ?? dyn;
}

/** A value whose schema says nothing: whole numbers are int, objects are maps. */
function dynamic(value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(dynamic);
  return isFields(value) ? new Map(Object.entries(value).map(([key, item]) => [key, dynamic(item)])) : value;
}
