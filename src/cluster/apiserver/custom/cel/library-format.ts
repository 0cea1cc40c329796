import type { Environment } from '@marcbachmann/cel-js';

const clause = /%(?:(%)|(?:\.(\d+))?([a-zA-Z]))/g;

/** `'%s is %d'.format([name, count])`: cel-go's string formatting with its verbs s, d, f, e, b, o, x and X. */
export function registerFormatting(env: Environment): void {
  env.registerFunction('string.format(list): string', (text: string, given: readonly unknown[]) => formatText(text, given));
}

function formatText(text: string, given: readonly unknown[]): string {
  let used = 0;
  return text.replaceAll(clause, (_, percent: string | undefined, precision: string | undefined, verb: string) => {
    if (percent !== undefined) return '%';
    if (used >= given.length) throw new Error(`index ${used} out of range`);
    const value = given[used];
    used += 1;
    return formatOne(verb, precision === undefined ? undefined : Number(precision), value);
  });
}

function formatOne(verb: string, precision: number | undefined, value: unknown): string {
  switch (verb) {
    case 's':
      return shown(value);
    case 'd':
      if (typeof value === 'bigint') return value.toString();
      throw wrongType('decimal', 'integers', value);
    case 'f':
      return numberOf('fixed-point', value).toFixed(precision ?? 6);
    case 'e':
      return numberOf('scientific', value).toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2');
    case 'b':
      if (typeof value === 'boolean') return value ? '1' : '0';
      if (typeof value === 'bigint') return value.toString(2);
      throw wrongType('binary', 'integers and bools', value);
    case 'o':
      if (typeof value === 'bigint') return value.toString(8);
      throw wrongType('octal', 'integers', value);
    case 'x':
      return hexOf(value);
    case 'X':
      return hexOf(value).toUpperCase();
    default:
      throw new Error(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
}

function numberOf(name: string, value: unknown): number {
  if (typeof value === 'number') return value;
  throw wrongType(name, 'doubles', value);
}

function hexOf(value: unknown): string {
  if (typeof value === 'bigint') return value.toString(16);
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  throw wrongType('hex', 'integers, byte buffers, and strings', value);
}

function wrongType(name: string, wanted: string, value: unknown): Error {
  return new Error(`error during formatting: ${name} clause can only be used on ${wanted}, was given ${typeof value}`);
}

/** The text of a value: strings bare, also inside of lists and maps, whose keys are in order. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${shown(key)}: ${shown(item)}`).toSorted().join(', ')}}`;
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z');
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  return String(value);
}
