import { isFields } from '../schema/decode.ts';
import { anyNode, type SchemaNode } from '../schema/node.ts';

/**
 * A field of an object as server-side apply names it: steps from the root, joined by `\0`. A step is `f:name` of a structure or map,
 * `k:{"name":"a"}` of a list with keys, `v:"x"` of a set (structured-merge-diff, FieldsV1).
 */
export type FieldPath = string;

const separator = '\0';

/** Key fields that may be left out, with the value they have then. */
const keyDefaults: Readonly<Record<string, unknown>> = { protocol: 'TCP' };

/** Metadata that no one owns. */
const unownedMetadata = new Set([
  ...['name', 'namespace', 'generateName', 'uid', 'resourceVersion', 'creationTimestamp', 'generation'],
  ...['selfLink', 'managedFields', 'deletionTimestamp', 'deletionGracePeriodSeconds'],
]);

/** Every field an object sets, with its value as JSON text. Items of keyed lists are fields too, with an empty text. */
export function flattenObject(node: SchemaNode, object: Readonly<Record<string, unknown>>): Map<FieldPath, string> {
  const found = new Map<FieldPath, string>();
  for (const [name, value] of Object.entries(object)) {
    if (name === 'apiVersion' || name === 'kind' || value === undefined) continue;
    const child = childNode(node, name);
    if (name !== 'metadata' || !isFields(value)) {
      flatten(child, value, `f:${name}`, found);
      continue;
    }
    for (const [field, item] of Object.entries(value)) if (!unownedMetadata.has(field) && item !== undefined) flatten(childNode(child, field), item, joinPath('f:metadata', `f:${field}`), found);
  }
  return found;
}

function flatten(node: SchemaNode, value: unknown, path: FieldPath, found: Map<FieldPath, string>): void {
  if (isGranularMap(node, value) && Object.keys(value).length > 0) {
    for (const [name, item] of Object.entries(value)) if (item !== undefined) flatten(childNode(node, name), item, joinPath(path, `f:${name}`), found);
  } else if (isGranularList(node, value) && value.length > 0) {
    for (const item of value) {
      const itemPath = joinPath(path, itemStep(node, item));
      found.set(itemPath, '');
      if (node.listType === 'map' && isFields(item)) for (const [name, field] of Object.entries(item)) if (field !== undefined) flatten(childNode(node.items ?? anyNode, name), field, joinPath(itemPath, `f:${name}`), found);
    }
  } else found.set(path, JSON.stringify(value));
}

/** Whether the parts of a structure or map are owned one by one. */
export function isGranularMap(node: SchemaNode, value: unknown): value is Record<string, unknown> {
  return isFields(value) && !node.isAtomic && node.type !== 'array';
}

/** Whether the items of a list are owned one by one. */
export function isGranularList(node: SchemaNode, value: unknown): value is unknown[] {
  return Array.isArray(value) && !node.isAtomic && (node.listType === 'set' || (node.listType === 'map' && value.every(isFields)));
}

/** The step that names an item of a set or keyed list. */
export function itemStep(node: SchemaNode, item: unknown): string {
  if (node.listType === 'set' || !isFields(item)) return `v:${JSON.stringify(item)}`;
  const keys = [...node.mapKeys].toSorted();
  return `k:${JSON.stringify(Object.fromEntries(keys.map((key) => [key, item[key] ?? keyDefaults[key]])))}`;
}

/** The node of a field of a structure or map. */
export function childNode(node: SchemaNode, name: string): SchemaNode {
  return node.properties?.get(name) ?? node.values ?? anyNode;
}

/** One step further. */
export function joinPath(path: FieldPath, step: string): FieldPath {
  return path === '' ? step : `${path}${separator}${step}`;
}

/** The path as messages show it: `.spec.containers[name="c"].image`. */
export function showPath(path: FieldPath): string {
  return path
    .split(separator)
    .map((step) => {
      if (step.startsWith('f:')) return `.${step.slice(2)}`;
      if (step.startsWith('v:')) return `[=${step.slice(2)}]`;
      const keys = JSON.parse(step.slice(2)) as Record<string, unknown>;
      return `[${Object.entries(keys).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}

type Tree = { [step: string]: Tree };

/** Paths as the tree that `managedFields` holds. */
export function toFieldsV1(paths: Iterable<FieldPath>): Record<string, unknown> {
  const root: Tree = {};
  for (const path of [...paths].toSorted()) {
    let current = root;
    for (const step of path.split(separator)) current = current[step] ??= {};
    current['.'] = {};
  }
  return withoutLoneDots(root);
}

/** A field without parts is its empty object; the dot is for those that have parts as well. */
function withoutLoneDots(tree: Tree): Tree {
  const steps = Object.entries(tree);
  if (steps.length === 1 && tree['.'] !== undefined) return {};
  return Object.fromEntries(steps.map(([step, child]) => [step, step === '.' ? {} : withoutLoneDots(child)]));
}

/** The inverse of `toFieldsV1`. What is not such a tree is left out. */
export function fromFieldsV1(tree: unknown): Set<FieldPath> {
  const paths = new Set<FieldPath>();
  collect(tree, '', paths);
  return paths;
}

function collect(tree: unknown, path: FieldPath, paths: Set<FieldPath>): void {
  if (!isFields(tree)) return;
  const steps = Object.entries(tree);
  if (path !== '' && (steps.length === 0 || tree['.'] !== undefined)) paths.add(path);
  for (const [step, child] of steps) if (/^[fkvi]:/.test(step)) collect(child, joinPath(path, step), paths);
}
