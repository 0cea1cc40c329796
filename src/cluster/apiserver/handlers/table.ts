import type { ApiObject, Column, Kind } from '../kinds/kind.ts';

/** meta/v1 TableColumnDefinition of every column of a kind. */
export function tableColumns(kind: Kind): unknown[] {
  return kind.columns.map(({ name, type, format, description, priority }) => ({ name, type: type === 'date' ? 'string' : type, format: format ?? (name === 'Name' ? 'name' : ''), description: description ?? `${name} of the object.`, priority: priority ?? 0 }));
}

/** meta/v1 TableRow: the cells, and the object's metadata so that clients know what the row is. */
export function tableRow(kind: Kind, object: ApiObject, nowMs: number): unknown {
  return {
    cells: kind.columns.map((column) => cellOf(column, object, nowMs)),
    object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
  };
}

function cellOf(column: Column, object: ApiObject, nowMs: number): unknown {
  return column.cell(object, nowMs);
}
