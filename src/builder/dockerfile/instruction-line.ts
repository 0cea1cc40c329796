import { GantryError } from '../../kernel/mod.ts';
import { type FlagType, type FlagValue, type RawFlag, readFlags, splitFlags } from './flags.ts';
import type { Heredoc } from './heredoc.ts';
import type { CommandLine, InstructionBase, Word } from './instruction.ts';
import type { LogicalLine } from './lexer.ts';
import type { LocatedText, Position } from './located-text.ts';
import { splitQuotedWords } from './quoted-words.ts';
import type { EscapeCharacter } from './shell-word.ts';

/** A logical line split into keyword, flags and arguments: what an instruction's parser reads from. */
export class InstructionLine {
  /** Upper case. */
  readonly keyword: string;
  readonly #keyword: string;
  readonly position: Position;
  readonly args: LocatedText;
  readonly heredocs: readonly Heredoc[];
  readonly escape: EscapeCharacter;
  readonly #line: LogicalLine;
  readonly #flagSource: LocatedText;
  readonly #rawFlags: readonly RawFlag[];
  #flags = new Map<string, FlagValue[]>();

  constructor(line: LogicalLine, escape: EscapeCharacter) {
    const text = line.text.trim();
    const end = /[\t\v\f\r ]/.exec(text.text)?.index ?? text.text.length;
    this.#line = line;
    this.#keyword = text.text.slice(0, end);
    this.keyword = this.#keyword.toUpperCase();
    this.position = text.positionAt(0);
    this.#flagSource = text.slice(end);
    const { flags, rest } = splitFlags(this.#flagSource, escape);
    this.#rawFlags = flags;
    this.args = rest;
    this.heredocs = line.heredocs;
    this.escape = escape;
  }

  get base(): InstructionBase {
    const { lastLine, comments, text } = this.#line;
    return { position: this.position, lastLine, keyword: this.#keyword, comments, text: text.text.trim() };
  }

  /** Checks the flags against the instruction's own. Called once by each parser, with `{}` when it has none. */
  allowFlags(table: Readonly<Record<string, FlagType>>): void {
    try {
      this.#flags = readFlags(this.#rawFlags, table);
    } catch (error) {
      if (error instanceof GantryError && typeof error.details['offset'] === 'number') this.failAt(this.#flagSource.positionAt(error.details['offset']), error.message);
      throw error;
    }
  }

  flag(name: string): Word | undefined {
    return this.flagValues(name)[0];
  }

  flagValues(name: string): Word[] {
    return (this.#flags.get(name) ?? []).map(({ value, offset }) => ({ text: value, position: this.#flagSource.positionAt(offset) }));
  }

  isFlagSet(name: string): boolean {
    return this.flag(name)?.text.toLowerCase() === 'true';
  }

  /** The arguments split at white space. */
  words(): Word[] {
    return this.args.words().map(({ text, offset }) => ({ text, position: this.args.positionAt(offset) }));
  }

  /** The arguments split at white space outside quotes, quotes kept. */
  quotedWords(): Word[] {
    return splitQuotedWords(this.args.text, this.escape).map(({ text, offset }) => ({ text, position: this.args.positionAt(offset) }));
  }

  /** A JSON list of strings, or the words. A list of something else is an error, text that is no JSON is words. */
  listOrWords(): Word[] {
    return this.#json(this.args)?.map((text) => ({ text, position: this.args.positionAt(0) })) ?? this.words();
  }

  /** The list when `args` is a JSON list, else undefined. */
  jsonList(args: LocatedText = this.args): string[] | undefined {
    return this.#json(args);
  }

  command(args: LocatedText = this.args): CommandLine {
    const list = this.#json(args);
    return list === undefined ? { form: 'shell', text: args.text } : { form: 'exec', args: list };
  }

  exactlyOne(): Word {
    if (this.args.text === '') this.fail(`${this.keyword} needs exactly one argument`);
    return { text: this.args.text, position: this.args.positionAt(0) };
  }

  /** `invalid` at the instruction itself. */
  fail(message: string): never {
    this.failAt(this.position, message);
  }

  failAt(position: Position, message: string): never {
    throw new GantryError('invalid', message, { places: [{ message, line: position.line, column: position.column }] });
  }

  #json(args: LocatedText): string[] | undefined {
    if (!args.text.startsWith('[')) return undefined;
    let list: unknown;
    try {
      list = JSON.parse(args.text);
    } catch {
      return undefined;
    }
    if (!Array.isArray(list)) return undefined;
    if (!list.every((item) => typeof item === 'string')) this.failAt(args.positionAt(0), 'the JSON form is a list of strings only');
    return list;
  }
}
