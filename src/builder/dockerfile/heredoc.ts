import type { Position } from './located-text.ts';
import { expandShellWord } from './shell-word.ts';

/** A here-document of an instruction (Dockerfile reference, "Here-documents"). */
export interface Heredoc {
  readonly name: string;
  /** Variables in the content are expanded by COPY and ADD: the name was not quoted. */
  readonly isExpanded: boolean;
  /** `<<-`: leading tabs are removed from the lines. */
  readonly isChomped: boolean;
  /** As it stands in the file, up to the line of the terminator. */
  readonly content: string;
  /** Of the content's first line. */
  readonly position: Position;
}

export type HeredocMark = Omit<Heredoc, 'content' | 'position'>;

const markPattern = /^\d*<<(-?)\s*([^<]*)$/;
const noVariables = (): undefined => undefined;

/** The here-document that a word announces (`<<EOF`, `<<-"EOF"`, `3<<EOF`), or undefined when it is an ordinary word. */
export function parseHeredocMark(word: string): HeredocMark | undefined {
  const match = markPattern.exec(word);
  const rest = match?.[2] ?? '';
  if (match === null || rest === '') return undefined;
  const plain = expandShellWord(rest, noVariables, { escape: '\\', keepsUnset: true }).words;
  const [name] = plain;
  if (plain.length !== 1 || name === undefined) return undefined;
  const [raw] = expandShellWord(rest, noVariables, { escape: '\\', keepsUnset: true, rawQuotes: true }).words;
  return { name, isExpanded: countQuotes(name) === countQuotes(raw ?? ''), isChomped: match[1] === '-' };
}

/** The here-documents that an instruction line announces, in order. Text that is no shell word has none. */
export function findHeredocMarks(line: string): HeredocMark[] {
  try {
    const { words } = expandShellWord(line, noVariables, { escape: '\\', keepsUnset: true, rawQuotes: true, rawEscapes: true });
    return words.flatMap((word) => parseHeredocMark(word) ?? []);
  } catch {
    return [];
  }
}

/** The content as the instruction sees it: `<<-` removes leading tabs. */
export function heredocText(heredoc: Heredoc): string {
  return heredoc.isChomped ? heredoc.content.replace(/^\t+/gm, '') : heredoc.content;
}

function countQuotes(text: string): number {
  return text.match(/['"]/g)?.length ?? 0;
}
