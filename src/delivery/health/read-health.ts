import { type k8s, type Release, resources, type Stored } from '../../api/mod.ts';
import type { KubeClient, Lister } from '../../client/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { manifestsOf } from '../release/deploy.ts';
import { assessHealth, type Health, type WorkloadView } from './assess.ts';

/** Caches of what belongs to Deployments. */
export interface WorkloadListers {
  readonly replicaSets: Lister<k8s.ReplicaSet>;
  readonly pods: Lister<k8s.Pod>;
}

/**
 * The health of an applied release. Deployments are read from the API and not from a cache: a cache that is a moment behind would
 * show the version before, healthy.
 */
export async function readHealth(release: Stored<Release>, client: KubeClient, listers: WorkloadListers, now: number, signal: AbortSignal): Promise<Health> {
  const workloads = await readWorkloads(release, client, listers, signal);
  return assessHealth(workloads, now - Date.parse(release.status?.startedAt ?? new Date(now).toISOString()));
}

/** The release's Deployments with the pods of their newest template. One that was deleted by hand counts as nothing to wait for. */
export async function readWorkloads(release: Stored<Release>, client: KubeClient, listers: WorkloadListers, signal: AbortSignal): Promise<WorkloadView[]> {
  const workloads: WorkloadView[] = [];
  for (const { kind, metadata } of manifestsOf(release)) {
    if (kind !== 'Deployment') continue;
    try {
      const deployment = await client.get(resources.deployments, { namespace: metadata.namespace ?? 'default', name: metadata.name }, signal);
      const newest = newestReplicaSet(deployment, listers);
      workloads.push({ deployment, newPods: newest === undefined ? [] : listers.pods.ownedBy(newest.metadata.uid) });
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }
  return workloads;
}

const revisionAnnotation = 'deployment.kubernetes.io/revision';

/** The ReplicaSet of the Deployment's current template, by its revision (Kubernetes docs, Deployments, "Checking rollout history"). */
export function newestReplicaSet(deployment: Stored<k8s.Deployment>, { replicaSets }: Pick<WorkloadListers, 'replicaSets'>): Stored<k8s.ReplicaSet> | undefined {
  const revision = (object: k8s.ReplicaSet): number => Number(object.metadata?.annotations?.[revisionAnnotation] ?? 0);
  return replicaSets.ownedBy(deployment.metadata.uid).toSorted((a, b) => revision(b) - revision(a))[0];
}
