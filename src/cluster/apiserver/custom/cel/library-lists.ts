import type { Environment } from '@marcbachmann/cel-js';
import { namedClass } from './named-class.ts';

type Ordered = bigint | number | string | boolean | Date | { valueOf(): number | bigint };

/** Kubernetes' list library and the set functions (Kubernetes CEL documentation, "Kubernetes list library", "sets"). */
export function registerLists(env: Environment): void {
  env.registerFunction('list<dyn>.isSorted(): bool', (list: readonly Ordered[]) => list.every((item, index) => index === 0 || !isLess(item, list[index - 1] ?? item)));
  env.registerFunction('list<dyn>.min(): dyn', (list: readonly Ordered[]) => best(list, 'min', isLess));
  env.registerFunction('list<dyn>.max(): dyn', (list: readonly Ordered[]) => best(list, 'max', (a, b) => isLess(b, a)));
  env.registerFunction('list<int>.sum(): int', (list: readonly bigint[]) => list.reduce((sum, item) => sum + item, 0n));
  env.registerFunction('list<double>.sum(): double', (list: readonly number[]) => list.reduce((sum, item) => sum + item, 0));
  env.registerFunction('list<dyn>.indexOf(dyn): int', (list: readonly unknown[], wanted: unknown) => BigInt(list.findIndex((item) => isSame(item, wanted))));
  env.registerFunction('list<dyn>.lastIndexOf(dyn): int', (list: readonly unknown[], wanted: unknown) => BigInt(list.findLastIndex((item) => isSame(item, wanted))));
  env.registerFunction('list<A>.slice(int, int): list<A>', (list: readonly unknown[], from: bigint, to: bigint) => {
    if (from < 0n || to > BigInt(list.length) || from > to) throw new Error(`cannot slice(${from}, ${to}) list with ${list.length} elements`);
    return list.slice(Number(from), Number(to));
  });
  env.registerFunction('list<A>.distinct(): list<A>', (list: readonly unknown[]) => list.filter((item, index) => list.findIndex((other) => isSame(item, other)) === index));
  registerSets(env);
}

function registerSets(env: Environment): void {
  const SetNamespace = namedClass('SetNamespace');
  const contains = (list: readonly unknown[], items: readonly unknown[]): boolean => items.every((item) => list.some((other) => isSame(item, other)));
  env.registerType('kubernetes.SetNamespace', { ctor: SetNamespace, fields: {} });
  env.registerConstant('sets', 'kubernetes.SetNamespace', new SetNamespace());
  env.registerFunction('kubernetes.SetNamespace.contains(list<dyn>, list<dyn>): bool', (_: unknown, list: readonly unknown[], items: readonly unknown[]) => contains(list, items));
  env.registerFunction('kubernetes.SetNamespace.equivalent(list<dyn>, list<dyn>): bool', (_: unknown, a: readonly unknown[], b: readonly unknown[]) => contains(a, b) && contains(b, a));
  env.registerFunction('kubernetes.SetNamespace.intersects(list<dyn>, list<dyn>): bool', (_: unknown, a: readonly unknown[], b: readonly unknown[]) => a.some((item) => b.some((other) => isSame(item, other))));
}

function isLess(a: Ordered, b: Ordered): boolean {
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
  return a < b;
}

function best(list: readonly Ordered[], name: string, isBetter: (a: Ordered, b: Ordered) => boolean): Ordered {
  const [first, ...rest] = list;
  if (first === undefined) throw new Error(`${name} called on empty list`);
  return rest.reduce((found, item) => (isBetter(item, found) ? item : found), first);
}

/** Deep equality of values in expressions: maps by entries, objects by fields, 1 and 1.0 are the same. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if ((typeof a === 'bigint' && typeof b === 'number') || (typeof a === 'number' && typeof b === 'bigint')) return Number(a) === Number(b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime();
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof Map) return b instanceof Map && a.size === b.size && [...a].every(([key, item]) => b.has(key) && isSame(item, b.get(key)));
  if (a.constructor !== b.constructor) return false;
  if (a.constructor.name === 'Duration') return Number(a) === Number(b);
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => Object.hasOwn(right, key) && isSame(left[key], right[key]));
}
