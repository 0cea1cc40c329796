import { posix } from 'node:path';
import { GantryError, isError } from '../kernel/mod.ts';
import { toPathExpression } from './path-pattern.ts';

interface Rule {
  readonly expression: RegExp;
  readonly isException: boolean;
}

/** Which paths of a tree are left out: the last rule that matches a path or one of its folders decides. */
export class IgnoreRules {
  static readonly none = new IgnoreRules([], false);
  readonly #rules: readonly Rule[];
  /** A rule leaves out whatever the root has. */
  readonly ignoresEverything: boolean;
  readonly #hasExceptions: boolean;

  constructor(rules: readonly Rule[], ignoresEverything: boolean) {
    this.#rules = rules;
    this.ignoresEverything = ignoresEverything;
    this.#hasExceptions = rules.some(({ isException }) => isException);
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** `path`: relative, slash-separated, clean. */
  isIgnored(path: string): boolean {
    let isIgnored = false;
    for (const rule of this.#rules) {
      // A rule that cannot change the verdict is not asked.
      if (rule.isException === isIgnored && matchesPathOrParent(rule.expression, path)) isIgnored = !rule.isException;
    }
    return isIgnored;
  }

  /** Whether nothing below an ignored folder can be taken in again, so that it need not be read. */
  get canSkipFolders(): boolean {
    return !this.#hasExceptions;
  }
}

function matchesPathOrParent(expression: RegExp, path: string): boolean {
  if (expression.test(path)) return true;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) if (expression.test(path.slice(0, at))) return true;
  return false;
}

/** Rules from patterns in order; `!` makes an exception. `where` names the pattern in errors. */
export function compileIgnoreRules(patterns: readonly { text: string; where: string }[]): IgnoreRules {
  let ignoresEverything = false;
  const rules = patterns.flatMap(({ text, where }): Rule[] => {
    const isException = text.startsWith('!');
    const pattern = (isException ? text.slice(1) : text).trim();
    if (pattern === '' && !isException) return [];
    if (pattern === '') throw new GantryError('invalid', `${where}: ! needs a pattern after it`);
    const cleaned = posix.normalize(pattern).replace(/^\/(?=.)/, '').replace(/(?<=.)\/$/, '');
    ignoresEverything ||= !isException && ['*', '**', '**/*'].includes(cleaned);
    try {
      return [{ expression: toPathExpression(cleaned), isException }];
    } catch (error) {
      if (isError(error, 'invalid')) throw new GantryError('invalid', `${where}: ${error.message}`, { cause: error });
      throw error;
    }
  });
  return new IgnoreRules(rules, ignoresEverything);
}

/** A .dockerignore file: one pattern a line, `#` in the first column is a comment. */
export function parseIgnoreFile(text: string, fileName: string): IgnoreRules {
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  const patterns = lines.map((line, index) => ({ text: line.startsWith('#') ? '' : line.trim(), where: `${fileName}:${index + 1}` }));
  return compileIgnoreRules(patterns);
}
