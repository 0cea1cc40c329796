import { formatError, formatPlace, type GantryError } from '../kernel/mod.ts';

/** Writes to standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}

/** Rows under upper-case headings, columns as wide as needed and three spaces apart. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ').trimEnd()).join('\n');
}

/** An age as kubectl shows it: `45s`, `12m`, `3h`, `9d`; `-` when the time is not known. */
export function formatAge(time: string | undefined, now: number = Date.now()): string {
  if (time === undefined) return '-';
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `gantry: message` and one line for each place in the user's input. */
export function formatFailure(error: GantryError): string {
  const message = formatError(error);
  const places = error.places.map(formatPlace).filter((place) => !message.includes(place));
  return [`gantry: ${message}`, ...places.map((place) => `  ${place}`)].join('\n');
}
