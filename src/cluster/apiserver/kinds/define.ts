import type { BuiltinSchemas, KubeObject, ResourceType } from '../../../api/mod.ts';
import { ageColumn, nameColumn } from './columns.ts';
import type { Column, Conversion, Kind, ScalePaths, Strategy, Verb } from './kind.ts';

/** One entry of the table of built-in kinds. What is absent has the usual value. */
export interface KindEntry<T extends KubeObject = KubeObject> {
  readonly type: ResourceType<T>;
  /** OpenAPI package of the kind's schema, for example `io.k8s.api.core.v1`. */
  readonly schemaPackage: string;
  /** Default: the kind's name. */
  readonly schemaName?: string;
  /** For versions that are views of another one. */
  readonly stored?: { readonly group?: string; readonly version: string; readonly conversion: Conversion };
  readonly deprecation?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly strategy?: Strategy<T>;
  /** Default `subdomain`. */
  readonly nameRule?: Kind['nameRule'];
  readonly verbs?: readonly Verb[];
  /** Default: the schema has a status. */
  readonly hasStatus?: boolean;
  /** Default: the same as hasStatus. */
  readonly hasGeneration?: boolean;
  readonly scale?: ScalePaths;
  readonly subresources?: Kind['subresources'];
  /** Between the name and the age. */
  readonly columns?: readonly ColumnOf<T>[];
  /** All columns, where the usual frame does not fit. */
  readonly allColumns?: readonly ColumnOf<T>[];
  /** Columns after the age. */
  readonly wideColumns?: readonly ColumnOf<T>[];
  readonly selectableFields?: Readonly<Record<string, (object: T) => string>>;
}

/** A column whose cell is typed by the kind. */
export type ColumnOf<T> = Omit<Column, 'cell'> & { cell(object: T, nowMs: number): string | number | boolean | null };

export const allVerbs: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** Ties a table entry to its kind's type. */
export function entry<T extends KubeObject>(kindEntry: KindEntry<T>): KindEntry {
  return kindEntry as unknown as KindEntry;
}

/** A table entry as a served kind. */
export function buildKind(given: KindEntry, schemas: BuiltinSchemas): Kind {
  const { type } = given;
  const schemaId = `${given.schemaPackage}.${given.schemaName ?? type.kind}`;
  const node = schemas.node(schemaId);
  const storageGroup = given.stored?.group ?? type.group;
  const hasStatus = given.hasStatus ?? node.properties?.has('status') === true;
  return {
    type,
    singular: type.kind.toLowerCase(),
    shortNames: given.shortNames ?? [],
    categories: given.categories ?? [],
    node,
    schemaId,
    strategy: (given.strategy ?? {}),
    nameRule: given.nameRule ?? 'subdomain',
    verbs: given.verbs ?? allVerbs,
    hasStatus,
    hasGeneration: given.hasGeneration ?? hasStatus,
    ...(given.scale === undefined ? {} : { scale: given.scale }),
    subresources: given.subresources ?? [],
    columns: (given.allColumns) ?? [nameColumn, ...((given.columns ?? []) as readonly Column[]), ageColumn, ...((given.wideColumns ?? []) as readonly Column[])],
    selectableFields: (given.selectableFields ?? {}),
    allowsUnconditionalUpdate: true,
    ...(given.deprecation === undefined ? {} : { deprecation: given.deprecation }),
    isCustom: false,
    keyPrefix: `/${storageGroup === '' ? 'core' : storageGroup}/${type.plural}/`,
    storageVersion: given.stored?.version ?? type.version,
    storageGroup,
    ...(given.stored === undefined ? {} : { conversion: given.stored.conversion }),
  };
}
