import type { KubeObject, ResourceType, SchemaNode } from '../../../api/mod.ts';
import type { StoredMeta } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { NameRule } from '../validation/names.ts';

/** An object as it travels through the machine: its metadata is complete, the rest is the kind's business. */
export interface ApiObject extends KubeObject {
  apiVersion: string;
  kind: string;
  metadata: StoredMeta;
  spec?: unknown;
  status?: unknown;
  [field: string]: unknown;
}

/** What a strategy may ask of the server while it prepares an object. */
export interface PrepareContext {
  readonly now: string;
  /** Objects of another kind, as they are now. */
  list(type: ResourceType, namespace?: string): Iterable<ApiObject>;
  /** Where preparation reports what is wrong; it is told together with what validation finds. */
  readonly problems: FieldErrors;
  /** Called when the write is over, whether it succeeded or not. */
  onFinished(release: () => void): void;
}

/** What is special about a kind. Every part is optional; `T` is the kind's own type. */
export interface Strategy<T extends KubeObject = ApiObject> {
  /** Fills in what the user left out. Runs on whatever a user sends, before validation. Must be idempotent. */
  defaults?(object: T): void;
  /** Sets what the server decides: allocations, finalizers, first status. Runs after defaults. */
  prepareCreate?(object: T, context: PrepareContext): void;
  prepareUpdate?(object: T, old: T, context: PrepareContext): void;
  /** `old`: what it replaces, for rules about both; fixed fields are `validateUpdate`'s. `warnings`: what is wrong but was so before. */
  validate?(object: T, errors: FieldErrors, old?: T, warnings?: string[]): void;
  /** What may not change. Runs beside `validate`. */
  validateUpdate?(object: T, old: T, errors: FieldErrors): void;
  /** Warnings for the user about an accepted object, one sentence each. */
  warnings?(object: T): string[];
}

/** One cell a row of `kubectl get`. `priority` 1 shows only with `-o wide`. */
export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
  cell(object: ApiObject, nowMs: number): string | number | boolean | null;
}

/** Where the scale subresource finds its numbers, as paths of fields. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  /** A label selector in text form; absent: `spec.selector` is a LabelSelector. */
  readonly labelSelector?: readonly string[];
}

/** Between a version and the stored one, for versions whose fields differ. Both ways are pure and keep everything. */
export interface Conversion {
  toStored(object: ApiObject): ApiObject;
  fromStored(object: ApiObject): ApiObject;
  /** What this version demands of a new object beyond what the stored one does, with this version's field paths. */
  validateCreate?(object: ApiObject, errors: FieldErrors): void;
}

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

/** One served kind in one version: the machine's whole knowledge of it. */
export interface Kind {
  readonly type: ResourceType;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly node: SchemaNode;
  /** Id of the schema among the OpenAPI components. */
  readonly schemaId: string;
  readonly strategy: Strategy;
  readonly nameRule: NameRule;
  readonly verbs: readonly Verb[];
  /** Status is written only through the status subresource. */
  readonly hasStatus: boolean;
  /** `metadata.generation` counts changes of what is not metadata or status. */
  readonly hasGeneration: boolean;
  readonly scale?: ScalePaths;
  /** Further subresources, for discovery. */
  readonly subresources: readonly { name: string; kind: string; group?: string; version?: string; verbs: readonly string[] }[];
  readonly columns: readonly Column[];
  /** Fields that selectors may name beside metadata.name and metadata.namespace. */
  readonly selectableFields: Readonly<Record<string, (object: ApiObject) => string>>;
  readonly allowsUnconditionalUpdate: boolean;
  /** Told to whoever uses this version. */
  readonly deprecation?: string;
  /** Defined by a CustomResourceDefinition. */
  readonly isCustom: boolean;
  /** All objects' keys begin with it, in every version: `/apps/deployments/`. */
  readonly keyPrefix: string;
  /** The version objects are stored in. */
  readonly storageVersion: string;
  /** The group of that version: another one when a kind is a view of a kind in an older group. */
  readonly storageGroup: string;
  /** Absent: the version differs from the stored one in its apiVersion only, if at all. */
  readonly conversion?: Conversion;
}

/** `v1` or `apps/v1`. */
export function apiVersionOfKind({ type }: Kind): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** The store key of an object. */
export function objectKey(kind: Kind, namespace: string, name: string): string {
  return kind.type.isNamespaced ? `${kind.keyPrefix}${namespace}/${name}` : `${kind.keyPrefix}${name}`;
}

/** The prefix of all keys, or of one namespace's. */
export function listPrefix(kind: Kind, namespace: string): string {
  return kind.type.isNamespaced && namespace !== '' ? `${kind.keyPrefix}${namespace}/` : kind.keyPrefix;
}
