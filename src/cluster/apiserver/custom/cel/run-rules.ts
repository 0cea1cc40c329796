import { isFields, type SchemaNode } from '../../../../api/mod.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';
import type { CompiledRule, RuleTable } from './compile-rules.ts';
import { joinFieldPath } from './rule-paths.ts';

/** Runs the rules of a schema on an object; `old` is what it replaces, for transition rules. */
export function runRules(table: RuleTable, node: SchemaNode, value: unknown, old: unknown, at: string, errors: FieldErrors): void {
  if (table.size === 0) return;
  for (const rule of table.get(node)?.rules ?? []) {
    // Nothing to compare with: a transition rule has nothing to say.
    if (rule.isTransition && old === undefined && !rule.isOldOptional) continue;
    const message = rule.run(value, old);
    if (message !== undefined) report(rule, node, message, joinFieldPath(at, rule.fieldPath), errors);
  }
  if (Array.isArray(value)) runItems(table, node, value, Array.isArray(old) ? old : [], at, errors);
  else if (isFields(value)) runFields(table, node, value, isFields(old) ? old : {}, at, errors);
}

function runItems(table: RuleTable, { items, listType, mapKeys }: SchemaNode, value: readonly unknown[], old: readonly unknown[], at: string, errors: FieldErrors): void {
  if (items === undefined) return;
  const keyOf = (item: unknown): string => JSON.stringify(mapKeys.map((key) => (isFields(item) ? (item[key] ?? null) : null)));
  const before = new Map(listType === 'map' ? old.map((item) => [keyOf(item), item] as const) : []);
  for (const [index, item] of value.entries()) runRules(table, items, item, listType === 'map' ? before.get(keyOf(item)) : undefined, `${at}[${index}]`, errors);
}

function runFields(table: RuleTable, { properties, values }: SchemaNode, value: Record<string, unknown>, old: Record<string, unknown>, at: string, errors: FieldErrors): void {
  for (const [name, item] of Object.entries(value)) {
    const child = properties?.get(name);
    if (item === null) continue;
    if (child !== undefined) runRules(table, child, item, old[name] ?? undefined, at === '' ? name : `${at}.${name}`, errors);
    else if (values !== undefined) runRules(table, values, item, old[name] ?? undefined, at === '' ? name : `${at}[${name}]`, errors);
  }
}

function report({ reason }: CompiledRule, node: SchemaNode, message: string, field: string, errors: FieldErrors): void {
  const type = node.type === 'int-or-string' ? '' : node.type;
  switch (reason) {
    case 'FieldValueInvalid':
      return errors.invalid(field, type, message);
    case 'FieldValueForbidden':
      return errors.forbidden(field, message);
    case 'FieldValueRequired':
      return errors.required(field, message);
    case 'FieldValueDuplicate':
      return errors.duplicate(field, type);
  }
}
