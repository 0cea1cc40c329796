import type { SchemaNode } from '../../../../api/mod.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';

/** Checks the field path of a rule: `.spec.size`, `['a.b']`; it must lead to a property or a value of a map. */
export function parseFieldPath(path: string, root: SchemaNode, at: string, errors: FieldErrors): void {
  let node: SchemaNode | undefined = root;
  let rest = path;
  while (rest !== '') {
    const match = /^(?:\.([A-Za-z_][A-Za-z0-9_-]*)|\['((?:[^'\\]|\\.)*)'\])/.exec(rest);
    if (match === null) return errors.invalid(at, path, 'fieldPath must be a valid path: expected .name or [\'name\']');
    const name = (match[1] ?? match[2] ?? '').replaceAll(/\\(.)/g, '$1');
    const next: SchemaNode | undefined = node.properties?.get(name) ?? node.values;
    if (next === undefined) return errors.invalid(at, path, 'fieldPath must be a valid path: does not refer to a valid field');
    node = next;
    rest = rest.slice(match[0].length);
  }
}

/** The path that an error is told at: the value's own, followed by the rule's. */
export function joinFieldPath(at: string, path: string): string {
  const shown = path.replaceAll(/\['((?:[^'\\]|\\.)*)'\]/g, (_, name: string) => `[${name.replaceAll(/\\(.)/g, '$1')}]`);
  return at === '' ? shown.replace(/^\./, '') : at + shown;
}
