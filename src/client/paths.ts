import type { KubeObject, ObjectRef, ResourceType } from '../api/mod.ts';
import { GantryError } from '../kernel/mod.ts';

type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** The path of a kind's collection; of all namespaces when `namespace` is undefined. */
export function collectionPath(type: ResourceType, namespace?: string): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.isNamespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${type.plural}`;
}

/** The path of one object. `invalid` when a namespaced kind comes without a namespace or without a name. */
export function objectPath(type: ResourceType, ref: ObjectRef, subresource?: string): string {
  if (ref.name === '') throw new GantryError('invalid', `${type.kind}: a name is needed`);
  const path = `${collectionPath(type, namespaceOf(type, ref.namespace))}/${encodeURIComponent(ref.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** The namespace that a namespaced kind must have. */
export function namespaceOf(type: ResourceType, namespace: string | undefined): string | undefined {
  if (!type.isNamespaced) return undefined;
  if (namespace === undefined || namespace === '') throw new GantryError('invalid', `${type.kind}: a namespace is needed`);
  return namespace;
}

/** Name and namespace of an object that is to be written. */
export function writtenRef(object: KubeObject): ObjectRef {
  const { name, namespace } = object.metadata ?? {};
  return { name: name ?? '', ...(namespace === undefined ? {} : { namespace }) };
}

/** `path?a=1&b=2`; undefined values are left out, lists repeat their name. */
export function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const item of value) parameters.append(name, item);
    else parameters.append(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}
