import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { GantryError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';

/** The largest body that is read, in bytes, as in Kubernetes. */
export const maxBodyBytes = 3 * 1024 * 1024;

/** Reads the whole body. `invalid` when it is larger than the limit or ends early. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? '0');
  if (declared > maxBodyBytes) throw tooLarge();
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') throw new GantryError('unsupported', `the content encoding ${encoding} is not supported`);
  const source: Readable = encoding === 'gzip' ? request.pipe(createGunzip()) : request;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBodyBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof GantryError) throw error;
    throw badRequest('the request body could not be read to its end', error);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

function tooLarge(): GantryError {
  return new GantryError('invalid', `Request entity too large: limit is ${maxBodyBytes}`, { details: { reason: 'RequestEntityTooLarge' } });
}

/** `application/json; charset=utf-8` → `application/json`. */
export function mediaTypeOf(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** A JSON text as a value. 400 with the place of the mistake. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not valid JSON: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** One YAML document as a value, read as kubectl does: no timestamps. 400 with line and column. */
export function parseYaml(text: string): unknown {
  try {
    return copyBounded(load(text, { schema: CORE_SCHEMA.withTags(mergeTag) }), { left: maxYamlNodes });
  } catch (error) {
    if (error instanceof GantryError) throw error;
    throw badRequest(`the body is not valid YAML: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** More values than this come only from aliases of aliases. */
const maxYamlNodes = 500_000;

/** A copy without shared parts, so that aliases cannot grow without bound later. */
function copyBounded(value: unknown, budget: { left: number }): unknown {
  budget.left -= 1;
  if (budget.left < 0) throw badRequest('the body is not valid YAML: too many values through aliases');
  if (Array.isArray(value)) return value.map((item) => copyBounded(item, budget));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyBounded(item, budget)]));
}
