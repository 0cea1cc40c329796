import { isFields, type SchemaNode } from '../../../api/mod.ts';
import type { ApiObject } from '../kinds/kind.ts';
import type { FieldErrors } from './field-errors.ts';

/** Reports fields that the schema of a built-in kind requires and the object lacks, outside metadata and status. */
export function validateRequired(node: SchemaNode, object: ApiObject, errors: FieldErrors): void {
  for (const name of node.required) if (object[name] === undefined) errors.required(name);
  for (const [name, child] of node.properties ?? []) {
    if (name !== 'metadata' && name !== 'status' && object[name] !== undefined) walk(child, object[name], name, errors);
  }
}

function walk(node: SchemaNode, value: unknown, path: string, errors: FieldErrors): void {
  if (node.type === 'array' && Array.isArray(value) && node.items !== undefined) {
    if (node.items.type !== 'object') return;
    for (const [index, item] of value.entries()) walk(node.items, item, `${path}[${index}]`, errors);
  } else if (node.type === 'object' && isFields(value)) {
    for (const name of node.required) if (value[name] === undefined) errors.required(`${path}.${name}`);
    for (const [name, child] of Object.entries(value)) {
      const childNode = node.properties?.get(name) ?? node.values;
      if (childNode !== undefined && (childNode.type === 'object' || childNode.type === 'array')) walk(childNode, child, `${path}.${name}`, errors);
    }
  }
}
