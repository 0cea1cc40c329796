import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { ImageFormat } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

/** `name=value`; a name alone takes its value from the environment, and nothing when it is not set there, as docker does. */
export function parseBuildArgs(texts: readonly string[], environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const args: Record<string, string> = {};
  for (const text of texts) {
    const [name, value = environment[name]] = splitOnce(text, '=');
    if (value !== undefined) args[name] = value;
  }
  return args;
}

/** `name=value`; a name alone is an empty label. */
export function parseLabels(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => splitOnce(text, '=')).map(([name, value = '']) => [name, value]));
}

/** `id=x,src=file`, `id=x,env=NAME`, `id=x` (the variable, else the file, of that name): values by id, base64. */
export function parseSecrets(texts: readonly string[], environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const fields = parseFields(text, '--secret', ['id', 'src', 'source', 'env', 'type']);
      const id = fields['id'] ?? basename(fields['src'] ?? fields['source'] ?? fields['env'] ?? '');
      if (id === '') throw new GantryError('invalid', `--secret ${text} has no id`);
      return [id, secretValue(id, fields, environment).toString('base64')];
    }),
  );
}

function secretValue(id: string, fields: Readonly<Record<string, string>>, environment: Readonly<Record<string, string | undefined>>): Buffer {
  const file = fields['src'] ?? fields['source'];
  const isVariable = fields['env'] !== undefined || fields['type'] === 'env' || (file === undefined && environment[id] !== undefined);
  const name = fields['env'] ?? file ?? id;
  const value = environment[name];
  if (isVariable && value === undefined) throw new GantryError('not-found', `the variable ${name} of the secret ${id} is not set`);
  if (isVariable) return Buffer.from(value ?? '');
  try {
    return readFileSync(file ?? id);
  } catch (error) {
    throw new GantryError('not-found', `cannot read the secret ${id} from ${file ?? id}`, { cause: error });
  }
}

/** `default`, `id=socket`: sockets by id. */
export function parseSsh(texts: readonly string[], environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [id, path = environment['SSH_AUTH_SOCK']] = splitOnce(text, '=');
      if (path === undefined) throw new GantryError('not-found', `--ssh ${text}: no SSH agent is running (SSH_AUTH_SOCK is not set); name its socket with --ssh ${id}=PATH`);
      return [id, path];
    }),
  );
}

/** Where the result goes. `format` is how layers are stored: of images, registries and OCI layouts. */
export type Output =
  | { readonly type: 'image' | 'registry'; readonly names: readonly string[]; readonly format: ImageFormat | undefined }
  | { readonly type: 'oci'; readonly dest: string; readonly names: readonly string[]; readonly format: ImageFormat | undefined }
  | { readonly type: 'local' | 'tar' | 'docker'; readonly dest: string };

const commonFields = ['type', 'dest', 'push', 'name'];

/**
 * `-o`: `type=local,dest=DIR`, `type=tar|oci,dest=FILE`, `type=docker[,dest=FILE]`, `type=image[,push=true]`, `type=registry`; a path alone is a folder.
 * `oci`, `image` and `registry` take `name=NAME` and how layers are stored (image-format.ts).
 */
export async function parseOutput(text: string): Promise<Output> {
  // Loaded only here: it is much, and most builds have no use for it.
  const { imageFormatFields, parseImageFormat } = await import('../../api/mod.ts');
  if (!text.includes('=')) return { type: text === '-' ? 'tar' : 'local', dest: text };
  const where = `--output ${text}`;
  const fields = parseFields(text, '--output', [...commonFields, ...imageFormatFields]);
  const { type = '', dest, push = 'false', name } = fields;
  if (push !== 'true' && push !== 'false') throw new GantryError('invalid', `${where}: push is true or false`);
  const packed = { names: name === undefined ? [] : [name], format: parseImageFormat(fields, where) };
  if (type === 'image' || type === 'registry' || (type === 'docker' && dest === undefined)) {
    if (dest !== undefined) throw new GantryError('invalid', `${where}: an image goes to the store or to a registry; dest is for local, tar, docker and oci`);
    return { type: type === 'registry' || push === 'true' ? 'registry' : 'image', ...packed };
  }
  if (push === 'true') throw new GantryError('invalid', `${where}: only type=image can be pushed`);
  if (type !== 'local' && type !== 'tar' && type !== 'docker' && type !== 'oci') throw new GantryError('unsupported', `--output type=${type} is not supported; known are local, tar, docker, oci, image and registry`);
  if (dest === undefined) throw new GantryError('invalid', `--output type=${type} needs dest=PATH`);
  if (type === 'oci') return { type, dest, ...packed };
  if (packed.format !== undefined || name !== undefined) throw new GantryError('invalid', `${where}: compression, media types and names are of images, registries and OCI layouts`);
  return { type, dest };
}

export interface CacheOption { readonly reference: string; readonly mode: 'min' | 'max'; readonly isInline: boolean }

/** `--cache-from` and `--cache-to`: `type=registry,ref=NAME[,mode=min|max]`, `type=inline`, or a name. */
export function parseCacheOption(text: string, flag: string): CacheOption {
  if (!text.includes('=')) return { reference: text, mode: 'min', isInline: false };
  const { type = '', ref = '', mode = 'min' } = parseFields(text, flag, ['type', 'ref', 'mode']);
  if (type === 'inline') return { reference: '', mode: 'min', isInline: true };
  if (type !== 'registry') throw new GantryError('unsupported', `${flag} type=${type} is not supported; known are registry and inline`);
  if (ref === '') throw new GantryError('invalid', `${flag} type=registry needs ref=NAME`);
  if (mode !== 'min' && mode !== 'max') throw new GantryError('invalid', `${flag}: the mode is min or max, not ${JSON.stringify(mode)}`);
  return { reference: ref, mode, isInline: false };
}

function parseFields(text: string, flag: string, known: readonly string[]): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const field of text.split(',')) {
    const [name, value] = splitOnce(field, '=');
    if (!known.includes(name) || value === undefined) throw new GantryError('invalid', `${flag} ${text}: ${JSON.stringify(field)} is none of ${known.map((key) => `${key}=…`).join(', ')}`);
    fields[name] = value;
  }
  return fields;
}

/** At the first separator; the second part is undefined when there is none. */
export function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
