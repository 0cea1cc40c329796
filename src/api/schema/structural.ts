import { anyNode, type ApiSchema, type CombinedNodes, type NodeType, type SchemaNode } from './node.ts';

/** The node of a structural schema: what a CustomResourceDefinition holds. `metadata` is the node of ObjectMeta for embedded objects. */
export function compileStructural(schema: ApiSchema, metadata: SchemaNode): SchemaNode {
  const isEmbedded = schema['x-kubernetes-embedded-resource'] === true;
  const properties = new Map(Object.entries(schema.properties ?? {}).map(([name, property]) => [name, compileStructural(property, metadata)]));
  if (isEmbedded) addObjectFields(properties, metadata);
  const values = schema.additionalProperties;
  const listType = schema['x-kubernetes-list-type'];
  const mapKeys = schema['x-kubernetes-list-map-keys'];
  return {
    ...anyNode,
    type: nodeType(schema),
    format: schema.format ?? '',
    properties: properties.size > 0 ? properties : undefined,
    values: typeof values === 'object' ? compileStructural(values, metadata) : values === true ? anyNode : undefined,
    items: schema.items === undefined ? undefined : compileStructural(schema.items, metadata),
    required: schema.required ?? [],
    listType: listType === 'map' || listType === 'set' ? listType : 'atomic',
    mapKeys: Array.isArray(mapKeys) ? mapKeys.map(String) : [],
    isAtomic: schema['x-kubernetes-map-type'] === 'atomic' || (schema.type === 'array' && listType !== 'map' && listType !== 'set'),
    isOpen: schema['x-kubernetes-preserve-unknown-fields'] === true,
    isEmbedded,
    isNullable: schema.nullable === true,
    pattern: schema.pattern === undefined ? undefined : compilePattern(schema.pattern),
    combined: combinedOf(schema, metadata),
    source: schema,
  };
}

/** The node of a whole custom object: the schema's, with apiVersion, kind and metadata. */
export function compileCustomObject(schema: ApiSchema, metadata: SchemaNode): SchemaNode {
  const node = compileStructural(schema, metadata);
  const properties = new Map(node.properties);
  addObjectFields(properties, metadata);
  return { ...node, properties };
}

function combinedOf({ allOf = [], anyOf = [], oneOf = [], not }: ApiSchema, metadata: SchemaNode): CombinedNodes | undefined {
  if (allOf.length + anyOf.length + oneOf.length === 0 && not === undefined) return undefined;
  // Branches carry constraints only; a field they do not name is none of their business.
  const compile = (schema: ApiSchema): SchemaNode => compileStructural(schema, metadata);
  return { allOf: allOf.map(compile), anyOf: anyOf.map(compile), oneOf: oneOf.map(compile), not: not === undefined ? undefined : compile(not) };
}

/** A pattern of a schema. Go's `(?i)` at the start becomes a flag. SyntaxError when it is none. */
export function compilePattern(pattern: string): RegExp {
  const isCaseless = pattern.startsWith('(?i)');
  const text = isCaseless ? pattern.slice(4) : pattern;
  const flags = isCaseless ? 'i' : '';
  // Only what needs the Unicode mode gets it: V8's linear engine, which bounds the others, does not have it.
  const needsUnicode = /\\[pP]\{|[^\0-\uffff]/u.test(text);
  return new RegExp(text, needsUnicode ? `${flags}u` : flags);
}

function addObjectFields(properties: Map<string, SchemaNode>, metadata: SchemaNode): void {
  const text: SchemaNode = { ...anyNode, type: 'string', isOpen: false, isNullable: false, isAtomic: false, source: { type: 'string' } };
  properties.set('apiVersion', text);
  properties.set('kind', text);
  properties.set('metadata', metadata);
}

function nodeType(schema: ApiSchema): NodeType {
  if (schema['x-kubernetes-int-or-string'] === true) return 'int-or-string';
  const type = schema.type;
  return type === 'object' || type === 'array' || type === 'string' || type === 'integer' || type === 'number' || type === 'boolean' ? type : 'any';
}
