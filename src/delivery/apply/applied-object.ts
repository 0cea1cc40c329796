import type { KubeObject } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { ManifestObject } from '../manifests/parse-manifests.ts';
import { threeWayMerge } from './three-way.ts';

/** On every object delivery applies: the repository it comes from. Pruning touches nothing without it. */
export const repositoryLabel = 'gantry.dev/repository';
/** What delivery applied last, as JSON, so that a field that vanishes from a manifest vanishes from the object. */
export const lastAppliedAnnotation = 'gantry.dev/last-applied';
/** The release that applied the object last. */
export const releaseAnnotation = 'gantry.dev/release';

export interface Applying {
  readonly repository: string;
  readonly release: string;
  /** The object is scaled by an autoscaler: replicas of a manifest count only when it is created. */
  readonly isScaledByOthers: boolean;
}

/** The manifest as it is sent when there is no such object yet. */
export function toCreate(manifest: ManifestObject, applying: Applying): ManifestObject {
  return mark(manifest, manifest, applying);
}

/**
 * The live object with the manifest applied, to be written back under the live object's resourceVersion; undefined when nothing would change.
 * `forbidden` when the object belongs to another repository.
 */
export function toUpdate(manifest: ManifestObject, live: KubeObject, applying: Applying): ManifestObject | undefined {
  const owner = live.metadata?.labels?.[repositoryLabel];
  if (owner !== undefined && owner !== applying.repository) {
    throw new GantryError('forbidden', `${manifest.kind} ${manifest.metadata.name} belongs to the repository ${owner}`);
  }
  const marked = applying.isScaledByOthers ? mark(withReplicas(manifest, replicasOf(live)), withReplicas(manifest, undefined), applying) : mark(manifest, manifest, applying);
  const last = readLast(live);
  const { status: _, ...current } = live as Record<string, unknown>;
  const merged = threeWayMerge(last, marked, current) as ManifestObject;
  return deepEqual(withoutRelease(merged), withoutRelease(current)) ? undefined : merged;
}

function mark(object: ManifestObject, applied: ManifestObject, { repository, release }: Applying): ManifestObject {
  const { metadata } = object;
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [repositoryLabel]: repository },
      annotations: { ...metadata.annotations, [releaseAnnotation]: release, [lastAppliedAnnotation]: JSON.stringify(applied) },
    },
  };
}

/** A first take-over of an object that kubectl applied starts from what kubectl recorded. */
function readLast(live: KubeObject): unknown {
  const text = live.metadata?.annotations?.[lastAppliedAnnotation] ?? live.metadata?.annotations?.['kubectl.kubernetes.io/last-applied-configuration'];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // Damaged by hand: nothing is removed then, which is the careful side.
    return undefined;
  }
}

function replicasOf(object: KubeObject & { spec?: { replicas?: unknown } }): unknown {
  return object.spec?.replicas;
}

/** The manifest with these replicas instead of its own; undefined leaves the field out. */
function withReplicas(manifest: ManifestObject, replicas: unknown): ManifestObject {
  const { replicas: _, ...rest } = (manifest['spec'] ?? {}) as Record<string, unknown>;
  return { ...manifest, spec: replicas === undefined ? rest : { ...rest, replicas } };
}

/** An object that only carries another release's name is not worth a write. */
function withoutRelease(object: Readonly<Record<string, unknown>>): unknown {
  const copy = structuredClone(object) as { metadata?: { annotations?: Record<string, string> } };
  delete copy.metadata?.annotations?.[releaseAnnotation];
  return copy;
}

function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => key in right && deepEqual(left[key], right[key]));
}
