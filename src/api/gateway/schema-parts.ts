import { schema } from '../gantry/schema.ts';
import type { JSONSchemaProps } from '../kubernetes/types.gen.ts';

const { count, list, object, oneOf, text, time } = schema;

/** A host, of which the first label may be `*`. */
export const hostname: JSONSchemaProps = { pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$', maxLength: 253 };

/** A host without wildcard. */
export const preciseHostname: JSONSchemaProps = { pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$', maxLength: 253 };

export const port: JSONSchemaProps = { ...count('Port.'), minimum: 1, maximum: 65_535, format: 'int32' };

/** What an object's status says about it, for every kind. */
export const conditions: JSONSchemaProps = list(
  'Conditions.',
  object('One condition.', { type: text('Type.'), status: oneOf('Status.', ['True', 'False', 'Unknown']), reason: text('Reason.'), message: text('For people.'), lastTransitionTime: time('When the status last changed.'), observedGeneration: count('Generation it is about.') }, ['type', 'status']),
);

/** The node with CEL rules and what is said when one of them is broken. */
export function ruled(node: JSONSchemaProps, ...rules: readonly (readonly [rule: string, message: string])[]): JSONSchemaProps {
  return { ...node, 'x-kubernetes-validations': rules.map(([rule, message]) => ({ rule, message })) };
}

/** A list of so many items at most. */
export function atMost(maxItems: number, node: JSONSchemaProps): JSONSchemaProps {
  return { ...node, maxItems };
}

/** A list whose items are told apart by the fields named. */
export function keyedBy(keys: string[], node: JSONSchemaProps): JSONSchemaProps {
  return { ...node, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys };
}
