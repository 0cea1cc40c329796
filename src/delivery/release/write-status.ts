import { type k8s, type Release, type ReleaseStatus, resources, type Stored } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';

/** The release's conditions with one of them set to True. */
export function withCondition(conditions: readonly k8s.Condition[] | undefined, type: string, reason: string, message: string, now: string): k8s.Condition[] {
  return [...(conditions ?? []).filter((condition) => condition.type !== type), { type, status: 'True', reason, message, lastTransitionTime: now }];
}

/** Changes the status under the resourceVersion that was read, so that two writers cannot undo each other: `conflict` then. */
export async function writeStatus(client: KubeClient, release: Stored<Release>, change: ReleaseStatus, signal: AbortSignal): Promise<Stored<Release>> {
  return client.updateStatus(resources.releases, { ...release, status: { ...release.status, ...change } }, signal);
}
