import { readFileSync } from 'node:fs';
import { GantryError } from '../../kernel/mod.ts';
import { atomicForApply, atomicMaps, atomicTypes, bytesFields, mergedLists, quantityFields, retainKeys, setLists } from '../kubernetes/field-facts.ts';
import { anyNode, type ApiSchema, type NodeType, type SchemaNode } from './node.ts';

const refPrefix = '#/components/schemas/';

/** The schemas of Kubernetes' own types, by OpenAPI id such as `io.k8s.api.core.v1.Pod`, made into nodes as they are asked for. */
export class BuiltinSchemas {
  readonly definitions: Readonly<Record<string, ApiSchema>>;
  readonly #nodes = new Map<string, SchemaNode>();

  private constructor(definitions: Record<string, ApiSchema>) {
    this.definitions = definitions;
  }

  /** Reads the generated file: some milliseconds and megabytes, so once per process part that needs it. */
  static load(): BuiltinSchemas {
    const text = readFileSync(new URL('../kubernetes/schemas.gen.json', import.meta.url), 'utf8');
    return new BuiltinSchemas(JSON.parse(text) as Record<string, ApiSchema>);
  }

  /** The node of a definition. `internal` when there is none: a kind's table entry is wrong. */
  node(id: string): SchemaNode {
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    const schema = this.definitions[id];
    if (schema === undefined) throw new GantryError('internal', `no schema ${id}`);
    const name = id.slice(id.lastIndexOf('.') + 1);
    const properties = new Map<string, SchemaNode>();
    const node: SchemaNode = { ...anyNode, type: 'object', name, properties, required: schema.required ?? [], isAtomic: atomicTypes.has(name), isOpen: false, isNullable: false, source: schema };
    // Known before its fields are made: types contain themselves.
    this.#nodes.set(id, node);
    for (const [field, property] of Object.entries(schema.properties ?? {})) properties.set(field, this.#field(`${name}.${field}`, property));
    return node;
  }

  #field(path: string, schema: ApiSchema): SchemaNode {
    const node = this.#value(path, schema);
    if (node.type === 'array') {
      const keys = mergedLists[path];
      if (keys !== undefined) return { ...node, listType: 'map', mapKeys: keys, isAtomic: atomicForApply.has(path), hasRetainKeys: retainKeys.has(path) };
      return { ...node, listType: setLists.has(path) ? 'set' : 'atomic', isAtomic: !setLists.has(path) };
    }
    if (atomicMaps.has(path)) return { ...node, isAtomic: true };
    // A copy would lose the cycle, and no other field needs the flag.
    return retainKeys.has(path) ? { ...node, hasRetainKeys: true } : node;
  }

  #value(path: string, schema: ApiSchema): SchemaNode {
    if (schema.$ref !== undefined) return this.node(schema.$ref.slice(refPrefix.length));
    const base = { ...anyNode, isOpen: false, isNullable: false, isAtomic: false, source: schema, format: schema.format ?? '' };
    if (schema.type === 'array') return { ...base, type: 'array', items: this.#value(path, schema.items ?? {}) };
    if (schema.type === 'object') {
      return typeof schema.additionalProperties === 'object' ? { ...base, type: 'object', values: this.#value(path, schema.additionalProperties) } : { ...base, type: 'object', isOpen: true, isAtomic: true };
    }
    return { ...base, type: scalarType(path, schema), isOpen: schema.type === undefined };
  }
}

function scalarType(path: string, schema: ApiSchema): NodeType {
  if (schema['x-kubernetes-int-or-string'] === true) return 'int-or-string';
  if (quantityFields.has(path)) return 'quantity';
  if (bytesFields.has(path) || schema.format === 'byte') return 'bytes';
  const type = schema.type;
  return type === 'string' || type === 'integer' || type === 'number' || type === 'boolean' ? type : 'any';
}
