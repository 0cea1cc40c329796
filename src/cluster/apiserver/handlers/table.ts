import { apiVersionOfKind, type ApiObject, type Column, type Kind } from '../kinds/kind.ts';

/** How much of the object a row carries (meta/v1 TableOptions). */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** meta/v1 TableColumnDefinition of every column of a kind. */
export function tableColumns(kind: Kind): unknown[] {
  return kind.columns.map(({ name, type, format, description, priority }) => ({ name, type: type === 'date' ? 'string' : type, format: format ?? (name === 'Name' ? 'name' : ''), description: description ?? `${name} of the object.`, priority: priority ?? 0 }));
}

/** meta/v1 TableRow: the cells, and as much of the object as asked for, so that clients know what the row is. */
export function tableRow(kind: Kind, object: ApiObject, nowMs: number, include: IncludeObject, metaApiVersion: string): unknown {
  return { cells: kind.columns.map((column) => cellOf(column, object, nowMs)), object: rowObject(kind, object, include, metaApiVersion) };
}

function rowObject(kind: Kind, object: ApiObject, include: IncludeObject, metaApiVersion: string): unknown {
  switch (include) {
    case 'None':
      return null;
    case 'Object':
      return { ...object, apiVersion: apiVersionOfKind(kind) };
    case 'Metadata':
      return { kind: 'PartialObjectMetadata', apiVersion: metaApiVersion, metadata: object.metadata };
  }
}

function cellOf(column: Column, object: ApiObject, nowMs: number): unknown {
  return column.cell(object, nowMs);
}
