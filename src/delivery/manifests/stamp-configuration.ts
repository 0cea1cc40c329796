import { shortHash } from '../../kernel/mod.ts';
import type { ManifestObject } from './parse-manifests.ts';

/** On pod templates: which content of the release's ConfigMaps and Secrets they were rolled out with. */
export const configurationAnnotation = 'gantry.dev/configuration';

type Fields = Record<string, unknown>;

/**
 * Copies of the objects in which the pod template of every Deployment, StatefulSet and DaemonSet that uses ConfigMaps or Secrets of the
 * same release carries a hash of their content. So a changed configuration rolls the pods, and a rollback rolls them back.
 */
export function stampConfiguration(objects: readonly ManifestObject[]): ManifestObject[] {
  const contents = new Map(objects.filter(({ kind }) => kind === 'ConfigMap' || kind === 'Secret').map((object) => [`${object.kind}/${object.metadata.name}`, contentOf(object)]));
  return objects.map((object) => {
    const template = templateOf(object);
    if (template === undefined) return object;
    const used = [...referencesOf(template)].filter((name) => contents.has(name)).toSorted();
    if (used.length === 0) return object;
    const copy = structuredClone(object);
    const metadata = fieldsOf(templateOf(copy) ?? {}, 'metadata');
    fieldsOf(metadata, 'annotations')[configurationAnnotation] = shortHash(JSON.stringify(used.map((name) => [name, contents.get(name)])), 16);
    return copy;
  });
}

/** What a pod sees: data, with keys in one order. Labels and the like do not roll anything. */
function contentOf(object: ManifestObject): unknown {
  return ['data', 'stringData', 'binaryData'].map((field) => Object.entries((object[field] ?? {}) as Fields).toSorted(([a], [b]) => a.localeCompare(b)));
}

function templateOf({ kind, ...object }: ManifestObject): Fields | undefined {
  if (!['Deployment', 'StatefulSet', 'DaemonSet'].includes(kind)) return undefined;
  const spec = object['spec'];
  const template = isFields(spec) ? spec['template'] : undefined;
  return isFields(template) ? template : undefined;
}

/** `ConfigMap/name` and `Secret/name` of volumes (also projected), `envFrom` and `valueFrom`, wherever they stand in the template. */
function referencesOf(value: unknown, found: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) for (const item of value) referencesOf(item, found);
  if (!isFields(value)) return found;
  for (const [field, child] of Object.entries(value)) {
    const kind = ({ configMap: 'ConfigMap', configMapRef: 'ConfigMap', configMapKeyRef: 'ConfigMap', secret: 'Secret', secretRef: 'Secret', secretKeyRef: 'Secret' } as Record<string, string>)[field];
    const name = isFields(child) ? (child['secretName'] ?? child['name']) : undefined;
    if (kind !== undefined && typeof name === 'string') found.add(`${kind}/${name}`);
    else referencesOf(child, found);
  }
  return found;
}

/** The object in the field, made if it is not there. */
function fieldsOf(parent: Fields, field: string): Fields {
  const known = parent[field];
  if (isFields(known)) return known;
  const made: Fields = {};
  parent[field] = made;
  return made;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
