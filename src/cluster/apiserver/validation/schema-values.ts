import { isDeepStrictEqual } from 'node:util';
import { type ApiSchema, isFields, type SchemaNode } from '../../../api/mod.ts';
import { FieldErrors } from './field-errors.ts';
import { formatProblem } from './formats.ts';

/**
 * Checks a value of a custom object against its schema, with the messages Kubernetes gives. What a part's own schema says of it does
 * not hold up a write that leaves that part as it was in `old`: schemas may become stricter while objects exist. What must be
 * there, what may be there once, and combinations of schemas are demanded always.
 */
export function validateValue(node: SchemaNode, value: unknown, path: string, errors: FieldErrors, old?: unknown): void {
  if (value === null) {
    if (!node.isNullable && node.type !== 'any') errors.typeInvalid(path, 'null', `${path} in body must be of type ${node.type === 'int-or-string' ? 'integer,string' : node.type}: "null"`);
    return;
  }
  if (!hasType(node, value)) {
    errors.typeInvalid(path, typeName(value), `${path} in body must be of type ${node.type === 'int-or-string' ? 'integer,string' : node.type}: ${JSON.stringify(typeName(value))}`);
    return;
  }
  if (old !== undefined && isDeepStrictEqual(value, old)) return validateStructure(node, value, path, errors, old);
  const { source } = node;
  if (source.enum !== undefined && !source.enum.some((allowed) => isDeepStrictEqual(allowed, value))) errors.unsupported(path, value, source.enum);
  if (typeof value === 'string') validateText(node, value, path, errors);
  else if (typeof value === 'number') validateNumber(source, value, path, errors);
  else if (Array.isArray(value)) validateCount(value.length, node, path, errors);
  else if (isFields(value)) validateCount(Object.keys(value).length, node, path, errors);
  validateStructure(node, value, path, errors, old);
}

function validateStructure(node: SchemaNode, value: unknown, path: string, errors: FieldErrors, old: unknown): void {
  if (Array.isArray(value)) validateArray(node, value, path, errors, Array.isArray(old) ? old : []);
  else if (isFields(value)) validateFields(node, value, path, errors, isFields(old) ? old : {});
  validateCombined(node, value, path, errors);
}

function hasType({ type }: SchemaNode, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isFields(value);
    case 'array':
      return Array.isArray(value);
    case 'string':
    case 'bytes':
    case 'quantity':
      return typeof value === 'string';
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'int-or-string':
      return typeof value === 'string' || (typeof value === 'number' && Number.isInteger(value));
    case 'any':
      return true;
  }
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function validateText({ source, pattern }: SchemaNode, value: string, path: string, errors: FieldErrors): void {
  const length = Array.from(value).length;
  if (source.maxLength !== undefined && length > source.maxLength) errors.tooLong(path, source.maxLength);
  if (source.minLength !== undefined && length < source.minLength) errors.invalid(path, value, `${path} in body should be at least ${source.minLength} chars long`);
  if (pattern !== undefined && !pattern.test(value)) errors.invalid(path, value, `${path} in body should match '${source.pattern ?? ''}'`);
  if (source.format !== undefined && formatProblem(source.format, value)) errors.invalid(path, value, `${path} in body must be of type ${source.format}: ${JSON.stringify(value)}`);
}

function validateNumber(source: ApiSchema, value: number, path: string, errors: FieldErrors): void {
  const { minimum, maximum, multipleOf } = source;
  if (minimum !== undefined && (source.exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    errors.invalid(path, value, `${path} in body should be greater than ${source.exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`);
  }
  if (maximum !== undefined && (source.exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    errors.invalid(path, value, `${path} in body should be less than ${source.exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`);
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) errors.invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`);
  if (source.format === 'int32' && (value > 2_147_483_647 || value < -2_147_483_648)) errors.invalid(path, value, `${path} in body must be of type int32: "${value}"`);
}

function validateCount(count: number, { type, source }: SchemaNode, path: string, errors: FieldErrors): void {
  const [max, min, what] = type === 'array' ? [source.maxItems, source.minItems, 'items'] : [source.maxProperties, source.minProperties, 'properties'];
  if (max !== undefined && count > max) errors.tooMany(path, count, max);
  if (min !== undefined && count < min) errors.invalid(path, count, `${path} in body should have at least ${min} ${what}`);
}

function validateArray(node: SchemaNode, value: unknown[], path: string, errors: FieldErrors, old: readonly unknown[]): void {
  const idOf = (item: unknown): string => JSON.stringify(node.mapKeys.map((key) => (isFields(item) ? (item[key] ?? null) : null)));
  const byKeys = new Map(node.listType === 'map' ? old.map((item) => [idOf(item), item]) : []);
  const isUnchanged = node.listType !== 'map' && isDeepStrictEqual(value, old);
  const before = (item: unknown, index: number): unknown => (isUnchanged ? old[index] : byKeys.get(idOf(item)));
  if (node.items !== undefined) for (const [index, item] of value.entries()) validateValue(node.items, item, `${path}[${index}]`, errors, before(item, index));
  if (node.listType === 'atomic') return;
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    const keys = node.listType === 'map' && isFields(item) ? Object.fromEntries(node.mapKeys.map((key) => [key, item[key]])) : item;
    const id = JSON.stringify(keys);
    if (seen.has(id)) errors.duplicate(`${path}[${index}]`, keys);
    seen.add(id);
  }
}

function validateFields(node: SchemaNode, value: Record<string, unknown>, path: string, errors: FieldErrors, old: Readonly<Record<string, unknown>>): void {
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of node.required) if (value[name] === undefined) errors.required(at(name));
  for (const [name, item] of Object.entries(value)) {
    const child = node.properties?.get(name);
    if (child !== undefined) validateValue(child, item, at(name), errors, old[name]);
    else if (node.values !== undefined) validateValue(node.values, item, path === '' ? name : `${path}[${name}]`, errors, old[name]);
  }
}

function validateCombined({ combined }: SchemaNode, value: unknown, path: string, errors: FieldErrors): void {
  if (combined === undefined) return;
  const passes = (node: SchemaNode): boolean => {
    const inner = new FieldErrors();
    validateValue(node, value, path, inner);
    return inner.places.length === 0;
  };
  for (const node of combined.allOf) validateValue(node, value, path, errors);
  if (combined.anyOf.length > 0 && !combined.anyOf.some(passes)) errors.invalid(path, value, `${path} in body must validate at least one schema (anyOf)`);
  if (combined.oneOf.length > 0 && combined.oneOf.filter(passes).length !== 1) errors.invalid(path, value, `${path} in body must validate one and only one schema (oneOf)`);
  if (combined.not !== undefined && passes(combined.not)) errors.invalid(path, value, `${path} in body must not validate the schema (not)`);
}
