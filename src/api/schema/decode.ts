import { isError } from '../../kernel/mod.ts';
import { canonicalQuantity } from '../quantity.ts';
import { anyNode, type SchemaNode } from './node.ts';

/** What a walk over a value found. Paths are like `spec.containers[0].image`. */
export interface DecodeFindings {
  /** Values of the wrong type: the object cannot be read. */
  readonly typeErrors: { path: string; message: string }[];
  /** Fields the schema does not have; they were removed. */
  readonly unknownFields: string[];
}

type Fields = Record<string, unknown>;

/**
 * Makes a parsed body fit its schema, in place: unknown fields and nulls go, quantities become canonical.
 * Says what was removed and what has the wrong type.
 */
export function decodeValue(node: SchemaNode, value: unknown): DecodeFindings {
  const findings: DecodeFindings = { typeErrors: [], unknownFields: [] };
  walk(node, value, '', findings);
  return findings;
}

/** Returns the value to keep; undefined removes the field. */
function walk(node: SchemaNode, value: unknown, path: string, findings: DecodeFindings): unknown {
  switch (node.type) {
    case 'any':
      return value;
    case 'object':
      return isFields(value) ? walkObject(node, value, path, findings) : wrong(node, value, path, findings);
    case 'array':
      return Array.isArray(value) ? walkArray(node, value, path, findings) : wrong(node, value, path, findings);
    default:
      return walkScalar(node, value, path, findings);
  }
}

function walkObject(node: SchemaNode, value: Fields, path: string, findings: DecodeFindings): Fields {
  for (const key of Object.keys(value)) {
    const child = node.properties?.get(key) ?? node.values ?? (node.isOpen ? anyNode : undefined);
    const childPath = path === '' ? key : `${path}.${key}`;
    if (child === undefined) {
      findings.unknownFields.push(childPath);
      delete value[key];
    } else if (value[key] === null) {
      if (!child.isNullable) delete value[key];
    } else {
      value[key] = walk(child, value[key], childPath, findings);
    }
  }
  return value;
}

function walkArray(node: SchemaNode, value: unknown[], path: string, findings: DecodeFindings): unknown[] {
  const items = node.items ?? anyNode;
  for (let index = 0; index < value.length; index += 1) {
    if (value[index] === null && !items.isNullable) wrong(items, null, `${path}[${index}]`, findings);
    else value[index] = walk(items, value[index], `${path}[${index}]`, findings);
  }
  return value;
}

function walkScalar(node: SchemaNode, value: unknown, path: string, findings: DecodeFindings): unknown {
  switch (node.type) {
    case 'string':
      if (typeof value !== 'string') return wrong(node, value, path, findings);
      if (node.format.startsWith('date-time') && value !== '' && !isTime(value)) findings.typeErrors.push({ path, message: `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse it` });
      return value;
    case 'bytes':
      if (typeof value !== 'string') return wrong(node, value, path, findings);
      if (!isBase64(value)) findings.typeErrors.push({ path, message: 'illegal base64 data' });
      return value;
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value) || (node.format === 'int32' && (value > 2_147_483_647 || value < -2_147_483_648))) return wrong(node, value, path, findings);
      return value;
    case 'number':
      return typeof value === 'number' ? value : wrong(node, value, path, findings);
    case 'boolean':
      return typeof value === 'boolean' ? value : wrong(node, value, path, findings);
    case 'int-or-string':
      return typeof value === 'string' || (typeof value === 'number' && Number.isInteger(value)) ? value : wrong(node, value, path, findings);
    case 'quantity':
      return walkQuantity(node, value, path, findings);
    default:
      return value;
  }
}

function walkQuantity(node: SchemaNode, value: unknown, path: string, findings: DecodeFindings): unknown {
  if (typeof value !== 'string' && typeof value !== 'number') return wrong(node, value, path, findings);
  try {
    return canonicalQuantity(value);
  } catch (error) {
    if (!isError(error, 'invalid')) throw error;
    findings.typeErrors.push({ path, message: error.message });
    return value;
  }
}

function wrong(node: SchemaNode, value: unknown, path: string, findings: DecodeFindings): unknown {
  const had = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value === 'number' ? `number${Number.isInteger(value) ? '' : ` ${value}`}` : typeof value === 'boolean' ? 'bool' : typeof value;
  findings.typeErrors.push({ path, message: `cannot unmarshal ${had} into field ${path} of type ${goTypeName(node)}` });
  return value;
}

/** How Kubernetes' own messages call a type. */
function goTypeName(node: SchemaNode): string {
  if (node.type === 'object') return node.name === '' ? `map[string]${node.values === undefined ? 'interface {}' : goTypeName(node.values)}` : node.name;
  if (node.type === 'array') return `[]${goTypeName(node.items ?? anyNode)}`;
  const names: Partial<Record<string, string>> = { boolean: 'bool', integer: node.format === 'int32' ? 'int32' : 'int64', number: 'float64', bytes: '[]uint8', 'int-or-string': 'IntOrString', quantity: 'Quantity' };
  return names[node.type] ?? node.type;
}

/** Whether a parsed value is an object with named fields. */
export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTime(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.test(text) && !Number.isNaN(Date.parse(text));
}

function isBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/\s]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\s*$/.test(text.replaceAll(/[\r\n]/g, ''));
}
