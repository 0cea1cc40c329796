import { applyDefaults, compileCustomObject, JsonPath, type ApiSchema, type k8s, type SchemaNode } from '../../../api/mod.ts';
import { ageSince } from '../kinds/age.ts';
import { ageColumn, nameColumn } from '../kinds/columns.ts';
import { allVerbs } from '../kinds/define.ts';
import type { ApiObject, Column, Kind, Strategy } from '../kinds/kind.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { validateValue } from '../validation/schema-values.ts';
import { compileRules } from './cel/compile-rules.ts';
import { runRules } from './cel/run-rules.ts';

/** The kinds a definition serves: one for each served version, all over the same objects. */
export function customKinds(definition: k8s.CustomResourceDefinition, metadata: SchemaNode): Kind[] {
  const { spec } = definition;
  const storage = spec.versions.find((version) => version.storage)?.name ?? '';
  return spec.versions.filter((version) => version.served).map((version) => customKind(definition, version, storage, metadata));
}

function customKind(definition: k8s.CustomResourceDefinition, version: k8s.CustomResourceDefinitionVersion, storageVersion: string, metadata: SchemaNode): Kind {
  const { spec } = definition;
  const { names, group } = spec;
  const node = compileCustomObject(customSchema(version), metadata);
  const { status, scale } = version.subresources ?? {};
  const isGoing = definition.metadata?.deletionTimestamp !== undefined;
  return {
    type: { group, version: version.name, plural: names.plural, kind: names.kind, isNamespaced: spec.scope === 'Namespaced' },
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    node,
    schemaId: `${group.split('.').toReversed().join('.')}.${version.name}.${names.kind}`,
    strategy: customStrategy(node),
    nameRule: 'subdomain',
    // Nothing new once the definition is being deleted.
    verbs: isGoing ? allVerbs.filter((verb) => verb !== 'create') : allVerbs,
    hasStatus: status !== undefined,
    hasGeneration: true,
    ...(scale === undefined ? {} : { scale: { specReplicas: fieldPath(scale.specReplicasPath), statusReplicas: fieldPath(scale.statusReplicasPath), labelSelector: scale.labelSelectorPath === undefined ? [] : fieldPath(scale.labelSelectorPath) } }),
    subresources: [],
    columns: customColumns(version.additionalPrinterColumns ?? []),
    selectableFields: Object.fromEntries((version.selectableFields ?? []).map(({ jsonPath }) => [jsonPath.replace(/^\./, ''), selectableField(jsonPath)])),
    allowsUnconditionalUpdate: false,
    ...(version.deprecated === true ? { deprecation: version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated` } : {}),
    isCustom: true,
    keyPrefix: `/${group}/${names.plural}/`,
    storageVersion,
    storageGroup: group,
  };
}

/** The version's schema in the form our own code reads. */
export function customSchema(version: k8s.CustomResourceDefinitionVersion): ApiSchema {
  return (version.schema?.openAPIV3Schema ?? {}) as ApiSchema;
}

function customStrategy(node: SchemaNode): Strategy {
  const rules = compileRules(node, '', new FieldErrors());
  const properties = [...(node.properties ?? [])].filter(([name]) => name !== 'metadata' && name !== 'apiVersion' && name !== 'kind');
  // Metadata has its own rules; what the definition says of it is not enforced.
  const body: SchemaNode = { ...node, properties: new Map(properties), required: node.required.filter((name) => name !== 'metadata' && name !== 'apiVersion' && name !== 'kind') };
  const bodyOf = ({ apiVersion: _a, kind: _k, metadata: _m, ...rest }: ApiObject): Record<string, unknown> => rest;
  return {
    defaults: (object) => applyDefaults(body, object),
    validate: (object, errors, old, warnings = []) => {
      const before = errors.places.length;
      validateValue(body, bodyOf(object), '', errors, old === undefined ? undefined : bodyOf(old));
      // Rules may rely on what the schema demands.
      if (errors.places.length === before) runRules(rules, node, object, old, { errors, warnings });
    },
  };
}

function fieldPath(path: string): string[] {
  return path.split('.').filter((part) => part !== '');
}

function selectableField(jsonPath: string): (object: ApiObject) => string {
  const path = JsonPath.parse(jsonPath);
  return (object) => {
    const [value] = path.find(object);
    return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  };
}

function customColumns(given: readonly k8s.CustomResourceColumnDefinition[]): Column[] {
  return given.length === 0 ? [nameColumn, ageColumn] : [nameColumn, ...given.map(customColumn)];
}

function customColumn({ name, type, format, description, priority, jsonPath }: k8s.CustomResourceColumnDefinition): Column {
  const path = JsonPath.parse(jsonPath);
  return {
    name,
    type: type as Column['type'],
    ...(format === undefined ? {} : { format }),
    description: description ?? `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    ...(priority === undefined ? {} : { priority }),
    cell: (object, nowMs) => cellOf(type, path.find(object), nowMs),
  };
}

function cellOf(type: string, found: readonly unknown[], nowMs: number): string | number | boolean | null {
  const [value] = found;
  if (value === undefined || value === null) return null;
  if (type === 'date') return typeof value === 'string' ? ageSince(value, nowMs) : null;
  if (type === 'integer' || type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  if (found.length > 1) return found.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
