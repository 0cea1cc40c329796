import { GantryError } from '../../kernel/mod.ts';
import type { LocatedText } from './located-text.ts';
import type { EscapeCharacter } from './shell-word.ts';

/** A `--name=value` in front of an instruction's arguments, quotes and escapes removed. */
export interface RawFlag {
  readonly text: string;
  /** Offset in the text it was split from. */
  readonly offset: number;
}

/** What a flag takes: nothing or true/false, one value, or a value each time it is given. */
export type FlagType = 'boolean' | 'value' | 'values';

/** Splits leading `--…` words off; `--` alone ends them. The rest is returned with its offset. */
export function splitFlags(args: LocatedText, escape: EscapeCharacter): { flags: RawFlag[]; rest: LocatedText } {
  const { text } = args;
  const flags: RawFlag[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text.charAt(at))) at += 1;
    if (!text.startsWith('--', at)) return { flags, rest: args.slice(at).trim() };
    const offset = at;
    const word = readFlag(text, at, escape);
    at = word.end;
    if (word.text === '--') return { flags, rest: args.slice(at).trim() };
    flags.push({ text: word.text, offset });
  }
}

function readFlag(text: string, from: number, escape: EscapeCharacter): { text: string; end: number } {
  let word = '';
  let quote = '';
  let at = from;
  for (; at < text.length; at += 1) {
    let character = text.charAt(at);
    if (quote === '' && /\s/.test(character)) break;
    if (quote === '' && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = '';
    else {
      if (character === escape) {
        at += 1;
        character = text.charAt(at);
      }
      word += character;
    }
  }
  return { text: word, end: at };
}

export interface FlagValue {
  readonly value: string;
  readonly offset: number;
}

/** The flags of one instruction by name, checked against its table. Throws `invalid` with `details.offset` on the first that is wrong. */
export function readFlags(flags: readonly RawFlag[], table: Readonly<Record<string, FlagType>>): Map<string, FlagValue[]> {
  const found = new Map<string, FlagValue[]>();
  for (const { text, offset } of flags) {
    const [name, value] = splitOnce(text.slice(2), '=');
    const fail = (message: string): never => {
      throw new GantryError('invalid', message, { details: { offset } });
    };
    const type = Object.hasOwn(table, name) ? table[name] : undefined;
    if (type === undefined) {
      const known = Object.keys(table).map((flag) => `--${flag}`).join(', ');
      fail(`unknown flag --${name}${known === '' ? '; the instruction has none' : `; known are ${known}`}`);
    }
    if (type !== 'boolean' && value === undefined) fail(`the flag --${name} needs a value`);
    if (type === 'boolean' && value !== undefined && !/^(?:true|false)$/i.test(value)) fail(`the flag --${name} is true or false, not ${JSON.stringify(value)}`);
    if (type !== 'values' && found.has(name)) fail(`the flag --${name} stands twice`);
    found.set(name, [...(found.get(name) ?? []), { value: value ?? 'true', offset }]);
  }
  return found;
}

/** At the first separator; the second part is undefined when there is none. */
export function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
