import { type ApiSchema, apiVersionOf, type BuiltinSchemas, type SchemaNode } from '../../../api/mod.ts';
import type { Kind } from '../kinds/kind.ts';

const refPrefix = '#/components/schemas/';
const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const patchMediaTypes = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml'];

/** The OpenAPI v3 document of one group and version: paths with the parameters clients look for, and all schemas they lead to. */
export function openApiDocument(kinds: readonly Kind[], schemas: BuiltinSchemas, version: string): unknown {
  const components: Record<string, ApiSchema> = {};
  for (const kind of kinds) {
    addSchema(components, kind, schemas);
    components[`${kind.schemaId}List`] = listSchema(kind);
  }
  Object.assign(components, unionSchemas);
  for (const id of [`${metaPackage}.ListMeta`, `${metaPackage}.Status`, `${metaPackage}.DeleteOptions`]) addReferences(components, { $ref: refPrefix + id }, schemas);
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version }, paths: Object.assign({}, ...kinds.map(pathsOf)), components: { schemas: components } };
}

const intOrStringId = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
const quantityId = 'io.k8s.apimachinery.pkg.api.resource.Quantity';

/** Types that JSON has in two forms. Clients know them by their names. */
const unionSchemas: Readonly<Record<string, ApiSchema>> = {
  [intOrStringId]: { description: 'A whole number, or text such as a percentage or the name of a port.', format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  [quantityId]: { description: 'An amount with a decimal or binary suffix, for example 250m or 64Mi.', oneOf: [{ type: 'string' }, { type: 'number' }] },
};

function gvk({ type }: Kind): { group: string; version: string; kind: string } {
  return { group: type.group, version: type.version, kind: type.kind };
}

function addSchema(components: Record<string, ApiSchema>, kind: Kind, schemas: BuiltinSchemas): void {
  const extension = { 'x-kubernetes-group-version-kind': [gvk(kind)] };
  if (!kind.isCustom) {
    addReferences(components, { $ref: refPrefix + kind.schemaId }, schemas);
    components[kind.schemaId] = { ...components[kind.schemaId], ...extension };
    return;
  }
  const { source } = kind.node;
  const text = (description: string): ApiSchema => ({ type: 'string', description });
  const properties: Record<string, ApiSchema> = {
    apiVersion: text('APIVersion defines the versioned schema of this representation of an object.'),
    kind: text('Kind is a string value representing the REST resource this object represents.'),
    metadata: { allOf: [{ $ref: `${refPrefix}${metaPackage}.ObjectMeta` }], description: "Standard object's metadata." },
    ...Object.fromEntries(Object.entries(source.properties ?? {}).filter(([name]) => !['apiVersion', 'kind', 'metadata'].includes(name))),
  };
  components[kind.schemaId] = { ...source, properties, ...extension };
  addReferences(components, { $ref: `${refPrefix}${metaPackage}.ObjectMeta` }, schemas);
}

/** Copies a referenced definition and all it contains, with the merge rules that the node knows. */
function addReferences(components: Record<string, ApiSchema>, schema: ApiSchema, schemas: BuiltinSchemas): void {
  if (schema.$ref !== undefined) {
    const id = schema.$ref.slice(refPrefix.length);
    const definition = schemas.definitions[id];
    if (components[id] !== undefined || definition === undefined) return;
    components[id] = withMergeRules(definition, schemas.node(id), schemas.definitions);
    addReferences(components, definition, schemas);
    return;
  }
  for (const property of Object.values(schema.properties ?? {})) addReferences(components, property, schemas);
  if (schema.items !== undefined) addReferences(components, schema.items, schemas);
  if (typeof schema.additionalProperties === 'object') addReferences(components, schema.additionalProperties, schemas);
}

function withMergeRules(definition: ApiSchema, node: SchemaNode, definitions: BuiltinSchemas['definitions']): ApiSchema {
  const properties = Object.entries(definition.properties ?? {}).map(([name, property]): [string, ApiSchema] => [name, { ...wrapReference(asUnion(property, node.properties?.get(name)), definitions), ...mergeRules(node.properties?.get(name)) }]);
  return { ...definition, properties: Object.fromEntries(properties) };
}

/** Names the union types, which the generated schemas spell out. */
function asUnion(schema: ApiSchema, node: SchemaNode | undefined): ApiSchema {
  const id = node?.type === 'int-or-string' ? intOrStringId : node?.type === 'quantity' ? quantityId : undefined;
  if (id !== undefined) return { $ref: refPrefix + id, ...(schema.description === undefined ? {} : { description: schema.description }) };
  if (node?.values !== undefined && typeof schema.additionalProperties === 'object') return { ...schema, additionalProperties: asUnion(schema.additionalProperties, node.values) };
  return node?.items !== undefined && schema.items !== undefined ? { ...schema, items: asUnion(schema.items, node.items) } : schema;
}

/** A reference may have no neighbours, so it stands in an allOf; clients look there for the description. */
function wrapReference(schema: ApiSchema, definitions: BuiltinSchemas['definitions']): ApiSchema {
  if (schema.$ref === undefined) return schema;
  const { $ref, ...rest } = schema;
  const description = definitions[$ref.slice(refPrefix.length)]?.description;
  return { ...(description === undefined ? {} : { description }), ...rest, allOf: [{ $ref }] };
}

function mergeRules(node: SchemaNode | undefined): Partial<ApiSchema> {
  if (node?.type !== 'array' && node?.hasRetainKeys !== true) return {};
  const strategies = [...(node.listType === 'atomic' ? [] : ['merge']), ...(node.hasRetainKeys ? ['retainKeys'] : [])];
  return {
    ...(node.type === 'array' ? { 'x-kubernetes-list-type': node.isAtomic ? 'atomic' : node.listType } : {}),
    ...(node.listType === 'map' ? { 'x-kubernetes-patch-merge-key': node.mapKeys[0], ...(node.isAtomic ? {} : { 'x-kubernetes-list-map-keys': node.mapKeys }) } : {}),
    ...(strategies.length === 0 ? {} : { 'x-kubernetes-patch-strategy': strategies.join(',') }),
  };
}

function listSchema(kind: Kind): ApiSchema {
  return {
    type: 'object',
    description: `${kind.type.kind}List is a list of ${kind.type.kind} objects.`,
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: `${refPrefix}${metaPackage}.ListMeta` },
      items: { type: 'array', items: { $ref: refPrefix + kind.schemaId } },
    },
    'x-kubernetes-group-version-kind': [{ ...gvk(kind), kind: `${kind.type.kind}List` }],
  };
}

function pathsOf(kind: Kind): Record<string, unknown> {
  const { group, plural, isNamespaced } = kind.type;
  const root = `/${group === '' ? 'api' : 'apis'}/${apiVersionOf(kind.type)}`;
  const collection = isNamespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const place = isNamespaced ? [pathParameter('namespace')] : [];
  const item = [pathParameter('name'), ...place];
  const status = kind.hasStatus ? { [`${collection}/{name}/status`]: { get: operation(kind, 'get'), put: operation(kind, 'put', writeParameters), patch: patchOperation(kind), parameters: item } } : {};
  return {
    ...(isNamespaced ? { [`${root}/${plural}`]: { get: operation(kind, 'list', listParameters) } } : {}),
    [collection]: { get: operation(kind, 'list', listParameters), post: operation(kind, 'post', writeParameters), delete: operation(kind, 'deletecollection', listParameters), parameters: place },
    [`${collection}/{name}`]: { get: operation(kind, 'get'), put: operation(kind, 'put', writeParameters), patch: patchOperation(kind), delete: operation(kind, 'delete', deleteParameters), parameters: item },
    ...status,
  };
}

function pathParameter(name: string): unknown {
  return { name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } };
}

function queryParameter(name: string, type: 'string' | 'boolean' | 'integer' = 'string'): unknown {
  return { name, in: 'query', schema: { type, uniqueItems: true } };
}

const writeParameters = ['dryRun', 'fieldManager', 'fieldValidation'].map((name) => queryParameter(name));
const listParameters = [
  ...['continue', 'fieldSelector', 'labelSelector', 'resourceVersion', 'resourceVersionMatch'].map((name) => queryParameter(name)),
  ...['allowWatchBookmarks', 'sendInitialEvents', 'watch'].map((name) => queryParameter(name, 'boolean')),
  ...['limit', 'timeoutSeconds'].map((name) => queryParameter(name, 'integer')),
];
const deleteParameters = [queryParameter('dryRun'), queryParameter('gracePeriodSeconds', 'integer'), queryParameter('orphanDependents', 'boolean'), queryParameter('propagationPolicy')];

function operation(kind: Kind, action: string, parameters: readonly unknown[] = []): unknown {
  const id = action === 'list' ? `${kind.schemaId}List` : action.startsWith('delete') ? `${metaPackage}.Status` : kind.schemaId;
  const content = (schema: ApiSchema): unknown => ({ 'application/json': { schema } });
  return {
    tags: [kind.type.plural],
    operationId: `${action}${kind.type.kind}`,
    parameters,
    ...(action === 'post' || action === 'put' ? { requestBody: { content: content({ $ref: refPrefix + kind.schemaId }) } } : {}),
    responses: { 200: { description: 'OK', content: content({ $ref: refPrefix + id }) }, 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind),
  };
}

function patchOperation(kind: Kind): unknown {
  const types = kind.isCustom ? patchMediaTypes.filter((type) => !type.includes('strategic')) : patchMediaTypes;
  const content = Object.fromEntries(types.map((type) => [type, { schema: { type: 'object' } }]));
  return { ...(operation(kind, 'patch', [...writeParameters, queryParameter('force', 'boolean')]) as Record<string, unknown>), requestBody: { content } };
}
