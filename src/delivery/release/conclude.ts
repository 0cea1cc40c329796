import { type k8s, type Release, type Repository, resources, type Stored } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { Health } from '../health/assess.ts';
import { describePods } from '../health/describe-failure.ts';
import { newestReplicaSet, readWorkloads, type WorkloadListers } from '../health/read-health.ts';
import type { DeliveryParts } from '../options.ts';
import { manifestsOf } from './deploy.ts';
import { numberOf } from './phases.ts';
import { rollbackRelease } from './rollback.ts';
import { writeStatus } from './write-status.ts';

/** On ReplicaSets of a failed release, so that they can be removed once the old version is live again. */
const failedAnnotation = 'gantry.dev/failed-release';

/** Records why a release failed. With an older version to go back to its phase is RolledBack, and the rollback follows from that. */
export async function fail(release: Stored<Release>, health: Extract<Health, { state: 'failed' }>, hasOlderVersion: boolean, parts: DeliveryParts, listers: WorkloadListers, signal: AbortSignal): Promise<void> {
  const workloads = await readWorkloads(release, parts.client, listers, signal);
  const pods = workloads.flatMap(({ newPods }) => newPods);
  const why = describePods(pods, await eventsOf(pods, parts, signal));
  const message = `${health.message}${why === undefined ? '' : `: ${why}`}`;
  if (hasOlderVersion) await markReplicaSets(release, workloads.map(({ deployment }) => deployment), parts, listers, signal);
  await writeStatus(parts.client, release, { phase: hasOlderVersion ? 'RolledBack' : 'Failed', reason: health.reason, message: hasOlderVersion ? `rolled back: ${message}` : message, finishedAt: new Date().toISOString() }, signal);
  parts.log.info('release failed', { release: release.metadata.name, reason: health.reason });
}

async function eventsOf(pods: readonly k8s.Pod[], { client }: DeliveryParts, signal: AbortSignal): Promise<k8s.Event[]> {
  const namespace = pods[0]?.metadata?.namespace;
  if (namespace === undefined) return [];
  return (await client.list(resources.events, { namespace, fieldSelector: 'involvedObject.kind=Pod' }, signal)).items;
}

/** `kubectl rollout undo` goes to the revision before; a revision that was found bad must not be that one (docs/adr/0008). */
async function markReplicaSets(release: Stored<Release>, deployments: readonly k8s.Deployment[], { client }: DeliveryParts, listers: WorkloadListers, signal: AbortSignal): Promise<void> {
  for (const deployment of deployments) {
    const newest = newestReplicaSet(deployment as Stored<k8s.Deployment>, listers);
    if (newest === undefined) continue;
    await client.patch(resources.replicaSets, newest.metadata, { type: 'merge', body: { metadata: { annotations: { [failedAnnotation]: release.metadata.name } } } }, signal);
  }
}

/** Makes the release that re-applies `target`. A no-op when its number was taken a moment ago: the next pass sees that one. */
export async function rollBack(failed: Stored<Release>, target: Stored<Release>, all: readonly Stored<Release>[], parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  try {
    await parts.client.create(resources.releases, rollbackRelease(all, failed, target), signal);
    parts.log.info('rolling back', { from: numberOf(failed), to: numberOf(target) });
  } catch (error) {
    if (!isError(error, 'already-exists')) throw error;
  }
}

/** After a rollback is live: removes the scaled-down ReplicaSets of the release it took back. */
export async function removeFailedReplicaSets(release: Stored<Release>, parts: DeliveryParts, listers: WorkloadListers, signal: AbortSignal): Promise<void> {
  const failed = release.spec?.rollbackOf;
  if (failed === undefined) return;
  const namespaces = new Set(manifestsOf(release).map(({ metadata }) => metadata.namespace ?? 'default'));
  for (const replicaSet of [...namespaces].flatMap((namespace) => listers.replicaSets.list(namespace))) {
    const { metadata, spec, status } = replicaSet;
    if (metadata.annotations?.[failedAnnotation] !== failed || spec?.replicas !== 0 || (status?.replicas ?? 0) !== 0) continue;
    await parts.client.delete(resources.replicaSets, metadata, { propagationPolicy: 'Background', preconditions: { uid: metadata.uid } }, signal);
  }
}

/** Records against the commit why it was taken back: in the Repository's status and as a git note. */
export async function markBad(repository: Stored<Repository>, release: Stored<Release>, reason: string, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const commit = release.spec?.commit ?? '';
  const { namespace = 'default', name } = repository.metadata;
  try {
    await parts.source.annotateCommit({ namespace, name }, commit, `${release.metadata.name}: ${reason}\n`, signal);
  } catch (error) {
    // The commit may be gone by a forced push; the record in the resource is what counts.
    parts.log.warn('commit not annotated', { repository: name, commit, err: error });
  }
  const entry = { commit, reason, release: release.metadata.name, time: new Date().toISOString() };
  const badCommits = [...(repository.status?.badCommits ?? []), entry].slice(-100);
  await parts.client.updateStatus(resources.repositories, { ...repository, status: { ...repository.status, badCommits } }, signal);
}
