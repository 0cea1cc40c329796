import { type ErrorPlace, GantryError, isError } from '../../kernel/mod.ts';
import type { ApiObjects } from '../apply/api-objects.ts';
import { definedKinds, type KindIndex } from './kinds.ts';
import { type Manifest, manifestError, type ManifestObject } from './parse-manifests.ts';

/** Kinds that a repository may not deliver, with the reason. */
const refusedKinds: Readonly<Record<string, string>> = {
  Repository: 'repositories are not delivered by a repository',
  WorkflowRun: 'runs are made by pushes',
  ImageBuild: 'image builds are made by runs',
  Release: 'releases are made by delivery',
  Node: 'nodes register themselves',
  Event: 'events are written by controllers',
};

/**
 * Checks all manifests before anything is applied: kind served, namespace the repository's own, and a dry run of every object.
 * Returns the objects with their namespace filled in. `invalid` with file and line of every problem.
 */
export async function checkManifests(manifests: readonly Manifest[], namespace: string, kinds: KindIndex, dryRun: (object: ManifestObject, signal: AbortSignal) => ReturnType<ApiObjects['apply']>, signal: AbortSignal): Promise<ManifestObject[]> {
  const places: ErrorPlace[] = [];
  const own = definitionsOf(manifests);
  kinds.learn(manifests.map(({ object }) => object));
  const objects: ManifestObject[] = [];
  for (const manifest of manifests) {
    const problem = await checkScope(manifest, namespace, kinds, signal);
    if (typeof problem === 'string') {
      places.push({ file: manifest.file, ...manifest.locate(problem.startsWith('metadata') ? 'metadata.namespace' : 'kind'), message: problem });
      continue;
    }
    objects.push(problem);
    // The API cannot check an object whose kind or namespace this very release brings.
    if (own.has(`${problem.apiVersion}/${problem.kind}`)) continue;
    places.push(...(await dryRunPlaces(manifest, problem, dryRun, signal)));
  }
  if (places.length > 0) throw manifestError(places);
  return objects;
}

function definitionsOf(manifests: readonly Manifest[]): Set<string> {
  return new Set(manifests.flatMap(({ object }) => definedKinds(object)).map(({ group, version, kind }) => `${group}/${version}/${kind}`));
}

/** The object with its namespace, or what is wrong. */
async function checkScope({ object }: Manifest, namespace: string, kinds: KindIndex, signal: AbortSignal): Promise<ManifestObject | string> {
  const { apiVersion, kind, metadata } = object;
  const refusal = apiVersion.startsWith('gantry.dev/') || apiVersion === 'v1' ? refusedKinds[kind] : undefined;
  if (refusal !== undefined) return `${kind}: ${refusal}`;
  const type = await kinds.find(apiVersion, kind, signal);
  if (type === undefined) return `the API serves no kind ${kind} in ${apiVersion}`;
  if (!type.isNamespaced) return object;
  if (metadata.namespace !== undefined && metadata.namespace !== namespace) return `metadata.namespace is ${JSON.stringify(metadata.namespace)}, but this repository delivers to ${JSON.stringify(namespace)}`;
  return { ...object, metadata: { ...metadata, namespace } };
}

async function dryRunPlaces(manifest: Manifest, object: ManifestObject, dryRun: (object: ManifestObject, signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<ErrorPlace[]> {
  const title = `${object.kind} ${object.metadata.name}`;
  try {
    await dryRun(object, signal);
    return [];
  } catch (error) {
    if (!(error instanceof GantryError) || !isError(error, 'invalid', 'unsupported', 'forbidden', 'not-found')) throw error;
    const fields = error.places.filter(({ field }) => field !== undefined && field !== '');
    if (fields.length === 0) return [{ file: manifest.file, ...manifest.locate('kind'), message: `${title}: ${error.message}` }];
    return fields.map(({ field, message }) => ({ file: manifest.file, ...manifest.locate(field ?? ''), ...(field === undefined ? {} : { field }), message }));
  }
}
