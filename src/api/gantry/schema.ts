import type { JSONSchemaProps } from '../kubernetes/types.gen.ts';

/** Short forms for structural schemas (Kubernetes API, CustomResourceDefinition, "Specifying a structural schema"). */
export const schema = {
  text: (description: string, limits: JSONSchemaProps = {}): JSONSchemaProps => ({ type: 'string', description, ...limits }),
  flag: (description: string): JSONSchemaProps => ({ type: 'boolean', description }),
  count: (description: string): JSONSchemaProps => ({ type: 'integer', format: 'int64', minimum: 0, description }),
  time: (description: string): JSONSchemaProps => ({ type: 'string', format: 'date-time', description }),
  oneOf: (description: string, values: readonly string[]): JSONSchemaProps => ({ type: 'string', description, enum: [...values] }),
  list: (description: string, items: JSONSchemaProps): JSONSchemaProps => ({ type: 'array', description, items }),
  map: (description: string): JSONSchemaProps => ({ type: 'object', description, additionalProperties: { type: 'string' } }),
  object: (description: string, properties: Record<string, JSONSchemaProps>, required: string[] = []): JSONSchemaProps => ({
    type: 'object',
    description,
    properties,
    ...(required.length === 0 ? {} : { required }),
  }),
};
