import type { ManifestObject } from '../manifests/parse-manifests.ts';

/** Which object: enough to find it in the API. */
export interface InventoryItem {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
}

/**
 * Objects of other releases of the repository that the given one does not have, in the reverse of the order they were applied in.
 * Namespaces and definitions stay: deleting them deletes what people put in them.
 */
export function planPrune(current: readonly ManifestObject[], others: readonly (readonly ManifestObject[])[]): InventoryItem[] {
  const kept = new Set(current.map(identity));
  const found = new Map<string, InventoryItem>();
  for (const object of others.flat()) {
    const key = identity(object);
    if (kept.has(key) || ['Namespace', 'CustomResourceDefinition'].includes(object.kind)) continue;
    found.set(key, { apiVersion: object.apiVersion, kind: object.kind, name: object.metadata.name, namespace: object.metadata.namespace });
  }
  return [...found.values()].toReversed();
}

/** The version of an API is not part of an object's identity, its group is. */
function identity({ apiVersion, kind, metadata }: ManifestObject): string {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
  return [group, kind, metadata.namespace ?? '', metadata.name].join('/');
}
