import type { ApiSchema } from '../../../api/mod.ts';

type Fields = Record<string, unknown>;

/** The Swagger 2.0 document made of the v3 documents of all groups: what helm and older clients ask for. */
export function toOpenApiV2(documents: readonly { paths: Fields; components: { schemas: Record<string, ApiSchema> } }[], version: string): Fields {
  const definitions: Fields = {};
  const paths: Fields = {};
  for (const document of documents) {
    for (const [id, schema] of Object.entries(document.components.schemas)) definitions[id] ??= toV2Schema(schema);
    for (const [path, item] of Object.entries(document.paths)) paths[path] = toV2Path(item as Fields);
  }
  return { swagger: '2.0', info: { title: 'Kubernetes', version }, paths, definitions };
}

function toV2Path(item: Fields): Fields {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, name === 'parameters' ? (value as Fields[]).map(toV2Parameter) : toV2Operation(value as Fields)]));
}

function toV2Parameter({ schema, ...parameter }: Fields): Fields {
  return { ...parameter, ...(schema as Fields) };
}

function toV2Operation({ parameters, requestBody, responses, ...operation }: Fields): Fields {
  const content = (requestBody as { content?: Record<string, { schema: ApiSchema }> } | undefined)?.content;
  const body = Object.values(content ?? {})[0];
  return {
    ...operation,
    consumes: content === undefined ? ['*/*'] : Object.keys(content),
    produces: ['application/json'],
    parameters: [...(body === undefined ? [] : [{ name: 'body', in: 'body', required: true, schema: toV2Schema(body.schema) }]), ...(parameters as Fields[]).map(toV2Parameter)],
    responses: Object.fromEntries(Object.entries(responses as Record<string, Fields>).map(([code, response]) => [code, toV2Response(response)])),
  };
}

function toV2Response({ description, content }: Fields): Fields {
  const schema = Object.values((content ?? {}) as Record<string, { schema: ApiSchema }>)[0]?.schema;
  return { description, ...(schema === undefined ? {} : { schema: toV2Schema(schema) }) };
}

/** Keywords that version 2 does not have. */
const droppedKeywords = new Set(['oneOf', 'anyOf', 'not', 'nullable', 'allOf', 'default', 'enum']);

function toV2Schema(schema: ApiSchema): Fields {
  const kept = Object.fromEntries(Object.entries(schema).filter(([name]) => !droppedKeywords.has(name)));
  const reference = schema.$ref ?? schema.allOf?.find(({ $ref }) => $ref !== undefined)?.$ref;
  if (reference !== undefined) return { ...(schema.description === undefined ? {} : { description: schema.description }), $ref: reference.replace('#/components/schemas/', '#/definitions/') };
  return {
    ...kept,
    ...(schema.oneOf === undefined || schema.type !== undefined ? {} : { type: 'string' }),
    ...(schema.properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(schema.properties).map(([name, property]) => [name, toV2Schema(property)])) }),
    ...(schema.items === undefined ? {} : { items: toV2Schema(schema.items) }),
    ...(typeof schema.additionalProperties === 'object' ? { additionalProperties: toV2Schema(schema.additionalProperties) } : {}),
  };
}
