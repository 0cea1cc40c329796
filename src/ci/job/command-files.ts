import { GantryError } from '../../kernel/mod.ts';

/** Parses what a step wrote to `$GITHUB_OUTPUT` or `$GITHUB_ENV`: `name=value` lines and `name<<DELIMITER` blocks. `invalid` names the line. */
export function parseCommandFile(text: string, what: string): [name: string, value: string][] {
  const lines = text.split(/\r?\n/);
  const entries: [string, string][] = [];
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (line === '') continue;
    const [equals, heredoc] = [line.indexOf('='), line.indexOf('<<')];
    if (heredoc > 0 && (equals < 0 || heredoc < equals)) {
      const delimiter = line.slice(heredoc + 2);
      const end = lines.indexOf(delimiter, index + 1);
      if (delimiter === '' || end < 0) throw new GantryError('invalid', `${what}, line ${index + 1}: the block is not closed by its delimiter`);
      entries.push([line.slice(0, heredoc), lines.slice(index + 1, end).join('\n')]);
      index = end;
    } else if (equals > 0) entries.push([line.slice(0, equals), line.slice(equals + 1)]);
    else throw new GantryError('invalid', `${what}, line ${index + 1}: expected name=value or name<<DELIMITER`);
  }
  return entries;
}

/** Variables that a step may not set through `$GITHUB_ENV`. */
export function isReservedVariable(name: string): boolean {
  return name.startsWith('GITHUB_') || name.startsWith('RUNNER_') || name === 'NODE_OPTIONS' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}
