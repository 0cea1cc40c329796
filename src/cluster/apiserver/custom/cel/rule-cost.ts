import type { ASTNode } from '@marcbachmann/cel-js';
import type { SchemaNode } from '../../../../api/mod.ts';
import { maxBodyBytes } from '../../requests/body.ts';

/** What one evaluation of a rule may cost at worst, in steps: Kubernetes' limit for one expression. */
export const maxRuleCost = 10_000_000;

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

/** The variables of an expression with the nodes their values have; undefined: nothing is known. */
type Scope = ReadonlyMap<string, SchemaNode | undefined>;

/** The worst cost of one evaluation: every step of every loop over the largest values the schema allows. */
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
  const node = nodeOf(receiver, scope);
  const [variable, ...bodies] = given;
  if (loops.has(name) && variable?.op === 'id') {
    const inner = new Map([...scope, [variable.args, node?.type === 'array' ? node.items : textNode]]);
    return own + sizeOf(receiver, scope) * bodies.reduce((sum, body) => sum + estimateCost(body, inner), 1);
  }
  const inputs = given.reduce((sum, argument) => sum + estimateCost(argument, scope), 0);
  return own + inputs + 1 + (readers.has(name) ? Math.ceil(sizeOf(receiver, scope) * (name === 'matches' || name === 'find' || name === 'findAll' ? 0.1 : 0.02)) : 0);
}

/** How many items the value of an expression can have. What a loop makes is no longer than what it ran over. */
function sizeOf(ast: ASTNode, scope: Scope): number {
  if (ast.op === 'list') return ast.args.length;
  if (ast.op === 'value') return String(ast.args).length;
  if (ast.op === 'rcall' && (loops.has(ast.args[0]) || ast.args[0] === 'distinct')) return sizeOf(ast.args[1], scope);
  const node = nodeOf(ast, scope);
  return node === undefined ? maxBodyBytes : maxSize(node);
}

/** The schema node of a path from a variable. */
function nodeOf(ast: ASTNode, scope: Scope): SchemaNode | undefined {
  if (ast.op === 'id') return scope.get(ast.args);
  if (ast.op === '.' || ast.op === '.?') {
    const parent = nodeOf(ast.args[0], scope);
    return parent?.properties?.get(ast.args[1]) ?? parent?.values;
  }
  if (ast.op !== '[]' && ast.op !== '[?]') return undefined;
  const parent = nodeOf(ast.args[0], scope);
  return parent?.items ?? parent?.values;
}

function childrenOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : [];
}

const textNode = { type: 'string', source: { maxLength: 256 } } as unknown as SchemaNode;
