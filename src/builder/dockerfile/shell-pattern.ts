import { GantryError } from '../../kernel/mod.ts';

/** `${name#pattern}` and, greedy, `${name##pattern}`: the value without what the pattern matches at its start. */
export function trimPrefix(pattern: string, value: string, isGreedy: boolean): string {
  const match = toRegExp(pattern, isGreedy, true).exec(value);
  return match === null ? value : value.slice(match[0].length);
}

/** `${name%pattern}` and, greedy, `${name%%pattern}`. Both sides are reversed, because only leftmost matches can be shortest. */
export function trimSuffix(pattern: string, value: string, isGreedy: boolean): string {
  return reverse(trimPrefix(reversePattern(pattern), reverse(value), isGreedy));
}

/** `${name/pattern/replacement}` and, for all matches, `${name//pattern/replacement}`. */
export function replacePattern(pattern: string, replacement: string, value: string, isGlobal: boolean): string {
  const expression = toRegExp(pattern, true, false);
  return value.replace(isGlobal ? new RegExp(expression.source, 'gsu') : expression, () => replacement);
}

/** `?` and `*` of POSIX patterns, without bracket expressions (XCU 2.13). `invalid` on an escape of anything else. */
function toRegExp(pattern: string, isGreedy: boolean, isAnchored: boolean): RegExp {
  let source = isAnchored ? '^' : '';
  const characters = Array.from(pattern);
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] ?? '';
    if (character === '*') source += isGreedy ? '.*' : '.*?';
    else if (character === '?') source += '.';
    else if (character !== '\\') source += literal(character);
    else {
      const next = characters[index + 1] ?? '';
      // An escaped } or / is there for the scanner of ${…}, not for the pattern.
      if (next === '}' || next === '/') continue;
      if (!['*', '?', '\\'].includes(next)) throw new GantryError('invalid', `invalid pattern (${pattern}) in substitution: invalid escape '\\${next}'`);
      source += literal(next);
      index += 1;
    }
  }
  return new RegExp(source, 'su');
}

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function reverse(text: string): string {
  return Array.from(text).toReversed().join('');
}

/** Reversed with escapes kept before what they escape: `a\*c` becomes `c\*a`. */
function reversePattern(pattern: string): string {
  return (pattern.match(/\\[\s\S]|[\s\S]/gu) ?? []).toReversed().join('');
}
