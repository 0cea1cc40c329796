import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { z } from 'zod';

const stepSchema = z.strictObject({
  /** The arguments, as a shell would split them; quotes keep blanks together. */
  run: z.string(),
  in: z.string().optional(),
  /** Whole outputs, normalised. Absent: empty. */
  out: z.string().optional(),
  err: z.string().optional(),
  code: z.number().optional(),
  /** Minor versions of kubectl: only from this one on, only before this one. */
  since: z.number().optional(),
  before: z.number().optional(),
});

export type Step = z.infer<typeof stepSchema>;

const fileSchema = z.strictObject({ about: z.string(), steps: z.array(stepSchema) });

/** Reads a transcript: commands with the outputs they must give. */
export function readTranscript(path: string): { about: string; steps: Step[] } {
  return fileSchema.parse(load(readFileSync(path, 'utf8')));
}

/** Splits like a shell: blanks separate, single and double quotes keep together. */
export function splitArguments(text: string): string[] {
  return [...text.matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)].map(([word]) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''));
}

const rules: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/https:\/\/127\.0\.0\.1:\d+/g, 'SERVER'],
  [/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, 'UID'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME'],
  [/\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} [+-]\d{4}/g, 'TIME'],
  [/(resourceVersion"?: ?"?)\d+/g, '$1N'],
  [/("continue":")[\w-]+/g, '$1TOKEN'],
  [/\b10\.96\.\d+\.\d+\b/g, 'ADDRESS'],
  [/\b(?:\d+[smhdy])+(?=\s|$)/gm, 'AGE'],
  [/\bey[\w-]{10,}\.[\w-]+\.[\w-]+/g, 'TOKEN'],
  // kubectl's own log: severity and day, time, process.
  [/^([IWE])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /gm, '$1 '],
  // Columns are as wide as their contents.
  [/(?<=\S) {2,}/g, '  '],
  [/ +$/gm, ''],
];

/** The text without what differs from run to run. */
export function normalise(text: string): string {
  return rules.reduce((result, [pattern, replacement]) => result.replaceAll(pattern, replacement), text).trim();
}
