import { GantryError } from '../../kernel/mod.ts';
import { replacePattern, trimPrefix, trimSuffix } from './shell-pattern.ts';

export type EscapeCharacter = '\\' | '`';

/** The value of a variable, or undefined when it is not set. */
export type Variables = (name: string) => string | undefined;

export interface ShellWordOptions {
  readonly escape: EscapeCharacter;
  /** Keep quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keep escape characters in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are ordinary characters (contents of heredocs). */
  readonly ignoresQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  readonly keepsUnset?: boolean;
}

export interface ExpandedWord {
  readonly text: string;
  /** The text split at unquoted white space, after expansion. */
  readonly words: readonly string[];
  /** Names that were referred to and are not set. */
  readonly unset: ReadonlySet<string>;
}

/**
 * Removes quotes and escapes and expands `$name` and `${name…}` as Dockerfiles do (Dockerfile reference, "Environment replacement"):
 * the modifiers are `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`. `invalid` on malformed references and failed `?`.
 */
export function expandShellWord(source: string, variables: Variables, options: ShellWordOptions): ExpandedWord {
  const scan = new ShellWordScan(source, variables, options);
  const { text, words } = scan.until(undefined, options.rawEscapes ?? false);
  return { text, words, unset: scan.unset };
}

/** White space and specials as POSIX shells read them; one scan per word. */
class ShellWordScan {
  readonly unset = new Set<string>();
  readonly #source: string;
  readonly #variables: Variables;
  readonly #options: ShellWordOptions;
  #at = 0;

  constructor(source: string, variables: Variables, options: ShellWordOptions) {
    this.#source = source;
    this.#variables = variables;
    this.#options = options;
  }

  until(stop: string | undefined, rawEscapes: boolean): { text: string; words: string[] } {
    const words = new WordList();
    let text = '';
    while (this.#at < this.#source.length) {
      const character = this.#peek();
      if (character === stop) {
        this.#next();
        return { text, words: words.finish() };
      }
      if (character === '$') {
        const value = this.#dollar();
        text += value;
        words.addSplitting(value);
      } else if (this.#isQuote(character)) {
        const value = character === "'" ? this.#singleQuoted() : this.#doubleQuoted(rawEscapes);
        text += value;
        words.addWhole(value);
      } else if (character === '<') {
        const value = this.#heredocMark();
        text += value;
        words.addWhole(value);
      } else if (character === this.#options.escape) {
        const value = this.#escaped(rawEscapes);
        text += value;
        if (value !== '') words.addWhole(value);
      } else {
        this.#next();
        text += character;
        words.addSplitting(character);
      }
    }
    if (stop !== undefined) fail(`unexpected end of the text while looking for ${stop}`);
    return { text, words: words.finish() };
  }

  #isQuote(character: string): boolean {
    return this.#options.ignoresQuotes !== true && (character === "'" || character === '"');
  }

  #escaped(rawEscapes: boolean): string {
    const escape = this.#next();
    const kept = rawEscapes ? escape : '';
    return this.#at < this.#source.length ? kept + this.#next() : kept;
  }

  #singleQuoted(): string {
    const quote = this.#next();
    const end = this.#source.indexOf("'", this.#at);
    if (end < 0) fail("unexpected end of the text while looking for the closing single quote (')");
    const text = this.#source.slice(this.#at, end);
    this.#at = end + 1;
    return this.#options.rawQuotes === true ? `${quote}${text}${quote}` : text;
  }

  #doubleQuoted(rawEscapes: boolean): string {
    const quote = this.#next();
    let text = this.#options.rawQuotes === true ? quote : '';
    for (;;) {
      if (this.#at >= this.#source.length) fail('unexpected end of the text while looking for the closing double quote (")');
      const character = this.#peek();
      if (character === '"') {
        this.#next();
        return this.#options.rawQuotes === true ? text + quote : text;
      }
      if (character === '$') text += this.#dollar();
      else if (character === this.#options.escape) text += this.#escapedInQuotes(rawEscapes);
      else text += this.#next();
    }
  }

  /** Inside double quotes only the quote, the dollar and the escape character itself can be escaped. */
  #escapedInQuotes(rawEscapes: boolean): string {
    const escape = this.#next();
    const kept = rawEscapes ? escape : '';
    if (this.#at >= this.#source.length) return kept;
    const character = this.#peek();
    if (character === '"' || character === '$' || character === escape) return kept + this.#next();
    return kept + escape;
  }

  /** `<<` and the white space after it stay together, so that a heredoc's name is part of its word. */
  #heredocMark(): string {
    this.#next();
    if (this.#peek() !== '<') return '<';
    this.#next();
    const start = this.#at;
    while (/[\t\r ]/.test(this.#peek())) this.#next();
    return `<<${this.#source.slice(start, this.#at)}`;
  }

  #dollar(): string {
    this.#next();
    if (this.#peek() !== '{') {
      const name = this.#name();
      if (name === '') return '$';
      return this.#value(name) ?? (this.#options.keepsUnset === true ? `$${name}` : '');
    }
    this.#next();
    if (this.#at >= this.#source.length) fail("the closing '}' is missing");
    if (['{', '}', ':'].includes(this.#peek())) fail('bad substitution');
    const name = this.#name();
    return this.#modified(name);
  }

  #modified(name: string): string {
    let modifier = this.#next();
    if (modifier === '}') return this.#value(name) ?? (this.#options.keepsUnset === true ? `\${${name}}` : '');
    if (modifier === '/') return this.#replaced(name);
    const treatsEmptyAsUnset = modifier === ':';
    if (treatsEmptyAsUnset) modifier = this.#next();
    const mark = `${treatsEmptyAsUnset ? ':' : ''}${modifier}`;
    const isTrim = modifier === '#' || modifier === '%';
    if (!['+', '-', '?', '#', '%'].includes(modifier) || (treatsEmptyAsUnset && isTrim)) {
      fail(mark === '' ? "the closing '}' is missing" : `unsupported modifier (${mark}) in substitution`);
    }
    const { text: word } = this.#closing('}', isTrim);
    const value = this.#value(name);
    if (value === undefined && this.#options.keepsUnset === true) return `\${${name}${mark}${word}}`;
    const isMissing = value === undefined || (treatsEmptyAsUnset && value === '');
    if (modifier === '-') return isMissing ? word : value;
    if (modifier === '+') return isMissing ? '' : word;
    if (modifier === '?') {
      if (!isMissing) return value;
      return fail(`${name}: ${word === '' ? `is not allowed to be ${value === undefined ? 'unset' : 'empty'}` : word}`);
    }
    const isGreedy = word.startsWith(modifier);
    const pattern = isGreedy ? word.slice(1) : word;
    return modifier === '%' ? trimSuffix(pattern, value ?? '', isGreedy) : trimPrefix(pattern, value ?? '', isGreedy);
  }

  #replaced(name: string): string {
    const isGlobal = this.#peek() === '/';
    if (isGlobal) this.#next();
    const { text: pattern } = this.#closing('/', true);
    const { text: replacement } = this.#closing('}', true);
    const value = this.#value(name);
    if (value === undefined && this.#options.keepsUnset === true) return `\${${name}/${isGlobal ? '/' : ''}${pattern}/${replacement}}`;
    return replacePattern(pattern, replacement, value ?? '', isGlobal);
  }

  #closing(stop: string, rawEscapes: boolean): { text: string } {
    if (this.#at >= this.#source.length) fail(`the closing '${stop}' is missing`);
    return this.until(stop, rawEscapes);
  }

  #name(): string {
    const match = /^(?:\d+|[@*#?\-$!]|[\p{L}_][\p{L}\p{Nd}_]*)/u.exec(this.#source.slice(this.#at, this.#at + 512));
    const name = match?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  #value(name: string): string | undefined {
    const value = this.#variables(name);
    if (value === undefined) this.unset.add(name);
    return value;
  }

  #peek(): string {
    const code = this.#source.codePointAt(this.#at);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  #next(): string {
    const character = this.#peek();
    this.#at += character.length;
    return character;
  }
}

class WordList {
  readonly #words: string[] = [];
  #current = '';

  addSplitting(text: string): void {
    for (const character of text) {
      if (!/\s/.test(character)) this.#current += character;
      else this.#flush();
    }
  }

  addWhole(text: string): void {
    this.#current += text;
  }

  finish(): string[] {
    this.#flush();
    return this.#words;
  }

  #flush(): void {
    if (this.#current !== '') this.#words.push(this.#current);
    this.#current = '';
  }
}

function fail(message: string): never {
  throw new GantryError('invalid', message);
}
