import { type Release, resources, type Stored } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import { planPrune } from '../apply/prune.ts';
import type { ManifestObject } from '../manifests/parse-manifests.ts';
import type { DeliveryParts } from '../options.ts';
import { appliedCondition, liveCondition, titleOf } from './phases.ts';
import { withCondition, writeStatus } from './write-status.ts';

/** Applies a release: a dry run of everything first, then everything in order. May be repeated at any point. */
export async function deploy(release: Stored<Release>, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const manifests = manifestsOf(release);
  const target = { repository: release.spec?.repository ?? '', name: release.metadata.name };
  parts.kinds.learn(manifests);
  const startedAt = release.status?.startedAt ?? new Date().toISOString();
  const started = await writeStatus(parts.client, release, { phase: 'Deploying', startedAt, message: `applying ${manifests.length} objects` }, signal);
  try {
    // What the release itself brings is not there for a dry run of the objects that need it.
    const isSelfContained = !manifests.some(({ kind }) => kind === 'CustomResourceDefinition' || kind === 'Namespace');
    if (isSelfContained) for (const manifest of manifests) await parts.objects.apply(manifest, target, true, signal);
    for (const manifest of manifests) await parts.objects.apply(manifest, target, false, signal);
  } catch (error) {
    if (!isError(error, 'invalid', 'unsupported', 'forbidden', 'not-found')) throw error;
    await writeStatus(parts.client, started, { phase: 'Failed', reason: 'NotApplied', message: error.message, finishedAt: new Date().toISOString() }, signal);
    return;
  }
  const now = new Date().toISOString();
  await writeStatus(parts.client, started, { message: `applied ${manifests.length} objects`, conditions: withCondition(started.status?.conditions, appliedCondition, 'Applied', `${manifests.length} objects`, now) }, signal);
  parts.log.info('release applied', { release: release.metadata.name, objects: manifests.length });
}

/** Declares a release live: its addresses are read, and what its predecessors had and it has not is removed. */
export async function goLive(release: Stored<Release>, all: readonly Stored<Release>[], parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const now = new Date().toISOString();
  const urls = await urlsOf(release, parts, signal);
  const pruned = await pruneOthers(release, all, parts, signal);
  const message = [`live${urls.length === 0 ? '' : ` at ${urls.join(', ')}`}`, ...(pruned.length === 0 ? [] : [`removed ${pruned.join(', ')}`])].join('; ');
  await writeStatus(parts.client, release, { phase: 'Live', reason: 'Available', message, urls, finishedAt: now, conditions: withCondition(release.status?.conditions, liveCondition, 'Available', titleOf(release), now) }, signal);
  parts.log.info('release live', { release: release.metadata.name });
}

async function pruneOthers(release: Stored<Release>, all: readonly Stored<Release>[], parts: DeliveryParts, signal: AbortSignal): Promise<string[]> {
  const others = all.filter((other) => other.metadata.uid !== release.metadata.uid).map(manifestsOf);
  const pruned: string[] = [];
  for (const item of planPrune(manifestsOf(release), others)) {
    if (await parts.objects.prune(item, release.spec?.repository ?? '', signal)) pruned.push(`${item.kind} ${item.name}`);
  }
  return pruned;
}

/** Where the application answers: the node ports of its services, on this machine's loopback. */
async function urlsOf(release: Stored<Release>, { client }: DeliveryParts, signal: AbortSignal): Promise<string[]> {
  const urls: string[] = [];
  for (const { kind, apiVersion, metadata } of manifestsOf(release)) {
    if (kind !== 'Service' || apiVersion !== 'v1') continue;
    const service = await client.get(resources.services, { namespace: metadata.namespace ?? 'default', name: metadata.name }, signal);
    if (service.spec?.type !== 'NodePort' && service.spec?.type !== 'LoadBalancer') continue;
    for (const { nodePort, protocol } of service.spec.ports ?? []) if (nodePort !== undefined && (protocol ?? 'TCP') === 'TCP') urls.push(`http://127.0.0.1:${nodePort}`);
  }
  return urls;
}

/** The manifests were checked when the release was made; the API keeps them as they were. */
export function manifestsOf(release: Stored<Release>): ManifestObject[] {
  const { manifests } = release.spec ?? {};
  if (manifests === undefined) throw new GantryError('internal', `release ${release.metadata.name} has no manifests`);
  return manifests as ManifestObject[];
}
