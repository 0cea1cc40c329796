/**
 * Whether the text matches GitHub's filter pattern ("Filter pattern cheat sheet"): `*` within a path component, `**` across them,
 * `?` and `+` repeat the character or bracket before them, `[]` one character of a set, `\` takes the next one as it is.
 */
export function matchesFilterPattern(pattern: string, text: string): boolean {
  let source = '';
  for (let index = 0; index < pattern.length; index += 1) {
    const rest = pattern.slice(index);
    const set = /^\[[^\]]*\]/.exec(rest)?.[0];
    if (rest.startsWith('**/')) {
      source += '(?:.*/)?';
      index += 2;
    } else if (rest.startsWith('**')) {
      source += '.*';
      index += 1;
    } else if (rest.startsWith('*')) source += '[^/]*';
    else if (rest.startsWith('?') || rest.startsWith('+')) source += rest[0];
    else if (set !== undefined) {
      source += set.replaceAll('\\', String.raw`\\`).replace(/^\[\^/, String.raw`[\^`);
      index += set.length - 1;
    } else {
      if (rest.startsWith('\\')) index += 1;
      source += (pattern[index] ?? '').replaceAll(/[.^${}()|[\]\\*+?]/g, String.raw`\$&`);
    }
  }
  return new RegExp(`^${source}$`, 's').test(text);
}

/** Whether the patterns together take the text: the last that matches counts, and `!` takes out. */
export function matchesFilterPatterns(patterns: readonly string[], text: string): boolean {
  let isMatch = false;
  for (const pattern of patterns) {
    const isNegative = pattern.startsWith('!');
    if (matchesFilterPattern(isNegative ? pattern.slice(1) : pattern, text)) isMatch = !isNegative;
  }
  return isMatch;
}
