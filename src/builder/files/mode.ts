/** What is wrong with a `--chmod` value; undefined when it is fine: octal up to 7777, or symbolic as chmod(1) (`u=rwX,go=rX`). */
export function checkMode(text: string): string | undefined {
  if (/^\d+$/.test(text)) return /^0*[0-7]{1,4}$/.test(text) ? undefined : `invalid mode ${JSON.stringify(text)}: it is octal, between 0 and 07777`;
  const isSymbolic = text.split(',').every((clause) => /^[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+$/.test(clause));
  return isSymbolic ? undefined : `invalid mode ${JSON.stringify(text)}: it is octal, or symbolic such as u=rwX,go=rX`;
}

const bits: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111 };
const whoMasks: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };

/** The permission bits (07777) that `text` makes of `mode`. Without a who, all are meant: there is no umask in a build. */
export function applyMode(text: string, mode: number, isFolder: boolean): number {
  if (/^\d+$/.test(text)) return Number.parseInt(text, 8);
  let result = mode & 0o7777;
  for (const clause of text.split(',')) {
    const who = /^[ugoa]*/.exec(clause)?.[0] ?? '';
    const mask = (who === '' ? 'a' : who).split('').reduce((sum, letter) => sum | (whoMasks[letter] ?? 0), 0);
    for (const [, operator = '', permissions = ''] of clause.slice(who.length).matchAll(/([-+=])([ugo]|[rwxXst]*)/g)) {
      const value = permissionBits(permissions, result, isFolder) & mask;
      if (operator === '+') result |= value;
      else if (operator === '-') result &= ~value;
      else result = (result & ~(mask & (isFolder ? 0o1777 : 0o7777))) | value;
    }
  }
  return result;
}

function permissionBits(permissions: string, current: number, isFolder: boolean): number {
  const copied = { u: (current >> 6) & 7, g: (current >> 3) & 7, o: current & 7 }[permissions];
  if (copied !== undefined) return copied * 0o111;
  let value = 0;
  for (const letter of permissions) {
    if (letter === 'X') value |= isFolder || (current & 0o111) !== 0 ? 0o111 : 0;
    else if (letter === 's') value |= 0o6000;
    else if (letter === 't') value |= 0o1000;
    else value |= bits[letter] ?? 0;
  }
  return value;
}
