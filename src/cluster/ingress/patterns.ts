/** What may follow a backslash: classes, assertions without a name, and characters that stand for themselves. */
const escapes = /\\(?![dDwWsSbB.*+?^${}()|[\]\\/nrtfv-])/;
const maxRepeats = 1_000;

/**
 * Why a regular expression cannot be given to the proxy; undefined when it can. Taken is what reads the same in RE2, PCRE2 and
 * JavaScript: no look-around, back references, names or flags. One that the proxy would not take would stop every later change.
 */
export function patternProblem(text: string): string | undefined {
  const invalid = `${JSON.stringify(text)} is not a regular expression`;
  if (!isPattern(text)) return invalid;
  if (!/^[\x20-\x7e]+$/.test(text) || text.includes('[]') || text.includes('[^]')) return invalid;
  if (/\(\?(?!:)/.test(text)) return `${JSON.stringify(text)}: groups with (? are not supported, but (?: is`;
  if (escapes.test(text)) return `${JSON.stringify(text)}: an escape that is not supported`;
  for (const [, from = '', to = ''] of text.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) if (Number(from) > maxRepeats || Number(to) > maxRepeats) return `${JSON.stringify(text)}: more than ${maxRepeats} repeats`;
  // Repeats inside repeats are what makes an engine that backtracks take forever.
  if (/[*+}]\??\)[*+{]/.test(text)) return `${JSON.stringify(text)}: a repeat directly inside a repeat is not supported`;
  return undefined;
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'u').unicode;
  } catch {
    return false;
  }
}
