import { isFields } from './decode.ts';
import type { SchemaNode } from './node.ts';

/** Fills in the defaults of a structural schema, in place. A null where the schema allows none counts as absent. */
export function applyDefaults(node: SchemaNode, value: unknown): void {
  if (Array.isArray(value)) {
    if (node.items !== undefined) for (const item of value) applyDefaults(node.items, item);
    return;
  }
  if (!isFields(value)) return;
  for (const [name, child] of node.properties ?? []) {
    const isAbsent = value[name] === undefined || (value[name] === null && !child.isNullable);
    if (isAbsent && child.source.default !== undefined) value[name] = structuredClone(child.source.default);
    if (value[name] !== undefined && value[name] !== null) applyDefaults(child, value[name]);
  }
  if (node.values === undefined) return;
  for (const [name, item] of Object.entries(value)) if (node.properties?.has(name) !== true) applyDefaults(node.values, item);
}
