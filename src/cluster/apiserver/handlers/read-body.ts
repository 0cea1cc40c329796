import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';
import type { KubernetesProtobuf } from '../../../wire/mod.ts';
import { mediaTypeOf, parseJson, parseYaml, readBody } from '../requests/body.ts';
import type { Kind } from '../kinds/kind.ts';
import type { WriteOptions } from '../operations/machine.ts';
import { duplicateFields } from '../requests/duplicate-fields.ts';
import type { Exchange } from './exchange.ts';

/** The request's body as a value: JSON, YAML or protobuf as its media type says. Undefined when there is none. */
export async function readValue({ request, protobuf }: Exchange): Promise<unknown> {
  const body = await readBody(request);
  if (body.length === 0) return undefined;
  return decodeBody(body, mediaTypeOf(request.headers['content-type']), protobuf);
}

/** Decodes a body by its media type. 415 for one that is not read. */
export function decodeBody(body: Buffer, mediaType: string, protobuf: KubernetesProtobuf): unknown {
  switch (mediaType) {
    case '':
    case 'application/json':
    case 'application/x-www-form-urlencoded':
      return parseJson(body.toString());
    case 'application/yaml':
    case 'application/x-yaml':
    case 'text/yaml':
      return parseYaml(body.toString());
    case 'application/vnd.kubernetes.protobuf':
      return decodeProtobuf(body, protobuf);
    default:
      throw new GantryError('unsupported', `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`);
  }
}

/** As `readValue`, for requests that must have a body. */
export async function readRequiredValue(exchange: Exchange): Promise<unknown> {
  const value = await readValue(exchange);
  if (value === undefined) throw badRequest('the request has no body');
  return value;
}

/** The body of a write: keys given twice are refused, warned about or let through as fieldValidation says. */
export async function readWrittenValue({ request, protobuf }: Exchange, kind: Kind, options: Pick<WriteOptions, 'fieldValidation' | 'warnings'>): Promise<unknown> {
  const body = await readBody(request);
  if (body.length === 0) throw badRequest('the request has no body');
  const mediaType = mediaTypeOf(request.headers['content-type']);
  const value = decodeBody(body, mediaType, protobuf);
  if (mediaType === '' || mediaType.endsWith('json')) reportDuplicates(body.toString(), kind, options);
  return value;
}

/** Reports the keys that a JSON text has twice. */
export function reportDuplicates(text: string, { type }: Kind, { fieldValidation, warnings }: Pick<WriteOptions, 'fieldValidation' | 'warnings'>): void {
  if (fieldValidation === 'Ignore') return;
  const list = duplicateFields(text).map((field) => `duplicate field ${JSON.stringify(field)}`);
  if (list.length === 0) return;
  if (fieldValidation === 'Warn') return void warnings.push(...list);
  throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${list.join(', ')}`);
}

function decodeProtobuf(body: Buffer, protobuf: KubernetesProtobuf): unknown {
  try {
    return protobuf.decode(body);
  } catch (error) {
    throw isError(error, 'invalid') ? badRequest(error.message, error) : error;
  }
}
