import { isDeepStrictEqual } from 'node:util';
import { GantryError } from '../../kernel/mod.ts';
import { isFields } from '../schema/decode.ts';
import { anyNode, type SchemaNode } from '../schema/node.ts';

type Fields = Record<string, unknown>;

const orderPrefix = '$setElementOrder/';
const deletePrefix = '$deleteFromPrimitiveList/';

/**
 * Applies Kubernetes' strategic merge patch; the target is not changed. Lists merge by the keys of the schema.
 * Directives: `$patch`, `$retainKeys`, `$setElementOrder/x`, `$deleteFromPrimitiveList/x`. `invalid` for a malformed one.
 */
export function applyStrategicMergePatch(node: SchemaNode, target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) throw refused('the patch must be an object');
  return mergeFields(node, isFields(target) ? target : {}, patch);
}

function mergeFields(node: SchemaNode, target: Fields, patch: Fields): Fields {
  const directive = patch['$patch'];
  if (directive === 'replace') return cleanFields(node, patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw refused(`unknown $patch directive ${JSON.stringify(directive)}`);
  const result: Fields = retain(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$') || key === '__proto__') continue;
    const child = childOf(node, key);
    if (value === null) delete result[key];
    else if (isFields(value)) result[key] = mergeFields(child, isFields(result[key]) ? result[key] : {}, value);
    else if (Array.isArray(value)) result[key] = mergeList(child, result[key], value, patch[orderPrefix + key], key);
    else result[key] = value;
  }
  for (const [directive, value] of Object.entries(patch)) applyListDirective(node, result, patch, directive, value);
  return result;
}

function retain(target: Fields, patch: Fields): Fields {
  const kept = patch['$retainKeys'];
  if (kept === undefined) return { ...target };
  if (!Array.isArray(kept)) throw refused('$retainKeys must be a list');
  const missing = Object.keys(patch).find((key) => !key.startsWith('$') && patch[key] !== null && !kept.includes(key));
  if (missing !== undefined) throw refused(`$retainKeys does not name the field ${missing} that the patch sets`);
  return Object.fromEntries(Object.entries(target).filter(([key]) => kept.includes(key)));
}

function applyListDirective(node: SchemaNode, result: Fields, patch: Fields, directive: string, value: unknown): void {
  if (directive.startsWith(deletePrefix)) {
    const key = directive.slice(deletePrefix.length);
    if (!Array.isArray(value)) throw refused(`${directive} must be a list`);
    if (Array.isArray(result[key])) result[key] = result[key].filter((item) => !value.some((gone) => isDeepStrictEqual(gone, item)));
  } else if (directive.startsWith(orderPrefix)) {
    const key = directive.slice(orderPrefix.length);
    if (!Array.isArray(value)) throw refused(`${directive} must be a list`);
    if (!(key in patch) && Array.isArray(result[key])) result[key] = order(childOf(node, key), result[key], result[key], value);
  }
}

function mergeList(node: SchemaNode, target: unknown, patch: unknown[], setOrder: unknown, field: string): unknown[] {
  const original = Array.isArray(target) ? target : [];
  if (node.listType === 'set') {
    const merged = [...original, ...patch.filter((item) => !original.some((had) => isDeepStrictEqual(had, item)))];
    return Array.isArray(setOrder) ? order(node, merged, original, setOrder) : merged;
  }
  const key = node.mapKeys[0];
  if (node.listType !== 'map' || key === undefined) return patch.map((item) => clean(node.items ?? anyNode, item));
  if (patch.some((item) => isFields(item) && item['$patch'] === 'replace')) {
    return patch.filter((item) => !isFields(item) || Object.keys(item).some((name) => name !== '$patch')).map((item) => clean(node.items ?? anyNode, item));
  }
  let merged = [...original];
  for (const item of patch) merged = mergeItem(node, merged, item, key, field);
  return Array.isArray(setOrder) ? order(node, merged, original, setOrder) : merged;
}

function mergeItem(node: SchemaNode, list: unknown[], item: unknown, key: string, field: string): unknown[] {
  const items = node.items ?? anyNode;
  if (!isFields(item)) throw refused(`the items of ${field} must be objects`);
  if (item[key] === undefined) throw refused(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
  const isSame = (had: unknown): boolean => isFields(had) && isDeepStrictEqual(had[key], item[key]);
  if (item['$patch'] === 'delete') return list.filter((had) => !isSame(had));
  const index = list.findIndex(isSame);
  if (index < 0) return [...list, clean(items, item)];
  return list.with(index, mergeFields(items, list[index] as Fields, item));
}

/** Items named in `setOrder` in that order; the others stay where they stood among the items that were there before. */
function order(node: SchemaNode, merged: unknown[], original: unknown[], setOrder: unknown[]): unknown[] {
  const key = node.listType === 'map' ? node.mapKeys[0] : undefined;
  const idOf = (item: unknown): unknown => (key !== undefined && isFields(item) ? item[key] : item);
  const wanted = setOrder.map(idOf);
  const before = original.map(idOf);
  const place = (list: readonly unknown[], item: unknown): number => list.findIndex((id) => isDeepStrictEqual(id, idOf(item)));
  const named = merged.filter((item) => place(wanted, item) >= 0).toSorted((a, b) => place(wanted, a) - place(wanted, b));
  const others = merged.filter((item) => place(wanted, item) < 0);
  const result: unknown[] = [];
  while (named.length > 0 && others.length > 0) {
    const [namedPlace, otherPlace] = [place(before, named[0]), place(before, others[0])];
    result.push(namedPlace >= 0 && otherPlace >= 0 && otherPlace < namedPlace ? others.shift() : named.shift());
  }
  return [...result, ...named, ...others];
}

/** A value that is new in the target: without directives and nulls. */
function clean(node: SchemaNode, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => clean(node.items ?? anyNode, item));
  return isFields(value) ? cleanFields(node, value) : value;
}

function cleanFields(node: SchemaNode, value: Fields): Fields {
  const kept = Object.entries(value).filter(([key, item]) => !key.startsWith('$') && item !== null);
  return Object.fromEntries(kept.map(([key, item]) => [key, clean(childOf(node, key), item)]));
}

function childOf(node: SchemaNode, key: string): SchemaNode {
  return node.properties?.get(key) ?? node.values ?? anyNode;
}

function refused(why: string): GantryError {
  return new GantryError('invalid', `the strategic merge patch is malformed: ${why}`, { details: { reason: 'BadRequest' } });
}
