import { type ASTNode, type Environment, EvaluationError, Optional } from '@marcbachmann/cel-js';
import { isFields, type SchemaNode } from '../../../../api/mod.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';
import { type CelType, CelTypes } from './cel-types.ts';
import { kubernetesCel } from './environment.ts';
import { parseFieldPath } from './rule-paths.ts';
import { estimateCost, maxDefinitionCost, maxRuleCost, maxSize } from './rule-cost.ts';

const reasons = ['FieldValueInvalid', 'FieldValueForbidden', 'FieldValueRequired', 'FieldValueDuplicate'] as const;

export type RuleReason = (typeof reasons)[number];

/** One `x-kubernetes-validations` rule, ready to run. */
export interface CompiledRule {
  readonly reason: RuleReason;
  /** After the path of the value, for example `.spec`. */
  readonly fieldPath: string;
  /** It compares with the old value, so it runs on updates only, unless the old value is optional. */
  readonly isTransition: boolean;
  readonly isOldOptional: boolean;
  /** What one evaluation over these values can cost, in steps. */
  cost(self: unknown, old: unknown): number;
  /** Its message, or the rule itself, for errors about the rule. */
  readonly label: string;
  /** Undefined: it holds. Otherwise what to tell, and whether the rule came to an answer at all. */
  run(self: unknown, old: unknown): RuleFailure | undefined;
}

/** `isError`: it could not be evaluated; the message is about the rule, not about one field. */
export interface RuleFailure { readonly message: string; readonly isError: boolean }

/** The rules of one schema node. */
export interface NodeRules {
  readonly rules: readonly CompiledRule[];
  readonly type: CelType;
}

/** Compiled rules by schema node; nodes without rules are not in it. */
export type RuleTable = ReadonlyMap<SchemaNode, NodeRules>;

interface Compilation { readonly env: Environment; readonly types: CelTypes; readonly table: Map<SchemaNode, NodeRules>; readonly errors: FieldErrors; totalCost: number }

/** Compiles all rules of a schema. Mistakes go to `errors` with the paths of the rules under `at`. */
export function compileRules(root: SchemaNode, at: string, errors: FieldErrors): RuleTable {
  if (!hasRules(root)) return new Map();
  const env = kubernetesCel().clone();
  const compilation: Compilation = { env, types: new CelTypes(env), table: new Map(), errors, totalCost: 0 };
  const found = nodesWithRules(root, at, 1, true);
  // All types first: an environment that was cloned takes no more.
  for (const { node } of found) compilation.types.of(node);
  for (const place of found) compileNode(compilation, place);
  if (compilation.totalCost > maxDefinitionCost) {
    errors.forbidden(at, `x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of ${factor(compilation.totalCost, maxDefinitionCost)} (try simplifying the rule(s), or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`);
  }
  return compilation.table;
}

interface Place { readonly node: SchemaNode; readonly at: string; readonly times: number; readonly isCorrelatable: boolean }

function hasRules(node: SchemaNode): boolean {
  return nodesWithRules(node, '', 1, true).length > 0;
}

/** Nodes that have rules, with how often they can be in one object and whether an old value can be found for them. */
function nodesWithRules(node: SchemaNode, at: string, times: number, isCorrelatable: boolean): Place[] {
  const own = rulesOf(node).length > 0 ? [{ node, at, times, isCorrelatable }] : [];
  const properties = [...(node.properties ?? [])].filter(([, child]) => child.name === '').flatMap(([name, child]) => nodesWithRules(child, `${at}.properties[${name}]`, times, isCorrelatable));
  const values = node.values === undefined ? [] : nodesWithRules(node.values, `${at}.additionalProperties`, times * maxSize(node), isCorrelatable);
  const items = node.items === undefined ? [] : nodesWithRules(node.items, `${at}.items`, times * maxSize(node), isCorrelatable && node.listType === 'map');
  return [...own, ...properties, ...values, ...items];
}

function rulesOf({ source }: SchemaNode): Record<string, unknown>[] {
  const rules = source['x-kubernetes-validations'];
  return Array.isArray(rules) ? rules.filter(isFields) : [];
}

function compileNode(compilation: Compilation, place: Place): void {
  const { node, at } = place;
  const type = compilation.types.of(node);
  const env = compilation.env.clone().registerVariable('self', type.name).registerVariable('oldSelf', type.name);
  const rules = rulesOf(node).flatMap((given, index) => compileRule(compilation, env, place, type, given, `${at}.x-kubernetes-validations[${index}]`) ?? []);
  compilation.table.set(node, { rules, type });
}

type Program = ((context: Record<string, unknown>) => unknown) & { check(): { valid: boolean; type?: string; error?: { message: string } }; ast: ASTNode };

function compileRule(compilation: Compilation, plain: Environment, place: Place, type: CelType, given: Record<string, unknown>, at: string): CompiledRule | undefined {
  const { errors } = compilation;
  const before = errors.places.length;
  const text = typeof given['rule'] === 'string' ? given['rule'].trim() : '';
  if (text === '') {
    errors.required(`${at}.rule`, 'rule is not specified');
    return undefined;
  }
  const isOldOptional = given['optionalOldSelf'] === true;
  const env = isOldOptional ? compilation.env.clone().registerVariable('self', type.name).registerVariable('oldSelf', `optional<${type.name}>`) : plain;
  const rule = compileExpression(env, text, 'bool', `${at}.rule`, errors);
  const message = checkMessage(given['message'], text, at, errors);
  const messageText = typeof given['messageExpression'] === 'string' ? given['messageExpression'] : undefined;
  const messageProgram = messageText === undefined ? undefined : compileExpression(env, messageText, 'string', `${at}.messageExpression`, errors);
  const reason = given['reason'] ?? 'FieldValueInvalid';
  if (!reasons.includes(reason as RuleReason)) errors.unsupported(`${at}.reason`, reason, reasons);
  const fieldPath = typeof given['fieldPath'] === 'string' ? given['fieldPath'] : '';
  if (fieldPath !== '') parseFieldPath(fieldPath, place.node, `${at}.fieldPath`, errors);
  if (rule === undefined || errors.places.length > before) return undefined;
  const isTransition = usesOld(rule.ast);
  if (isTransition && !place.isCorrelatable) {
    errors.invalid(`${at}.rule`, text, `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.at}`);
    return undefined;
  }
  if (isOldOptional && !isTransition) errors.invalid(`${at}.optionalOldSelf`, true, 'may not be set if oldSelf is not used in rule');
  checkCost(compilation, rule.ast, place, `${at}.rule`);
  const { node } = place;
  return {
    ...{ reason: reason as RuleReason, fieldPath, isTransition, isOldOptional, label: message ?? text },
    cost: (self, old) => estimateCost(rule.ast, new Map([['self', { node, found: [self] }], ['oldSelf', { node, found: [old] }]])),
    run: (self, old) => runRule({ rule, text, message, messageProgram, isOldOptional }, type, self, old),
  };
}

function compileExpression(env: Environment, text: string, wanted: string, at: string, errors: FieldErrors): Program | undefined {
  try {
    const program = env.parse(text) as unknown as Program;
    const checked = program.check();
    if (!checked.valid) errors.invalid(at, text, `compilation failed: ERROR: ${firstLine(checked.error?.message)}`);
    else if (checked.type !== wanted && checked.type !== 'dyn') errors.invalid(at, text, wanted === 'bool' ? 'cel expression must evaluate to a bool' : 'messageExpression must evaluate to a string');
    else return program;
  } catch (error) {
    errors.invalid(at, text, `compilation failed: ERROR: ${firstLine(error instanceof Error ? error.message : String(error))}`);
  }
  return undefined;
}

function checkMessage(given: unknown, rule: string, at: string, errors: FieldErrors): string | undefined {
  if (given === undefined) {
    if (rule.includes('\n')) errors.required(`${at}.message`, 'message must be specified if rule contains line breaks');
    return undefined;
  }
  const text = typeof given === 'string' ? given.trim() : '';
  if (text === '') errors.invalid(`${at}.message`, given, 'message must be non-empty if specified');
  else if (text.includes('\n')) errors.invalid(`${at}.message`, given, 'message must not contain line breaks');
  else if (text.length > 2048) errors.tooLong(`${at}.message`, 2048);
  return text;
}

function checkCost(compilation: Compilation, ast: ASTNode, { node, times }: Place, at: string): void {
  const cost = estimateCost(ast, new Map([['self', { node }], ['oldSelf', { node }]])) * times;
  compilation.totalCost += cost;
  if (cost <= maxRuleCost) return;
  compilation.errors.forbidden(at, `estimated rule cost exceeds budget by factor of ${factor(cost, maxRuleCost)} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`);
}

function factor(cost: number, limit: number): string {
  const ratio = cost / limit;
  return ratio > 100 ? 'more than 100x' : `${Math.max(1.1, Math.ceil(ratio * 10) / 10)}x`;
}

function usesOld(ast: unknown): boolean {
  if (Array.isArray(ast)) return ast.some(usesOld);
  if (typeof ast !== 'object' || ast === null || !('op' in ast)) return false;
  const { op, args } = ast as { op: string; args: unknown };
  return op === 'id' ? args === 'oldSelf' : usesOld(args);
}

interface Running { readonly rule: Program; readonly text: string; readonly message: string | undefined; readonly messageProgram: Program | undefined; readonly isOldOptional: boolean }

function runRule({ rule, text, message, messageProgram, isOldOptional }: Running, type: CelType, self: unknown, old: unknown): RuleFailure | undefined {
  const before = old === undefined ? undefined : type.toCel(old);
  const context = { self: type.toCel(self), oldSelf: isOldOptional ? (before === undefined ? Optional.none() : Optional.of(before)) : before };
  try {
    if (rule(context) === true) return undefined;
  } catch (error) {
    const why = reasonOf(error);
    // The schema did not tell the type: an int-or-string, for example.
    const told = why.startsWith('no such overload') ? `'${why}': call arguments did not match a supported operator, function or macro signature for rule: ${message ?? text}` : `${why} evaluating rule: ${message ?? text}`;
    return { message: told, isError: true };
  }
  return { message: fromExpression(messageProgram, context) ?? message ?? `failed rule: ${text}`, isError: false };
}

/** A message that cannot be made, or is no good, gives way to the fixed one. */
function fromExpression(program: Program | undefined, context: Record<string, unknown>): string | undefined {
  try {
    const made = program?.(context);
    return typeof made === 'string' && made.trim() !== '' && !made.includes('\n') && made.length <= 5000 ? made.trim() : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const text = firstLine(error instanceof Error ? error.message : String(error));
  return error instanceof EvaluationError ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

function firstLine(text = ''): string {
  return text.split('\n', 1)[0] ?? '';
}
