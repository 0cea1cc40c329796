import { type FieldRequirement, type LabelRequirement, matchesLabels, parseFieldSelector, parseLabelSelector } from '../../../api/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';
import { type ApiObject, apiVersionOfKind, type Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';

/** What a list or watch wants to see. */
export interface Selection {
  /** Empty: all namespaces. */
  readonly namespace: string;
  /** Set when only one name can match, by `metadata.name=` or by a watch on one object. */
  readonly name: string | undefined;
  readonly isAll: boolean;
  matches(object: StoredObject): boolean;
}

/** Reads the selectors of a query. 400 when they cannot be read or name a field that the kind does not offer. */
export function parseSelection(kind: Kind, namespace: string, query: URLSearchParams): Selection {
  const labels = parsed('labelSelector', query, parseLabelSelector);
  const fields = parsed('fieldSelector', query, parseFieldSelector);
  for (const { field } of fields) {
    if (field === 'metadata.name' || (field === 'metadata.namespace' && kind.type.isNamespaced) || kind.selectableFields[field] !== undefined) continue;
    const of = `${apiVersionOfKind(kind)}, Resource=${kind.type.plural}`;
    throw badRequest(`Unable to find ${JSON.stringify(kind.type.group === '' ? `/${of}` : of)} that match label selector ${JSON.stringify(query.get('labelSelector') ?? '')}, field selector ${JSON.stringify(query.get('fieldSelector') ?? '')}: field label not supported: ${field}`);
  }
  const name = fields.find(({ field, isEqual }) => field === 'metadata.name' && isEqual)?.value;
  const within = fields.find(({ field, isEqual }) => field === 'metadata.namespace' && isEqual)?.value;
  return {
    namespace: namespace === '' && within !== undefined ? within : namespace,
    name,
    isAll: labels.length === 0 && fields.length === 0,
    matches: labels.length === 0 && fields.length === 0 ? () => true : ({ object }) => matchesLabels(labels, object.metadata.labels) && fields.every((field) => matchesField(kind, object, field)),
  };
}

function parsed<T extends LabelRequirement | FieldRequirement>(parameter: string, query: URLSearchParams, parse: (text: string) => T[]): T[] {
  try {
    return parse(query.get(parameter) ?? '');
  } catch (error) {
    throw isError(error, 'invalid') ? badRequest(`unable to parse ${parameter}: ${error.message}`, error) : error;
  }
}

function matchesField(kind: Kind, object: ApiObject, { field, isEqual, value }: FieldRequirement): boolean {
  const { metadata } = object;
  const actual = field === 'metadata.name' ? metadata.name : field === 'metadata.namespace' ? (metadata.namespace ?? '') : (kind.selectableFields[field]?.(object) ?? '');
  return (actual === value) === isEqual;
}
