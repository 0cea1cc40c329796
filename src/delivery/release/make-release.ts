import { gantryApiVersion, type Release, resources, type Stored, type WorkflowRun } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import { checkManifests } from '../manifests/check-manifests.ts';
import { inApplyOrder } from '../manifests/order.ts';
import { parseManifests } from '../manifests/parse-manifests.ts';
import { type BuiltImage, pinImages } from '../manifests/pin-images.ts';
import { stampConfiguration } from '../manifests/stamp-configuration.ts';
import { deployFolder, type DeliveryParts } from '../options.ts';
import { type DeliveryView, lastRuns } from './plan.ts';
import { nextNumber, releaseMetadata } from './rollback.ts';
import { writeStatus } from './write-status.ts';

/**
 * Makes the Release of a commit: manifests read, images pinned, everything checked by dry run. Manifests with mistakes make a release
 * that has failed already, so that the mistake is recorded. Resolves to false when the commit has no manifests.
 */
export async function makeRelease(commit: string, view: DeliveryView, parts: DeliveryParts, signal: AbortSignal): Promise<boolean> {
  const { metadata } = view.repository;
  const namespace = metadata.namespace ?? 'default';
  const files = await parts.source.readManifests({ namespace, name: metadata.name }, commit, deployFolder, signal);
  if (files.length === 0) return false;
  const number = nextNumber(view.releases);
  const runs = lastRuns(view.runs);
  const images = builtImages(runs);
  const { manifests, failure } = await readObjects(files, namespace, metadata.name, images, parts, signal);
  const release: Release = {
    apiVersion: gantryApiVersion,
    kind: 'Release',
    metadata: releaseMetadata(metadata.name, number, { namespace, ownerReferences: [{ apiVersion: gantryApiVersion, kind: 'Repository', name: metadata.name, uid: metadata.uid }] }),
    spec: { repository: metadata.name, commit, ref: `refs/heads/${view.repository.spec?.defaultBranch ?? 'main'}`, number, ...runOf(runs), images, manifests },
  };
  const created = await createOnce(release, parts, signal);
  if (failure !== undefined) await writeStatus(parts.client, created, { phase: 'Failed', reason: 'InvalidManifests', message: failure, finishedAt: new Date().toISOString() }, signal);
  return true;
}

async function readObjects(files: readonly { path: string; text: string }[], namespace: string, repository: string, images: readonly BuiltImage[], parts: DeliveryParts, signal: AbortSignal): Promise<{ manifests: Record<string, unknown>[]; failure?: string }> {
  try {
    const parsed = parseManifests(files).map((manifest) => ({ ...manifest, object: pinImages(manifest.object, images) }));
    if (parsed.length === 0) throw new GantryError('invalid', `${deployFolder}/ has files but no objects`);
    const dryRun = (object: (typeof parsed)[number]['object']): Promise<void> => parts.objects.apply(object, { repository, name: 'check' }, true, signal);
    return { manifests: inApplyOrder(stampConfiguration(await checkManifests(parsed, namespace, parts.kinds, dryRun, signal))) };
  } catch (error) {
    if (!(error instanceof GantryError) || !isError(error, 'invalid', 'unsupported', 'exhausted')) throw error;
    return { manifests: [], failure: error.message };
  }
}

/** A number that is taken was taken by ourselves a moment ago; the next pass sees it. */
async function createOnce(release: Release, { client }: DeliveryParts, signal: AbortSignal): Promise<Stored<Release>> {
  try {
    return await client.create(resources.releases, release, signal);
  } catch (error) {
    if (isError(error, 'already-exists')) throw new GantryError('conflict', 'the release number is taken', { cause: error });
    throw error;
  }
}

/** Images of the runs; of two with one name the later run's counts. */
function builtImages(runs: readonly Stored<WorkflowRun>[]): BuiltImage[] {
  const ordered = runs.toSorted((a, b) => (a.status?.finishedAt ?? '').localeCompare(b.status?.finishedAt ?? ''));
  return [...new Map(ordered.flatMap(({ status }) => status?.images ?? []).map((image) => [image.name, image])).values()];
}

function runOf(runs: readonly Stored<WorkflowRun>[]): { run?: string } {
  const name = runs.at(-1)?.metadata.name;
  return name === undefined ? {} : { run: name };
}
