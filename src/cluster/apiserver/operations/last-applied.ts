import { type FieldPath, flattenObject, isFields } from '../../../api/mod.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';

/** Where client-side `kubectl apply` keeps what it applied. */
const annotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** The manager that moves from client-side to server-side apply without conflicts. */
export const kubectlManager = 'kubectl';

/** Fields that client-side apply set and nobody has changed since: server-side apply by kubectl may take them over. */
export function lastAppliedFields(kind: Kind, live: ApiObject): Set<FieldPath> {
  const text = live.metadata.annotations?.[annotation];
  if (text === undefined) return new Set();
  const now = flattenObject(kind.node, live);
  const then = flattenObject(kind.node, parsed(text));
  return new Set([...then].filter(([path, value]) => now.get(path) === value).map(([path]) => path));
}

/** Keeps the annotation of client-side apply current, so that going back to it works. */
export function updateLastApplied(result: ApiObject, config: ApiObject): void {
  const { annotations } = result.metadata;
  if (annotations?.[annotation] === undefined) return;
  const { uid: _u, resourceVersion: _r, ...metadata } = config.metadata;
  result.metadata.annotations = { ...annotations, [annotation]: JSON.stringify({ ...config, metadata }) };
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}
