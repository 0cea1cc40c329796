import { GantryError } from '../kernel/mod.ts';

/**
 * A pattern of .dockerignore and `--exclude` as an expression over whole slash-separated paths: Go's `filepath.Match`
 * (`*` and `?` stay within a name, `[a-z]` and `[^a-z]`, `\` escapes) and `**` for any number of folders. `invalid` when malformed.
 */
export function toPathExpression(pattern: string): RegExp {
  const fail = (why: string): never => {
    throw new GantryError('invalid', `malformed pattern ${JSON.stringify(pattern)}: ${why}`);
  };
  const characters = Array.from(pattern);
  let source = '^';
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    if (character === '*' && characters[at + 1] === '*') {
      while (characters[at + 1] === '*') at += 1;
      if (characters[at + 1] === '/') at += 1;
      source += at + 1 >= characters.length ? '.*' : '(?:.*/)?';
    } else if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else if (character === '\\') {
      at += 1;
      const escaped = characters[at] ?? fail('it ends with an escape character');
      source += literal(escaped);
    } else if (character === '[') {
      const set = readSet(characters, at + 1) ?? fail('a character set has no end');
      source += set.source;
      at = set.end;
    } else source += literal(character);
  }
  return new RegExp(`${source}$`, 'su');
}

function readSet(characters: readonly string[], from: number): { source: string; end: number } | undefined {
  let at = from;
  const isNegated = characters[at] === '^';
  if (isNegated) at += 1;
  const ranges: string[] = [];
  for (;;) {
    const low = readSetCharacter(characters, at);
    if (low === undefined) return undefined;
    at = low.end;
    let high = low;
    if (characters[at] === '-' && characters[at + 1] !== ']') {
      const end = readSetCharacter(characters, at + 1);
      if (end === undefined) return undefined;
      high = end;
      at = end.end;
    }
    // A range that runs backwards matches nothing.
    if (low.text <= high.text) ranges.push(`${setLiteral(low.text)}-${setLiteral(high.text)}`);
    if (characters[at] === ']') break;
    if (at >= characters.length) return undefined;
  }
  const body = ranges.join('');
  const source = isNegated ? `[^${body}/]` : body === '' ? '[]' : `(?!/)[${body}]`;
  return { source, end: at };
}

function readSetCharacter(characters: readonly string[], at: number): { text: string; end: number } | undefined {
  const character = characters[at];
  if (character === undefined || character === ']' || character === '-') return undefined;
  if (character !== '\\') return { text: character, end: at + 1 };
  const escaped = characters[at + 1];
  return escaped === undefined ? undefined : { text: escaped, end: at + 2 };
}

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function setLiteral(character: string): string {
  return /[\\\]^[-]/.test(character) ? `\\${character}` : character;
}
