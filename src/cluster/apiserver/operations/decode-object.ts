import { decodeValue, isFields } from '../../../api/mod.ts';
import { badRequest } from '../errors.ts';
import { type ApiObject, apiVersionOfKind, type Kind } from '../kinds/kind.ts';
import type { WriteOptions } from './machine.ts';

/**
 * Makes a parsed body an object of the kind, in place: checks apiVersion and kind, removes unknown fields (refused, warned about
 * or dropped as fieldValidation says), fills in defaults. 400 when it cannot be read as the kind.
 */
export function decodeObject(kind: Kind, value: unknown, options: Pick<WriteOptions, 'fieldValidation' | 'warnings'>): ApiObject {
  const object = readObject(kind, value, options);
  kind.strategy.defaults?.(object);
  return object;
}

/** Kubernetes does not keep these of an object's metadata when there is nothing in them; a diff against an object without them is empty. */
const emptyIsAbsent = ['labels', 'annotations', 'finalizers', 'ownerReferences'];

/** As `decodeObject`, without defaults. */
export function readObject(kind: Kind, value: unknown, options: Pick<WriteOptions, 'fieldValidation' | 'warnings'>): ApiObject {
  if (!isFields(value)) throw badRequest(`the object provided is unrecognized (must be of type ${kind.type.kind}): couldn't get version/kind; json parse error: not a JSON object`);
  const apiVersion = apiVersionOfKind(kind);
  const given = { apiVersion: value['apiVersion'] ?? apiVersion, kind: value['kind'] ?? kind.type.kind };
  if (given.apiVersion !== apiVersion) throw badRequest(`the API version in the data (${JSON.stringify(given.apiVersion)}) does not match the expected API version (${apiVersion})`);
  if (given.kind !== kind.type.kind) throw badRequest(`the kind in the data (${JSON.stringify(given.kind)}) does not match the expected kind (${kind.type.kind})`);
  const { typeErrors, unknownFields } = decodeValue(kind.node, value);
  // Custom objects have their types checked by validation, which names every wrong one.
  const first = kind.isCustom ? typeErrors.find(({ path }) => path.startsWith('metadata')) : typeErrors[0];
  if (first !== undefined) {
    throw badRequest(`${kind.type.kind} in version "${kind.type.version}" cannot be handled as a ${kind.type.kind}: json: ${first.message.includes(first.path) ? first.message : `${first.path}: ${first.message}`}`);
  }
  reportUnknown(kind, unknownFields, options);
  const metadata = isFields(value['metadata']) ? { ...value['metadata'] } : {};
  for (const field of emptyIsAbsent) if (isEmpty(metadata[field])) delete metadata[field];
  const object = { ...value, ...given, metadata } as unknown as ApiObject;
  object.metadata.name ??= '';
  object.metadata.uid ??= '';
  object.metadata.resourceVersion ??= '';
  return object;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function reportUnknown(kind: Kind, unknownFields: readonly string[], { fieldValidation, warnings }: Pick<WriteOptions, 'fieldValidation' | 'warnings'>): void {
  if (unknownFields.length === 0 || fieldValidation === 'Ignore') return;
  const list = unknownFields.map((field) => `unknown field ${JSON.stringify(field)}`);
  if (fieldValidation === 'Warn') return void warnings.push(...list);
  throw badRequest(`${kind.type.kind} in version "${kind.type.version}" cannot be handled as a ${kind.type.kind}: strict decoding error: ${list.join(', ')}`);
}
