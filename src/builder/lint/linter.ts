import type { ErrorPlace } from '../../kernel/mod.ts';
import type { Position } from '../dockerfile/located-text.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import { type CheckOptions, withComments } from './check-options.ts';
import { type LintRule, type LintRuleName, lintRules } from './rules.ts';

/** Says that a rule is broken at a place of the instruction that is being looked at. */
export type ReportLint = (rule: LintRuleName, position: Position, message: string) => void;

/** Collects broken rules of one Dockerfile, without those that its directives and comments skip. */
export class Linter {
  readonly #source: SourceFile;
  readonly #options: CheckOptions;
  readonly #found = new Map<string, ErrorPlace>();

  constructor(source: SourceFile, options: CheckOptions) {
    this.#source = source;
    this.#options = options;
  }

  /** What was found, in file order; `reason` is the rule. */
  get warnings(): readonly ErrorPlace[] {
    return [...this.#found.values()].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  }

  /** Whether the build must fail for what was found. */
  get isViolated(): boolean {
    return this.#options.isError && this.#found.size > 0;
  }

  /** For one instruction: the comments above it may skip rules. `source`: another file (triggers of a base image). */
  reporter(comments: readonly string[], source: SourceFile = this.#source): ReportLint {
    const options = withComments(this.#options, comments);
    return (rule, position, message) => {
      const { isExperimental }: LintRule = lintRules[rule];
      const isOn = isExperimental === true ? has(options.experimental, rule) : !has(options.skip, rule);
      if (!isOn) return;
      const place = source.place(position, message, rule);
      this.#found.set(JSON.stringify([place.file, place.line, place.column, rule, message]), place);
    };
  }
}

function has(rules: CheckOptions['skip'], rule: string): boolean {
  return rules === 'all' || rules.has(rule);
}
