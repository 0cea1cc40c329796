import { parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { FromInstruction, Word } from '../dockerfile/instruction.ts';
import { nearest } from '../dockerfile/nearest.ts';
import type { Dockerfile } from '../dockerfile/parse.ts';
import { expandShellWord } from '../dockerfile/shell-word.ts';
import type { Linter, ReportLint } from './linter.ts';

export interface BaseVariables {
  /** ARGs before the first FROM, with what was given for them, and the platform's. */
  readonly given: ReadonlyMap<string, string>;
  /** The same when no build argument is given. */
  readonly defaults: ReadonlyMap<string, string>;
}

/** The rules of FROM lines: what their variables are, and whether they need them. */
export function lintBases(dockerfile: Dockerfile, variables: BaseVariables, linter: Linter): void {
  const declared = new Set([...variables.given.keys(), ...dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name.text))]);
  for (const { from } of dockerfile.stages) {
    const report = linter.reporter(from.comments);
    const undeclared = (word: Word): void => {
      for (const name of expand(word, variables.given).unset) {
        if (declared.has(name)) continue;
        const guess = nearest(name, [...declared]);
        report('UndefinedArgInFrom', word.position, `FROM argument '${name}' is not declared${guess === undefined ? '' : ` (did you mean ${guess}?)`}`);
      }
    };
    undeclared(from.base);
    if (!isImageReference(expand(from.base, variables.defaults).text)) report('InvalidDefaultArgInFrom', from.base.position, `Default value for ARG ${from.base.text} results in empty or invalid base image name`);
    if (from.platform === undefined) continue;
    undeclared(from.platform);
    lintPlatform(from, from.platform, variables.given, report);
  }
}

function lintPlatform(from: FromInstruction, word: Word, given: ReadonlyMap<string, string>, report: ReportLint): void {
  const used = new Set<string>();
  const { text, unset } = expand(word, given, used);
  const target = given.get('TARGETPLATFORM');
  if (used.size === 1 && unset.size === 0 && used.has('TARGETPLATFORM') && text === target) report('RedundantTargetPlatform', word.position, `Setting platform to predefined ${word.text} in FROM is redundant as this is the default behavior`);
  const [os = '', architecture = ''] = text.split('/');
  const name = from.name ?? '';
  if (used.size + unset.size > 0 || architecture === '' || name.includes(os) || name.includes(architecture)) return;
  report('FromPlatformFlagConstDisallowed', word.position, `FROM --platform flag should not use constant value ${JSON.stringify(text)}`);
}

function isImageReference(text: string): boolean {
  try {
    parseImageReference(text);
    return true;
  } catch (error) {
    if (isError(error, 'invalid')) return false;
    throw error;
  }
}

/** A malformed word is an error of the plan, not of these rules. */
function expand(word: Word, variables: ReadonlyMap<string, string>, used: Set<string> = new Set()): { text: string; unset: ReadonlySet<string> } {
  const lookUp = (name: string): string | undefined => {
    if (variables.has(name)) used.add(name);
    return variables.get(name);
  };
  try {
    return expandShellWord(word.text, lookUp, { escape: '\\' });
  } catch (error) {
    if (isError(error, 'invalid')) return { text: word.text, unset: new Set() };
    throw error;
  }
}
