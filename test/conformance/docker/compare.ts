import { isDeepStrictEqual } from 'node:util';
import { type Explanation, explanations, machineDependent } from './differences.ts';
import type { Plain } from './normalize.ts';

/** One field in which two answers differ. `path` has the case first: `inspect/HostConfig/Memory`. Undefined: the field is not there. */
export interface Difference { readonly path: string; readonly ours: Plain | undefined; readonly theirs: Plain | undefined }

/** All differences, field by field. Lists are compared entry by entry. */
export function differencesOf(ours: Plain | undefined, theirs: Plain | undefined, path: string): Difference[] {
  if (isObject(ours) && isObject(theirs)) {
    const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
    return keys.flatMap((key) => differencesOf(ours[key], theirs[key], `${path}/${key.replaceAll('/', '|')}`));
  }
  if (Array.isArray(ours) && Array.isArray(theirs) && ours.length === theirs.length) return ours.flatMap((entry, at) => differencesOf(entry, theirs[at], `${path}/${at}`));
  return isDeepStrictEqual(ours, theirs) ? [] : [{ path, ours, theirs }];
}

/** The differences that no explanation covers, and the explanations that cover one of these. What depends on the machine is left out. */
export function explain(differences: readonly Difference[]): { unexplained: Difference[]; used: ReadonlySet<Explanation> } {
  const used = new Set<Explanation>();
  const unexplained = differences.filter(({ path }) => {
    if (machineDependent.some(({ where }) => covers(where, path))) return false;
    const found = explanations.filter(({ where }) => covers(where, path));
    for (const explanation of found) used.add(explanation);
    return found.length === 0;
  });
  return { unexplained, used };
}

/** `*` is one part of a path, a leading or inner `**` any number of them; what is below a covered path is covered. */
export function covers(patterns: string | readonly string[], path: string): boolean {
  return [patterns].flat().some((pattern) => {
    const expression = pattern.split('/').map((part) => (part === '**' ? '(?:[^/]+/)*' : `${part.split('*').map(escaped).join('[^/]*')}/`)).join('');
    return new RegExp(`^${expression}`).test(`${path}/`);
  });
}

function escaped(text: string): string {
  return text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
}

function isObject(value: Plain | undefined): value is { [key: string]: Plain } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
