import { isDeepStrictEqual } from 'node:util';
import { GantryError } from '../../kernel/mod.ts';
import { isFields } from '../schema/decode.ts';

type Operation = { op: 'add' | 'replace' | 'test'; path: string; value: unknown } | { op: 'remove'; path: string } | { op: 'move' | 'copy'; path: string; from: string };

/** The most operations one patch may have, as in Kubernetes. */
const maxOperations = 10_000;

/** Applies an RFC 6902 patch to a copy of the document. `invalid` names the operation that is malformed or does not apply. */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new GantryError('invalid', 'a JSON patch must be an array of operations', { details: { reason: 'BadRequest' } });
  if (patch.length > maxOperations) throw new GantryError('invalid', `a JSON patch may have at most ${maxOperations} operations`, { details: { reason: 'RequestEntityTooLarge' } });
  const operations = patch.map(parseOperation);
  let result = structuredClone(document);
  for (const [index, operation] of operations.entries()) result = applyOperation(result, operation, `operation ${index} (${operation.op} ${operation.path})`);
  return result;
}

function parseOperation(value: unknown, index: number): Operation {
  const refuse = (why: string): never => {
    throw new GantryError('invalid', `JSON patch operation ${index}: ${why}`, { details: { reason: 'BadRequest' } });
  };
  if (!isFields(value)) return refuse('must be an object');
  const { op, path, from } = value;
  if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) return refuse('path must be a JSON pointer');
  switch (op) {
    case 'add':
    case 'replace':
    case 'test':
      return 'value' in value ? { op, path, value: value['value'] } : refuse('value is missing');
    case 'remove':
      return { op, path };
    case 'move':
    case 'copy':
      return typeof from === 'string' && (from === '' || from.startsWith('/')) ? { op, path, from } : refuse('from must be a JSON pointer');
    default:
      return refuse(`unknown op ${JSON.stringify(op)}`);
  }
}

function applyOperation(document: unknown, operation: Operation, what: string): unknown {
  switch (operation.op) {
    case 'add':
      return add(document, operation.path, structuredClone(operation.value), what);
    case 'replace':
      read(document, operation.path, what);
      return operation.path === '' ? structuredClone(operation.value) : add(remove(document, operation.path, what), operation.path, structuredClone(operation.value), what);
    case 'remove':
      return remove(document, operation.path, what);
    case 'test':
      if (!isDeepStrictEqual(read(document, operation.path, what), operation.value)) throw refused(what, 'the value is different');
      return document;
    case 'copy':
      return add(document, operation.path, structuredClone(read(document, operation.from, what)), what);
    case 'move': {
      if (operation.path.startsWith(`${operation.from}/`)) throw refused(what, 'a value cannot be moved into itself');
      const value = read(document, operation.from, what);
      return add(remove(document, operation.from, what), operation.path, value, what);
    }
  }
}

function tokens(pointer: string): string[] {
  return pointer.split('/').slice(1).map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(document: unknown, pointer: string, what: string): unknown {
  let current = document;
  for (const token of tokens(pointer)) {
    if (Array.isArray(current)) current = current[indexOf(token, current.length - 1, what)];
    else if (isFields(current) && Object.hasOwn(current, token)) current = current[token];
    else throw refused(what, `there is no ${pointer}`);
  }
  return current;
}

function parentOf(document: unknown, pointer: string, what: string): { parent: unknown; token: string } {
  const path = tokens(pointer);
  const token = path.pop() ?? '';
  return { parent: read(document, path.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''), what), token };
}

function add(document: unknown, pointer: string, value: unknown, what: string): unknown {
  if (pointer === '') return value;
  const { parent, token } = parentOf(document, pointer, what);
  if (Array.isArray(parent)) parent.splice(token === '-' ? parent.length : indexOf(token, parent.length, what), 0, value);
  else if (isFields(parent)) define(parent, token, value);
  else throw refused(what, `${pointer} is not in an object or array`);
  return document;
}

function remove(document: unknown, pointer: string, what: string): unknown {
  if (pointer === '') throw refused(what, 'the whole document cannot be removed');
  const { parent, token } = parentOf(document, pointer, what);
  if (Array.isArray(parent)) parent.splice(indexOf(token, parent.length - 1, what), 1);
  else if (isFields(parent) && Object.hasOwn(parent, token)) delete parent[token];
  else throw refused(what, `there is no ${pointer}`);
  return document;
}

function indexOf(token: string, last: number, what: string): number {
  const index = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : -1;
  if (index < 0 || index > last) throw refused(what, `${token} is not an index of the array`);
  return index;
}

/** Sets a field even when it is called `__proto__`. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function refused(what: string, why: string): GantryError {
  return new GantryError('invalid', `the JSON patch does not apply: ${what}: ${why}`);
}
