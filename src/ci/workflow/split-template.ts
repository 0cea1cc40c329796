/** One piece of a scalar: plain text, or an expression without its `${{ }}`. */
export type TemplatePart = { kind: 'text'; text: string } | { kind: 'expression'; expression: string };

/** Cuts text at its `${{ … }}`, whose end is the first `}}` outside single quotes. One that is not closed is plain text. */
export function splitTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let position = 0;
  for (;;) {
    const start = text.indexOf('${{', position);
    const end = start < 0 ? -1 : endOfExpression(text, start + 3);
    if (start < 0 || end < 0) break;
    if (start > position) parts.push({ kind: 'text', text: text.slice(position, start) });
    parts.push({ kind: 'expression', expression: text.slice(start + 3, end).trim() });
    position = end + 2;
  }
  if (position < text.length) parts.push({ kind: 'text', text: text.slice(position) });
  return parts;
}

function endOfExpression(text: string, from: number): number {
  let isQuoted = false;
  for (let index = from; index < text.length; index += 1) {
    if (text[index] === "'") isQuoted = !isQuoted;
    else if (!isQuoted && text.startsWith('}}', index)) return index;
  }
  return -1;
}
