import { type Document, isMap, isNode, LineCounter, parseAllDocuments, type Tags } from 'yaml';
import { type ErrorPlace, GantryError } from '../../kernel/mod.ts';

/** One object of a manifest file, with the way back to the text for errors. */
export interface Manifest {
  readonly file: string;
  readonly object: ManifestObject;
  /** Where the field is in the file, for example `spec.ports[0].port`; the nearest enclosing field when it is not there. */
  locate(field: string): { line: number; column: number };
}

/** What every manifest has once it is parsed. */
export type ManifestObject = Record<string, unknown> & {
  apiVersion: string;
  kind: string;
  metadata: Record<string, unknown> & { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
};

/** YAML as kubectl reads it: 1.1 (octal `0644`, `yes`), but neither timestamps nor base-60 numbers. */
const yamlOptions = {
  version: '1.1' as const,
  schema: 'yaml-1.1',
  customTags: (tags: Tags): Tags => tags.filter((tag) => typeof tag === 'string' || (tag.tag !== 'tag:yaml.org,2002:timestamp' && tag.format !== 'TIME')),
  uniqueKeys: true,
};

/** Parses manifest files: several documents each, `List` objects unfolded, empty documents left out. `invalid` with every problem and its place. */
export function parseManifests(files: readonly { path: string; text: string }[]): Manifest[] {
  const places: ErrorPlace[] = [];
  const manifests: Manifest[] = [];
  for (const { path, text } of files) {
    const lines = new LineCounter();
    for (const document of parseAllDocuments(text, { ...yamlOptions, lineCounter: lines }) as Document[]) {
      if (document.errors.length > 0) {
        places.push(...document.errors.map((error) => ({ file: path, ...position(lines, error.pos[0]), message: error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? 'not YAML' })));
      } else if (document.contents !== null) {
        readDocument(path, document, lines, manifests, places);
      }
    }
  }
  places.push(...duplicates(manifests));
  if (places.length > 0) throw manifestError(places);
  return manifests;
}

/** `invalid` with the first place in the message, because that is what a pusher sees first. */
export function manifestError(places: readonly ErrorPlace[]): GantryError {
  const [first] = places;
  const where = first === undefined ? '' : `${[first.file, first.line].filter((part) => part !== undefined).join(':')}: ${first.field === undefined || first.field === '' ? '' : `${first.field}: `}${first.message}`;
  return new GantryError('invalid', `${where}${places.length > 1 ? ` (and ${places.length - 1} more)` : ''}`, { places });
}

function readDocument(file: string, document: Document, lines: LineCounter, manifests: Manifest[], places: ErrorPlace[]): void {
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value === null) return;
  const isList = isFields(value) && value['kind'] === 'List' && Array.isArray(value['items']);
  const items: readonly (readonly [unknown, readonly (string | number)[]])[] = isList ? (value['items'] as unknown[]).map((item, index) => [item, ['items', index]] as const) : [[value, []]];
  for (const [object, prefix] of items) {
    const locate = (field: string): { line: number; column: number } => locateIn(document, lines, [...prefix, ...fieldPath(field)]);
    const problems = checkShape(object).map((problem) => ({ file, ...locate(problem.field), ...problem }));
    places.push(...problems);
    if (problems.length === 0) manifests.push({ file, object: object as ManifestObject, locate });
  }
}

function checkShape(object: unknown): { field: string; message: string }[] {
  if (!isFields(object)) return [{ field: '', message: 'expected an object with apiVersion, kind and metadata' }];
  const metadata = object['metadata'];
  const problems: { field: string; message: string }[] = [];
  for (const field of ['apiVersion', 'kind']) if (typeof object[field] !== 'string' || object[field] === '') problems.push({ field, message: 'required' });
  if (!isFields(metadata)) return [...problems, { field: 'metadata', message: 'required' }];
  if (typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    problems.push({ field: 'metadata.name', message: metadata['generateName'] === undefined ? 'required' : 'required; generateName would make a new object with every release' });
  }
  if (metadata['namespace'] !== undefined && typeof metadata['namespace'] !== 'string') problems.push({ field: 'metadata.namespace', message: 'must be a string' });
  for (const field of ['labels', 'annotations']) {
    const map = metadata[field];
    if (map !== undefined && (!isFields(map) || Object.values(map).some((text) => typeof text !== 'string'))) problems.push({ field: `metadata.${field}`, message: 'must be a map of strings (quote numbers and booleans)' });
  }
  return problems;
}

function duplicates(manifests: readonly Manifest[]): ErrorPlace[] {
  const seen = new Map<string, Manifest>();
  return manifests.flatMap((manifest): ErrorPlace[] => {
    const { apiVersion, kind, metadata } = manifest.object;
    const key = `${apiVersion.replace(/\/?v[^/]*$/, '')}/${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, manifest);
      return [];
    }
    return [{ file: manifest.file, ...manifest.locate('metadata.name'), message: `${kind} ${metadata.name} is also in ${first.file}:${first.locate('metadata.name').line}` }];
  });
}

/** `spec.ports[0].port` as its parts. Keys with dots stand in brackets as the API server writes them: `data[a.b]`. */
export function fieldPath(field: string): (string | number)[] {
  return [...field.matchAll(/\[([^\]]*)\]|([^.[]+)/g)].map(([, bracket, name]) => (bracket === undefined ? (name ?? '') : /^\d+$/.test(bracket) ? Number(bracket) : bracket.replaceAll(/^["']|["']$/g, '')));
}

/** The position of the key (or list item) at the end of the path, or of the nearest parent that exists. */
function locateIn(document: Document, lines: LineCounter, path: readonly (string | number)[]): { line: number; column: number } {
  for (let length = path.length; length > 0; length -= 1) {
    const parent: unknown = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    const key = isMap(parent) ? parent.items.find((item) => isNode(item.key) && item.key.toJS(document) === last)?.key : undefined;
    if (isNode(key) && key.range) return position(lines, key.range[0]);
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return position(lines, node.range[0]);
  }
  return position(lines, isNode(document.contents) ? (document.contents.range?.[0] ?? 0) : 0);
}

function position(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
