import type { ASTNode } from '@marcbachmann/cel-js';
import { isFields, type SchemaNode } from '../../../../api/mod.ts';
import { maxBodyBytes } from '../../requests/body.ts';
import { unescapeProperty } from './cel-types.ts';

/** What one evaluation of a rule may cost at worst, in steps: Kubernetes' limit for one expression. */
export const maxRuleCost = 10_000_000;

/** What one evaluation may cost with the values it runs on. */
export const maxRunCost = 1_000_000;

/** What all rules together may cost for one write of one object. */
export const maxObjectCost = 10_000_000;

/** What all rules of one definition may cost together. */
export const maxDefinitionCost = 100_000_000;

const loops = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** Functions that read a whole text or list: a step for each so many characters or items. */
const readers = new Set(['matches', 'find', 'findAll', 'contains', 'startsWith', 'endsWith', 'replace', 'split', 'join', 'sum', 'isSorted', 'min', 'max', 'indexOf', 'lastIndexOf', 'distinct', 'equivalent', 'intersects']);

/** The most items or characters a value of the node can have: what the schema says, else what fits in a request. */
export function maxSize(node: SchemaNode | undefined): number {
  const { maxItems, maxProperties, maxLength } = node?.source ?? {};
  if (node?.type === 'array') return maxItems ?? Math.floor(maxBodyBytes / (minBytes(node.items) + 1));
  if (node?.type === 'object') return maxProperties ?? Math.floor(maxBodyBytes / (minBytes(node.values) + 4));
  return maxLength ?? maxBodyBytes;
}

/** The least bytes a value of the node takes in JSON. */
function minBytes(node: SchemaNode | undefined): number {
  switch (node?.type) {
    case 'string':
      return 2 + (node.source.minLength ?? 0);
    case 'boolean':
      return 4;
    case 'object':
      return 2 + node.required.reduce((sum, name) => sum + name.length + 4 + minBytes(node.properties?.get(name)), 0);
    case 'array':
      return 2 + (node.source.minItems ?? 0) * (minBytes(node.items) + 1);
    default:
      return 1;
  }
}

/** What is known of a value: its schema, and for a run the values it has or can have. */
export interface Known { readonly node: SchemaNode | undefined; readonly found?: readonly unknown[] }

/** The variables of an expression. */
type Scope = ReadonlyMap<string, Known>;

/**
 * The worst cost of one evaluation: every step of every loop, over the largest values the schema allows, or over the values of one
 * object when they are known. CEL has no recursion, so the tree of the expression and the sizes of its inputs bound it.
 */
export function estimateCost(ast: ASTNode, scope: Scope): number {
  switch (ast.op) {
    case 'value':
    case 'id':
      return 1;
    case 'rcall':
      return callCost(ast, scope);
    default:
      return 1 + childrenOf(ast.args).reduce((sum, child) => sum + estimateCost(child, scope), 0);
  }
}

function callCost(ast: ASTNode & { op: 'rcall' }, scope: Scope): number {
  const [name, receiver, given] = ast.args;
  const own = estimateCost(receiver, scope);
  const [variable, ...bodies] = given;
  if (loops.has(name) && variable?.op === 'id') {
    const inner = new Map([...scope, [variable.args, itemOf(knownOf(receiver, scope))]]);
    return own + sizeOf(receiver, scope) * bodies.reduce((sum, body) => sum + estimateCost(body, inner), 1);
  }
  if (name === 'bind' && variable?.op === 'id') {
    const [value, body] = bodies;
    if (value === undefined || body === undefined) return own;
    return own + estimateCost(value, scope) + estimateCost(body, new Map([...scope, [variable.args, knownOf(value, scope) ?? { node: undefined }]]));
  }
  const inputs = given.reduce((sum, argument) => sum + estimateCost(argument, scope), 0);
  return own + inputs + 1 + (readers.has(name) ? Math.ceil(sizeOf(receiver, scope) * (name === 'matches' || name === 'find' || name === 'findAll' ? 0.1 : 0.02)) : 0);
}

/** How many items the value of an expression can have. What a function makes is no longer than what it was made from. */
function sizeOf(ast: ASTNode, scope: Scope): number {
  if (ast.op === 'list') return ast.args.length;
  if (ast.op === 'value') return String(ast.args).length;
  if (ast.op === 'rcall' && (loops.has(ast.args[0]) || ast.args[0] === 'distinct')) return sizeOf(ast.args[1], scope);
  const known = knownOf(ast, scope);
  if (known?.found !== undefined) return Math.max(0, ...known.found.map(lengthOf));
  if (known?.node !== undefined) return maxSize(known.node);
  const parts = ast.op === 'id' ? [] : childrenOf(ast.args).filter((child) => child.op !== 'value' || typeof child.args === 'string');
  return parts.length === 0 ? maxBodyBytes : Math.min(maxBodyBytes, parts.reduce((sum, part) => sum + sizeOf(part, scope), 0));
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  return isFields(value) ? Object.keys(value).length : 0;
}

/** The items of a list, or the keys of a map: what a loop's variable stands for. */
function itemOf(known: Known | undefined): Known {
  const isList = known?.node?.type === 'array';
  const node = isList ? known?.node?.items : textNode;
  if (known?.found === undefined) return { node };
  return { node, found: known.found.flatMap((value): readonly unknown[] => (Array.isArray(value) ? value : isFields(value) ? Object.keys(value) : [])) };
}

/** What is known of a path from a variable. */
function knownOf(ast: ASTNode, scope: Scope): Known | undefined {
  if (ast.op === 'id') return scope.get(ast.args);
  if (ast.op === '.' || ast.op === '.?') {
    const parent = knownOf(ast.args[0], scope);
    const name = ast.args[1];
    if (parent === undefined) return undefined;
    const node = parent.node?.properties?.get(unescapeProperty(name)) ?? parent.node?.values;
    return parent.found === undefined ? { node } : { node, found: parent.found.flatMap((value) => (isFields(value) ? [value[unescapeProperty(name)]] : [])) };
  }
  if (ast.op !== '[]' && ast.op !== '[?]') return undefined;
  const parent = knownOf(ast.args[0], scope);
  if (parent === undefined) return undefined;
  const node = parent.node?.items ?? parent.node?.values;
  // Which one is only known when it runs: it may be any of them.
  return parent.found === undefined ? { node } : { node, found: parent.found.flatMap((value): readonly unknown[] => (Array.isArray(value) ? value : isFields(value) ? Object.values(value) : [])) };
}

function childrenOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : [];
}

const textNode = { type: 'string', source: { maxLength: 256 } } as unknown as SchemaNode;
