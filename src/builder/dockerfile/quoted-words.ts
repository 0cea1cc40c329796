import type { EscapeCharacter } from './shell-word.ts';

export interface QuotedWord {
  readonly text: string;
  readonly offset: number;
}

/** Splits at white space outside quotes; quotes and escapes stay in the words (they are removed when the words are expanded). */
export function splitQuotedWords(text: string, escape: EscapeCharacter): QuotedWord[] {
  const words: QuotedWord[] = [];
  let word = '';
  let start = -1;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (quote === '' && /\s/.test(character)) {
      if (start >= 0) words.push({ text: word, offset: start });
      word = '';
      start = -1;
      continue;
    }
    if (start < 0) start = at;
    if (character === escape && quote !== "'") {
      // An escape character at the very end stands for nothing.
      if (at + 1 === text.length) break;
      word += character + text.charAt(at + 1);
      at += 1;
      continue;
    }
    if (quote === '' && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = '';
    word += character;
  }
  if (start >= 0 && word !== '') words.push({ text: word, offset: start });
  return words;
}
