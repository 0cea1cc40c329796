import { isDeepStrictEqual } from 'node:util';
import { isFields, type SchemaNode } from '../../../../api/mod.ts';
import { FieldErrors } from '../../validation/field-errors.ts';
import type { CompiledRule, RuleTable } from './compile-rules.ts';
import { maxObjectCost, maxRunCost } from './rule-cost.ts';
import { joinFieldPath } from './rule-paths.ts';

/** Where findings go. What was wrong before and did not change is a warning only. */
export interface RuleFindings { readonly errors: FieldErrors; readonly warnings: string[] }

interface Run extends RuleFindings { readonly table: RuleTable; budget: number }

/** Runs the rules of a schema on an object; `old` is what it replaces. What all of them may cost is limited; then the rest is not run. */
export function runRules(table: RuleTable, node: SchemaNode, value: unknown, old: unknown, findings: RuleFindings): void {
  if (table.size > 0) visit({ ...findings, table, budget: maxObjectCost }, node, value, old, '');
}

function visit(run: Run, node: SchemaNode, value: unknown, old: unknown, at: string): void {
  for (const rule of run.table.get(node)?.rules ?? []) {
    if (run.budget < 0) return;
    // Nothing to compare with: a transition rule has nothing to say.
    if (rule.isTransition && old === undefined && !rule.isOldOptional) continue;
    if (!spend(run, rule, node, value, old, at)) return;
    const failure = rule.run(value, old);
    if (failure === undefined) continue;
    if (failure.isError) run.errors.invalid(at, typeOf(node), failure.message);
    else if (!rule.isTransition && old !== undefined && isDeepStrictEqual(value, old)) warn(run, rule, node, failure.message, at);
    else report(rule, node, failure.message, joinFieldPath(at, rule.fieldPath), run.errors);
  }
  if (Array.isArray(value)) visitItems(run, node, value, Array.isArray(old) ? old : [], at);
  else if (isFields(value)) visitFields(run, node, value, isFields(old) ? old : {}, at);
}

/** False: it would cost too much, and nothing more is run. */
function spend(run: Run, rule: CompiledRule, node: SchemaNode, value: unknown, old: unknown, at: string): boolean {
  const cost = rule.cost(value, old);
  if (cost > maxRunCost) run.errors.invalid(at, typeOf(node), `'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: ${rule.label}`);
  else if (cost > run.budget) run.errors.invalid(at, typeOf(node), 'validation failed due to running out of cost budget, no further validation rules will be run');
  run.budget = cost > maxRunCost ? -1 : run.budget - cost;
  return run.budget >= 0;
}

function visitItems(run: Run, { items, listType, mapKeys }: SchemaNode, value: readonly unknown[], old: readonly unknown[], at: string): void {
  if (items === undefined) return;
  const keyOf = (item: unknown): string => JSON.stringify(mapKeys.map((key) => (isFields(item) ? (item[key] ?? null) : null)));
  const before = new Map(listType === 'map' ? old.map((item) => [keyOf(item), item] as const) : []);
  for (const [index, item] of value.entries()) visit(run, items, item, listType === 'map' ? before.get(keyOf(item)) : undefined, `${at}[${index}]`);
}

function visitFields(run: Run, { properties, values }: SchemaNode, value: Record<string, unknown>, old: Record<string, unknown>, at: string): void {
  for (const [name, item] of Object.entries(value)) {
    const child = properties?.get(name);
    if (item === null) continue;
    if (child !== undefined) visit(run, child, item, old[name] ?? undefined, at === '' ? name : `${at}.${name}`);
    else if (values !== undefined) visit(run, values, item, old[name] ?? undefined, at === '' ? name : `${at}[${name}]`);
  }
}

function typeOf({ type }: SchemaNode): string {
  return type === 'int-or-string' ? '' : type;
}

function warn(run: Run, rule: CompiledRule, node: SchemaNode, message: string, at: string): void {
  const found = new FieldErrors();
  report(rule, node, message, joinFieldPath(at, rule.fieldPath), found);
  run.warnings.push(...found.places.map((place) => `${place.field ?? ''}: ${place.message}`));
}

function report({ reason }: CompiledRule, node: SchemaNode, message: string, field: string, errors: FieldErrors): void {
  switch (reason) {
    case 'FieldValueInvalid':
      return errors.invalid(field, typeOf(node), message);
    case 'FieldValueForbidden':
      return errors.forbidden(field, message);
    case 'FieldValueRequired':
      return errors.required(field, message);
    case 'FieldValueDuplicate':
      return errors.duplicate(field, typeOf(node));
  }
}
