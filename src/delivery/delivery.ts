import { resources } from '../api/mod.ts';
import { Controller, type Informers, type KubeClient } from '../client/mod.ts';
import type { Logger, Service } from '../kernel/mod.ts';
import { ApiObjects } from './apply/api-objects.ts';
import { KindIndex } from './manifests/kinds.ts';
import type { ManifestSource } from './ports.ts';
import { type DeliveredPush, followDelivery } from './release/follow.ts';
import { DeliveryReconciler, repositoryKeysOf, repositoryKeysOfLabelled } from './release/reconciler.ts';

export interface DeliveryOptions {
  readonly client: KubeClient;
  readonly informers: Informers;
  readonly source: ManifestSource;
  readonly log: Logger;
}

/** The parts of continuous delivery that a process runs and calls. Make it before the informers run. */
export interface Delivery {
  /** Turns green commits into live releases, and bad releases back into old ones. */
  readonly controller: Service;
  /** Tells a pusher how the delivery of a commit goes, until it is live or has failed. */
  follow(push: DeliveredPush, write: (line: string) => void, signal: AbortSignal): Promise<void>;
}

/** What a pass may take: it applies all objects of a release one by one. */
const passMs = 120_000;

export function openDelivery({ client, informers, source, log }: DeliveryOptions): Delivery {
  const kinds = new KindIndex(client);
  const parts = { client, source, kinds, objects: new ApiObjects(client, kinds), log: log.with({ part: 'delivery' }) };
  const releases = informers.of(resources.releases);
  const repositories = informers.of(resources.repositories);
  const runs = informers.of(resources.workflowRuns);
  const reconciler = new DeliveryReconciler(parts, runs, { replicaSets: informers.of(resources.replicaSets), pods: informers.of(resources.pods) });
  const controller = new Controller(reconciler, { workers: 2, timeoutMs: passMs }, log)
    .watch(repositories)
    .watch(releases, repositoryKeysOf)
    .watch(runs, repositoryKeysOf)
    .watch(informers.of(resources.deployments), repositoryKeysOfLabelled);
  return {
    controller,
    follow: (push, write, signal) => followDelivery({ releases, repositories, source }, push, write, signal),
  };
}
