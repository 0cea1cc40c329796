import { anyNode, type ApiSchema, compileCustomObject, compilePattern, JsonPath, type k8s, type SchemaNode } from '../../../api/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import { compileRules } from './cel/compile-rules.ts';

/** Stands for ObjectMeta, of which rules see little. */
const metadataNode: SchemaNode = { ...anyNode, type: 'object', name: 'ObjectMeta' };

/** Groups of Kubernetes' own kinds, which no definition may add to. */
const reservedGroups = new Set(['apps', 'batch', 'autoscaling', 'policy', 'events.k8s.io', 'coordination.k8s.io', 'discovery.k8s.io', 'rbac.authorization.k8s.io', 'apiextensions.k8s.io', 'metrics.k8s.io']);

/** What a CustomResourceDefinition must be before it is served. What is not supported is said here. */
export function validateDefinition({ metadata, spec }: k8s.CustomResourceDefinition, errors: FieldErrors): void {
  if (spec?.names === undefined || spec.versions === undefined) return;
  const { group, names } = spec;
  if (metadata?.name !== `${names.plural}.${group}`) errors.invalid('metadata.name', metadata?.name, 'must be spec.names.plural+"."+spec.group');
  validateGroup(group, errors);
  validateNames(names, errors);
  if (spec.scope !== 'Namespaced' && spec.scope !== 'Cluster') errors.unsupported('spec.scope', spec.scope, ['Cluster', 'Namespaced']);
  if (spec.conversion?.strategy !== 'None') errors.unsupported('spec.conversion.strategy', spec.conversion?.strategy, ['None']);
  if (spec.preserveUnknownFields === true) errors.invalid('spec.preserveUnknownFields', true, 'must be false in order to use defaults in the schema');
  if (spec.versions.filter((version) => version.storage).length !== 1) errors.invalid('spec.versions', spec.versions.map(({ name }) => name), 'must have exactly one version marked as storage version');
  const seen = new Set<string>();
  for (const [index, version] of spec.versions.entries()) {
    if (seen.has(version.name)) errors.invalid('spec.versions', version.name, 'must contain unique version names');
    seen.add(version.name);
    validateVersion(version, `spec.versions[${index}]`, errors);
  }
}

function validateGroup(group: string, errors: FieldErrors): void {
  const problem = nameProblem('subdomain', group);
  if (problem !== undefined) errors.invalid('spec.group', group, problem);
  else if (!group.includes('.')) errors.invalid('spec.group', group, 'should be a domain with at least one dot');
  else if (reservedGroups.has(group)) errors.invalid('spec.group', group, 'is a group of built-in kinds');
}

function validateNames(names: k8s.CustomResourceDefinitionNames, errors: FieldErrors): void {
  const lower = { plural: names.plural, singular: names.singular };
  for (const [field, name] of Object.entries(lower)) {
    const problem = name === undefined ? undefined : nameProblem('dns1035', name);
    if (problem !== undefined) errors.invalid(`spec.names.${field}`, name, problem);
  }
  for (const field of ['kind', 'listKind'] as const) {
    const problem = nameProblem('dns1035', names[field]?.toLowerCase() ?? '');
    if (problem !== undefined) errors.invalid(`spec.names.${field}`, names[field], `may have mixed case, but should otherwise match: ${problem}`);
  }
  if (names.kind === names.listKind) errors.invalid('spec.names.listKind', names.listKind, 'kind and listKind may not be the same');
  for (const [index, name] of (names.shortNames ?? []).entries()) {
    const problem = nameProblem('dns1035', name);
    if (problem !== undefined) errors.invalid(`spec.names.shortNames[${index}]`, name, problem);
  }
}

function validateVersion(version: k8s.CustomResourceDefinitionVersion, at: string, errors: FieldErrors): void {
  const problem = nameProblem('dns1035', version.name);
  if (problem !== undefined) errors.invalid(`${at}.name`, version.name, problem);
  const schema = version.schema?.openAPIV3Schema as ApiSchema | undefined;
  const schemaAt = `${at}.schema.openAPIV3Schema`;
  if (schema === undefined) errors.required(schemaAt, 'schemas are required');
  else if (schema.type !== 'object') errors.invalid(`${schemaAt}.type`, schema.type, 'must be object at the root');
  else {
    const before = errors.places.length;
    validateSchema(schema, schemaAt, errors);
    // Rules are read only when the schema they rely on is sound.
    if (errors.places.length === before) compileRules(compileCustomObject(schema, metadataNode), schemaAt, errors);
  }
  for (const [index, column] of (version.additionalPrinterColumns ?? []).entries()) validateColumn(column, `${at}.additionalPrinterColumns[${index}]`, errors);
  for (const [index, field] of (version.selectableFields ?? []).entries()) validatePath(field.jsonPath, `${at}.selectableFields[${index}].jsonPath`, errors, true);
  const scale = version.subresources?.scale;
  if (scale === undefined) return;
  if (!scale.specReplicasPath.startsWith('.spec.')) errors.invalid(`${at}.subresources.scale.specReplicasPath`, scale.specReplicasPath, 'should be a json path under .spec');
  if (!scale.statusReplicasPath.startsWith('.status.')) errors.invalid(`${at}.subresources.scale.statusReplicasPath`, scale.statusReplicasPath, 'should be a json path under .status');
}

function validateColumn(column: k8s.CustomResourceColumnDefinition, at: string, errors: FieldErrors): void {
  const types = ['boolean', 'date', 'integer', 'number', 'string'];
  if (!types.includes(column.type)) errors.unsupported(`${at}.type`, column.type, types);
  validatePath(column.jsonPath, `${at}.jsonPath`, errors, false);
}

function validatePath(path: string, at: string, errors: FieldErrors, isSimple: boolean): void {
  if (!path.startsWith('.')) return errors.invalid(at, path, 'must be a simple json path starting with .');
  try {
    const parsed = JsonPath.parse(path);
    if (isSimple && parsed.fields === undefined) errors.invalid(at, path, 'must be a path of fields');
  } catch (error) {
    if (!isError(error, 'invalid')) throw error;
    errors.invalid(at, path, error.message);
  }
}

/** Keywords that structural schemas do not have (CustomResourceDefinition documentation, "Specifying a structural schema"). */
const forbiddenKeywords = ['$ref', '$schema', 'id', 'definitions', 'dependencies', 'patternProperties', 'additionalItems', 'deprecated', 'discriminator', 'readOnly', 'writeOnly', 'xml'];

function validateSchema(schema: ApiSchema, at: string, errors: FieldErrors): void {
  const isTyped = schema.type !== undefined || schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (!isTyped) errors.required(`${at}.type`, 'must not be empty for specified object fields');
  const types = ['object', 'array', 'string', 'integer', 'number', 'boolean'];
  if (schema.type !== undefined && !types.includes(schema.type)) errors.unsupported(`${at}.type`, schema.type, types);
  for (const keyword of forbiddenKeywords) if (keyword in schema) errors.forbidden(`${at}.${keyword}`, `${keyword} is not supported`);
  if (schema.uniqueItems === true) errors.forbidden(`${at}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic');
  if (schema.properties !== undefined && schema.additionalProperties !== undefined) errors.forbidden(`${at}.additionalProperties`, 'additionalProperties and properties are mutual exclusive');
  if (schema.type === 'array' && schema.items === undefined) errors.required(`${at}.items`, 'must be specified');
  if (schema['x-kubernetes-list-type'] === 'map' && !Array.isArray(schema['x-kubernetes-list-map-keys'])) errors.required(`${at}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map');
  if (schema.pattern !== undefined && !isPattern(schema.pattern)) errors.invalid(`${at}.pattern`, schema.pattern, 'must be a valid regular expression');
  for (const [name, property] of Object.entries(schema.properties ?? {})) validateSchema(property, `${at}.properties[${name}]`, errors);
  if (typeof schema.additionalProperties === 'object') validateSchema(schema.additionalProperties, `${at}.additionalProperties`, errors);
  if (schema.items !== undefined) validateSchema(schema.items, `${at}.items`, errors);
  for (const keyword of ['allOf', 'anyOf', 'oneOf'] as const) for (const [index, branch] of (schema[keyword] ?? []).entries()) validateBranch(branch, schema, `${at}.${keyword}[${index}]`, errors);
  if (schema.not !== undefined) validateBranch(schema.not, schema, `${at}.not`, errors);
}

/** Branches hold value checks only; everything else belongs to the schema around them. */
function validateBranch(branch: ApiSchema, parent: ApiSchema, at: string, errors: FieldErrors): void {
  const isTypeAllowed = parent['x-kubernetes-int-or-string'] === true;
  for (const keyword of Object.keys(branch)) {
    const isStructure = keyword.startsWith('x-kubernetes-') || ['default', 'nullable', 'additionalProperties', 'description', 'title'].includes(keyword) || (keyword === 'type' && !isTypeAllowed);
    if (isStructure) errors.forbidden(`${at}.${keyword}`, 'must be empty to be structural');
  }
  for (const [name, property] of Object.entries(branch.properties ?? {})) {
    const outer = parent.properties?.[name];
    if (outer === undefined && typeof parent.additionalProperties !== 'object') errors.required(`${at.replace(/\.(allOf|anyOf|oneOf)\[\d+\]$|\.not$/, '')}.properties[${name}]`, `because it is defined in ${at}.properties[${name}]`);
    validateBranch(property, outer ?? {}, `${at}.properties[${name}]`, errors);
  }
}

function isPattern(pattern: string): boolean {
  try {
    return compilePattern(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}
