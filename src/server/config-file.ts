import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import { errnoOf, type ErrorPlace, formatPlace, GantryError } from '../kernel/mod.ts';
import { readFile } from 'node:fs/promises';
import { type Settings, settingsSchema } from './settings.ts';

/** Reads `config.yaml`. A missing file is an empty one unless it was asked for (`isRequired`). `invalid` names every line. */
export async function readConfigFile(file: string, isRequired: boolean): Promise<Settings> {
  try {
    return parseConfig(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    if (isRequired) throw new GantryError('not-found', `there is no configuration file ${file}`, { cause: error });
    return {};
  }
}

/** Parses the text of a configuration file; `invalid` with one place (file, line, column, field) per problem. */
export function parseConfig(text: string, file: string): Settings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const syntax = document.errors.map((error): ErrorPlace => ({ ...positionAt(lines, error.pos[0]), file, message: error.message.split('\n')[0] ?? error.message }));
  if (syntax.length > 0) throw configError(syntax);
  const parsed = settingsSchema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {});
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.flatMap((issue): ErrorPlace[] => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    if (issue.code !== 'unrecognized_keys') return [{ file, ...placeOf(document, lines, path), field: path.join('.'), message: issue.message }];
    return issue.keys.map((key) => ({ file, ...placeOf(document, lines, [...path, key]), field: [...path, key].join('.'), message: 'unknown key' }));
  });
  throw configError(places);
}

function configError(places: readonly ErrorPlace[]): GantryError {
  const [first] = places;
  const more = places.length > 1 ? ` (and ${places.length - 1} more)` : '';
  return new GantryError('invalid', `${first === undefined ? 'the configuration is invalid' : formatPlace(first)}${more}`, { places });
}

/** The position of the key at the end of `path`, or of the nearest node that exists. */
function placeOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): { line?: number; column?: number } {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const key = parent.items.find((item) => isScalar(item.key) && item.key.value === last)?.key;
    if (isScalar(key) && key.range) return positionAt(lines, key.range[0]);
  }
  const node: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isScalar(node) && node.range) return positionAt(lines, node.range[0]);
  return path.length <= 1 ? { line: 1, column: 1 } : placeOf(document, lines, path.slice(0, -1));
}

function positionAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}
