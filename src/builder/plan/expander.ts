import { isError } from '../../kernel/mod.ts';
import type { Word } from '../dockerfile/instruction.ts';
import { type EscapeCharacter, type ExpandedWord, expandShellWord, type ShellWordOptions, type Variables } from '../dockerfile/shell-word.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';

/** Is told the variables that a word refers to and that are not set. */
export type OnUnset = (word: Word, names: ReadonlySet<string>) => void;

/** Expands words of one instruction; problems are reported at the word. */
export class Expander {
  readonly #source: SourceFile;
  readonly #escape: EscapeCharacter;
  readonly #variables: Variables;
  readonly #onUnset: OnUnset;

  constructor(source: SourceFile, escape: EscapeCharacter, variables: ReadonlyMap<string, string>, onUnset: OnUnset = () => undefined) {
    this.#source = source;
    this.#escape = escape;
    this.#variables = (name) => variables.get(name);
    this.#onUnset = onUnset;
  }

  word(word: Word): string {
    return this.#at(word, () => this.#expand(word, { escape: this.#escape }).text);
  }

  /** The word may become several: EXPOSE. */
  words(word: Word): readonly string[] {
    return this.#at(word, () => expandShellWord(word.text, this.#variables, { escape: this.#escape }).words);
  }

  /** The content of a here-document: variables are expanded, quotes are ordinary characters. */
  content(word: Word): string {
    return this.#at(word, () => this.#expand(word, { escape: '\\', ignoresQuotes: true }).text);
  }

  /** What RUN lines are shown as: set variables replaced, quotes kept. */
  shown(text: string): string {
    try {
      return expandShellWord(text, this.#variables, { escape: this.#escape, rawQuotes: true, keepsUnset: true }).text;
    } catch {
      return text;
    }
  }

  fail(word: Word, message: string, code: 'invalid' | 'unsupported' | 'not-found' = 'invalid'): never {
    throw this.#source.errorAt(word.position, message, code);
  }

  #expand(word: Word, options: ShellWordOptions): ExpandedWord {
    const expanded = expandShellWord(word.text, this.#variables, options);
    if (expanded.unset.size > 0) this.#onUnset(word, expanded.unset);
    return expanded;
  }

  #at<T>(word: Word, expand: () => T): T {
    try {
      return expand();
    } catch (error) {
      if (isError(error, 'invalid') && error.places.length === 0) throw this.#source.errorAt(word.position, error.message);
      throw error;
    }
  }
}
