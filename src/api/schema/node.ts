/** An OpenAPI v3 schema as Kubernetes uses it, in the parts we read. */
export interface ApiSchema {
  type?: string;
  format?: string;
  description?: string;
  $ref?: string;
  items?: ApiSchema;
  additionalProperties?: ApiSchema | boolean;
  properties?: Record<string, ApiSchema>;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  nullable?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  allOf?: ApiSchema[];
  anyOf?: ApiSchema[];
  oneOf?: ApiSchema[];
  not?: ApiSchema;
  [extension: `x-${string}`]: unknown;
}

export type NodeType = 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'int-or-string' | 'quantity' | 'bytes' | 'any';

/** A schema made ready for walking values: references resolved, Kubernetes' extensions as plain fields. */
export interface SchemaNode {
  readonly type: NodeType;
  readonly format: string;
  /** The type's short name for built-in types, else empty. */
  readonly name: string;
  readonly properties: ReadonlyMap<string, SchemaNode> | undefined;
  /** Of maps. */
  readonly values: SchemaNode | undefined;
  readonly items: SchemaNode | undefined;
  readonly required: readonly string[];
  readonly listType: 'atomic' | 'set' | 'map';
  /** Keys of a `map` list; strategic merge patch uses the first. */
  readonly mapKeys: readonly string[];
  /** Server-side apply owns the list as one value although strategic merge patch merges it. */
  readonly isAtomic: boolean;
  readonly hasRetainKeys: boolean;
  /** Unknown fields are kept. */
  readonly isOpen: boolean;
  /** A whole object with apiVersion, kind and metadata. */
  readonly isEmbedded: boolean;
  readonly isNullable: boolean;
  readonly pattern: RegExp | undefined;
  /** What the value must also be: all, any, exactly one, not. */
  readonly combined: CombinedNodes | undefined;
  /** The schema it was made from: value constraints, defaults, rules. */
  readonly source: ApiSchema;
}

/** The nodes of a schema's logical combinations. */
export interface CombinedNodes {
  readonly allOf: readonly SchemaNode[];
  readonly anyOf: readonly SchemaNode[];
  readonly oneOf: readonly SchemaNode[];
  readonly not: SchemaNode | undefined;
}

/** The node that accepts and keeps anything. */
export const anyNode: SchemaNode = {
  ...{ type: 'any', format: '', name: '', properties: undefined, values: undefined, items: undefined, required: [], listType: 'atomic', mapKeys: [] },
  ...{ isAtomic: true, hasRetainKeys: false, isOpen: true, isEmbedded: false, isNullable: true, pattern: undefined, combined: undefined, source: {} },
};
