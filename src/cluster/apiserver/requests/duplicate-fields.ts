/** One open object or list while the text is walked. */
interface Level { readonly path: string; readonly seen: Set<string> | undefined; index: number; key: string }

/** More than so many are not worth telling. */
const maxReported = 20;

/**
 * The paths of object keys that a JSON text repeats, as in `spec.containers[0].image`. JSON.parse keeps the last one without a word.
 * The text must be valid JSON.
 */
export function duplicateFields(text: string): string[] {
  const found = new Set<string>();
  const stack: Level[] = [];
  let isKey = false;
  for (let at = 0; at < text.length; at += 1) {
    const top = stack.at(-1);
    switch (text[at]) {
      case '"': {
        const end = stringEnd(text, at);
        if (isKey && top?.seen !== undefined) {
          top.key = JSON.parse(text.slice(at, end + 1)) as string;
          if (top.seen.has(top.key) && found.size < maxReported) found.add(childPath(top));
          top.seen.add(top.key);
          isKey = false;
        }
        at = end;
        break;
      }
      case '{':
        stack.push({ path: childPath(top), seen: new Set(), index: 0, key: '' });
        isKey = true;
        break;
      case '[':
        stack.push({ path: childPath(top), seen: undefined, index: 0, key: '' });
        isKey = false;
        break;
      case '}':
      case ']':
        stack.pop();
        isKey = false;
        break;
      case ',':
        isKey = top?.seen !== undefined;
        if (top !== undefined) top.index += 1;
        break;
      default:
    }
  }
  return [...found];
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const end = text.indexOf('"', at);
    if (end < 0) return text.length;
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return end;
    at = end;
  }
}

function childPath(level: Level | undefined): string {
  if (level === undefined) return '';
  if (level.seen === undefined) return `${level.path}[${level.index}]`;
  return level.path === '' ? level.key : `${level.path}.${level.key}`;
}
