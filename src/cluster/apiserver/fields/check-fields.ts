import { isDeepStrictEqual } from 'node:util';
import { isFields, type SchemaNode } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { type UnhonouredField, unhonouredFields } from './unhonoured-fields.ts';

const byType = Map.groupBy(unhonouredFields, ({ field }) => field.slice(0, field.indexOf('.')));

/** What of a type has to be looked at: its own entries of the table, and the fields under which there may be more. */
interface TypeCheck { readonly own: readonly (readonly [name: string, entry: UnhonouredField])[]; readonly inner: readonly (readonly [name: string, node: SchemaNode])[] }

const checks = new WeakMap<SchemaNode, TypeCheck>();

/** Where findings go: problems refuse the object, warnings go with the answer. */
interface Findings { readonly errors: FieldErrors; readonly warnings: string[] }

/**
 * Refuses and warns about what an object asks for and nobody here does. What the old object had already passes, so that a table
 * that grew does not hold up objects from before. Status is a report, not a demand, and is left alone.
 */
export function checkUnhonoured(node: SchemaNode, object: Record<string, unknown>, old: Record<string, unknown> | undefined, findings: Findings): void {
  const { status: _, ...demanded } = object;
  visit(node, demanded, old, '', findings);
}

function visit(node: SchemaNode, value: unknown, old: unknown, at: string, findings: Findings): void {
  if (value === undefined || value === null || value === old) return;
  if (node.items !== undefined) {
    const { items } = node;
    if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(items, item, oldItem(node, item, old, index), `${at}[${index}]`, findings);
  } else if (node.values !== undefined) {
    if (isFields(value)) for (const [key, item] of Object.entries(value)) visit(node.values, item, fieldOf(old, key), `${at}[${key}]`, findings);
  } else if (node.properties !== undefined && isFields(value)) {
    const { own, inner } = checkOf(node);
    const prefix = at === '' ? '' : `${at}.`;
    for (const [name, entry] of own) if (isAskedFor(entry, value[name]) && !isDeepStrictEqual(value[name], fieldOf(old, name))) report(entry, value[name], `${prefix}${name}`, findings);
    for (const [name, child] of inner) visit(child, value[name], fieldOf(old, name), `${prefix}${name}`, findings);
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return isFields(value) ? value[name] : undefined;
}

/** The item that a list had for the same keys, or at the same place. */
function oldItem({ listType, mapKeys }: SchemaNode, item: unknown, old: unknown, index: number): unknown {
  if (!Array.isArray(old)) return undefined;
  if (listType !== 'map') return old[index];
  return old.find((other) => mapKeys.every((key) => fieldOf(other, key) === fieldOf(item, key)));
}

function isAskedFor({ only, except }: UnhonouredField, value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return false;
  if (only !== undefined) return only.includes(value);
  if (except?.includes(value) === true) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function report({ treatment, only, except }: UnhonouredField, value: unknown, at: string, { errors, warnings }: Findings): void {
  const what = only === undefined && except === undefined ? '' : `${JSON.stringify(value)} `;
  if (treatment === 'refused') errors.forbidden(at, `${what}is not supported by this cluster`);
  else warnings.push(`${at}: ${what}is not supported by this cluster and has no effect`);
}

function checkOf(node: SchemaNode): TypeCheck {
  let check = checks.get(node);
  if (check === undefined) checks.set(node, (check = { own: ownOf(node), inner: [...(node.properties ?? [])].filter(([, child]) => leadsToEntry(child, new Set())) }));
  return check;
}

function ownOf(node: SchemaNode): TypeCheck['own'] {
  return (byType.get(node.name) ?? []).map((entry) => [entry.field.slice(node.name.length + 1), entry] as const);
}

function leadsToEntry(node: SchemaNode, seen: Set<SchemaNode>): boolean {
  if (seen.has(node)) return false;
  seen.add(node);
  if (node.items !== undefined) return leadsToEntry(node.items, seen);
  if (node.values !== undefined) return leadsToEntry(node.values, seen);
  return byType.has(node.name) || [...(node.properties?.values() ?? [])].some((child) => leadsToEntry(child, seen));
}
