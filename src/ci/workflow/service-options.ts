/** What `services.<name>.options` says of health, in docker's words. */
export interface ServiceHealth {
  /** A command line for `sh -c`. */
  readonly command?: string;
  /** How long the service may take: start period plus retries times interval. */
  readonly timeoutSeconds?: number;
}

export type ServiceOptions = { health: ServiceHealth; env: [name: string, value: string][] } | { problem: string };

/** Parses the docker options that we honour: `--health-*`, `-e`/`--env`. Anything else is a problem. */
export function parseServiceOptions(text: string): ServiceOptions {
  const words = splitWords(text);
  if (words === undefined) return { problem: 'options: a quote is not closed' };
  const env: [string, string][] = [];
  let command: string | undefined;
  const seconds: Record<string, number> = { '--health-interval': 30, '--health-timeout': 30, '--health-start-period': 0 };
  let retries = 3;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const option = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? words[(index += 1)] : word.slice(equals + 1);
    if (value === undefined) return { problem: `options: ${option} needs a value` };
    if (option === '--health-cmd') command = value;
    else if (option === '--health-retries' && /^\d+$/.test(value)) retries = Number(value);
    else if (option in seconds && parseDuration(value) !== undefined) seconds[option] = parseDuration(value) ?? 0;
    else if ((option === '-e' || option === '--env') && value.includes('=')) env.push([value.slice(0, value.indexOf('=')), value.slice(value.indexOf('=') + 1)]);
    else return { problem: `options: ${option} ${value} is not supported; supported are --health-cmd, --health-interval, --health-timeout, --health-retries, --health-start-period and --env` };
  }
  const timeoutSeconds = (seconds['--health-start-period'] ?? 0) + retries * ((seconds['--health-interval'] ?? 0) + (seconds['--health-timeout'] ?? 0));
  return { health: command === undefined ? {} : { command, timeoutSeconds: Math.max(10, Math.ceil(timeoutSeconds)) }, env };
}

/** Go durations of hours, minutes, seconds and milliseconds, in seconds. */
function parseDuration(text: string): number | undefined {
  const unitSeconds: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 0.001 };
  if (!/^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce((sum, [, value, unit = 's']) => sum + Number(value) * (unitSeconds[unit] ?? 0), 0);
}

/** Splits as a shell does, without expansion: white space, single and double quotes, backslash. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? '';
    if (quote === "'" ? character === "'" : quote !== '' && character === quote) quote = '';
    else if (quote === '' && (character === "'" || character === '"')) {
      quote = character;
      word ??= '';
    } else if (character === '\\' && quote !== "'") word = (word ?? '') + (text[(index += 1)] ?? '');
    else if (quote === '' && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + character;
  }
  if (quote !== '') return undefined;
  return word === undefined ? words : [...words, word];
}
