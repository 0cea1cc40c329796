import { isFields } from '../schema/decode.ts';
import { anyNode, type SchemaNode } from '../schema/node.ts';
import { childNode, type FieldPath, isGranularList, isGranularMap, itemStep, joinPath } from './field-paths.ts';

/** The live value with everything that the applied one says put in. Neither is changed. */
export function mergeApplied(node: SchemaNode, live: unknown, applied: unknown): unknown {
  if (isGranularMap(node, applied) && isGranularMap(node, live)) {
    const result: Record<string, unknown> = { ...live };
    for (const [name, value] of Object.entries(applied)) result[name] = Object.hasOwn(live, name) ? mergeApplied(childNode(node, name), live[name], value) : value;
    return result;
  }
  if (isGranularList(node, applied) && isGranularList(node, live)) return mergeList(node, live, applied);
  return applied;
}

/** Applied items in their order; each live item that is not among them stays behind the one it stood behind. */
function mergeList(node: SchemaNode, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const liveItems = new Map(live.map((item) => [itemStep(node, item), item]));
  const appliedSteps = new Set(applied.map((item) => itemStep(node, item)));
  const result = applied.map((item) => {
    const had = liveItems.get(itemStep(node, item));
    return had === undefined || node.listType === 'set' ? item : mergeApplied(node.items ?? anyNode, had, item);
  });
  for (const [index, item] of live.entries()) {
    if (appliedSteps.has(itemStep(node, item))) continue;
    const before = index === 0 ? undefined : itemStep(node, live[index - 1]);
    const place = before === undefined ? 0 : result.findIndex((candidate) => itemStep(node, candidate) === before) + 1;
    result.splice(place, 0, item);
  }
  return result;
}

/** The value without the fields at `paths`; structures that become empty by it go too. Undefined: nothing is left. */
export function removeFields(node: SchemaNode, value: unknown, paths: ReadonlySet<FieldPath>, at: FieldPath = ''): unknown {
  if (isGranularMap(node, value)) {
    const kept: [string, unknown][] = [];
    for (const [name, item] of Object.entries(value)) {
      const path = joinPath(at, `f:${name}`);
      const left = isLeaf(childNode(node, name), item) && paths.has(path) ? undefined : removeFields(childNode(node, name), item, paths, path);
      if (left !== undefined) kept.push([name, left]);
    }
    return kept.length === 0 && Object.keys(value).length > 0 ? undefined : Object.fromEntries(kept);
  }
  if (!isGranularList(node, value)) return value;
  const kept = value.flatMap((item) => {
    const path = joinPath(at, itemStep(node, item));
    if (paths.has(path)) return [];
    return [node.listType === 'map' ? keepKeys(node, item, removeFields(node.items ?? anyNode, item, paths, path)) : item];
  });
  return kept.length === 0 && value.length > 0 ? undefined : kept;
}

function isLeaf(node: SchemaNode, value: unknown): boolean {
  const isParted = (isGranularMap(node, value) && Object.keys(value).length > 0) || (isGranularList(node, value) && value.length > 0);
  return !isParted;
}

/** An item that stays keeps what names it. */
function keepKeys(node: SchemaNode, item: unknown, left: unknown): unknown {
  if (!isFields(item)) return left;
  const keys = Object.fromEntries(node.mapKeys.filter((key) => item[key] !== undefined).map((key) => [key, item[key]]));
  return { ...keys, ...(isFields(left) ? left : {}) };
}
