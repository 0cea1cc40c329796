import { type k8s, type Release, type Repository, refOf, resources, type Stored, type WorkflowRun } from '../../api/mod.ts';
import type { KubeClient, Lister, Plan, Reconciler } from '../../client/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { readHealth, type WorkloadListers } from '../health/read-health.ts';
import type { DeliveryParts } from '../options.ts';
import { fail, markBad, removeFailedReplicaSets, rollBack } from './conclude.ts';
import { deploy, goLive } from './deploy.ts';
import { makeRelease } from './make-release.ts';
import { appliedCondition, byNumber, hasCondition, isActive, phaseOf } from './phases.ts';
import { type DeliveryAction, type DeliveryView, planDelivery } from './plan.ts';
import { writeStatus } from './write-status.ts';

/** Delivers one repository at a time, from the default branch's commit to a live release. Keys are repositories. */
export class DeliveryReconciler implements Reconciler<DeliveryView, DeliveryAction, never> {
  readonly name = 'delivery';
  readonly #parts: DeliveryParts;
  readonly #runs: Lister<WorkflowRun>;
  readonly #listers: WorkloadListers;
  /** Repository key → commit without manifests. Only saves reading git again; a restart reads once more. */
  readonly #withoutManifests = new Map<string, string>();

  constructor(parts: DeliveryParts, runs: Lister<WorkflowRun>, listers: WorkloadListers) {
    this.#parts = parts;
    this.#runs = runs;
    this.#listers = listers;
  }

  /** Repository and releases are read from the API: a decision on a cache that is behind would deliver twice. */
  async observe(key: string, signal: AbortSignal): Promise<DeliveryView | undefined> {
    const { client } = this.#parts;
    const { namespace = 'default', name } = refOf(key);
    const repository = await findRepository(client, namespace, name, signal);
    if (repository === undefined) return undefined;
    const { items } = await client.list(resources.releases, { namespace }, signal);
    const releases = items.filter(({ spec }) => spec?.repository === name);
    const branch = repository.spec?.defaultBranch ?? 'main';
    const commit = repository.status?.branches?.find((candidate) => candidate.name === branch)?.commit;
    const runs = this.#runs.list(namespace).filter(({ spec }) => spec?.repository === name && spec.commit === commit && spec.ref === `refs/heads/${branch}`);
    const current = byNumber(releases).findLast((release) => isActive[phaseOf(release)]);
    const health = current !== undefined && hasCondition(current, appliedCondition) ? await readHealth(current, client, this.#listers, Date.now(), signal) : undefined;
    return { repository, runs, releases, health, hasNothingToDeliver: commit !== undefined && this.#withoutManifests.get(key) === commit };
  }

  plan(view: DeliveryView): Plan<DeliveryAction, never> {
    return planDelivery(view);
  }

  async act(action: DeliveryAction, view: DeliveryView, signal: AbortSignal): Promise<void> {
    const parts = this.#parts;
    const now = new Date().toISOString();
    switch (action.type) {
      case 'create':
        if (!(await makeRelease(action.commit, view, parts, signal))) this.#withoutManifests.set(`${view.repository.metadata.namespace ?? ''}/${view.repository.metadata.name}`, action.commit);
        return;
      case 'deploy':
        return deploy(action.release, parts, signal);
      case 'report-progress':
        return void (await writeStatus(parts.client, action.release, { message: action.message }, signal));
      case 'go-live':
        await removeFailedReplicaSets(action.release, parts, this.#listers, signal);
        return goLive(action.release, view.releases, parts, signal);
      case 'retire':
        return void (await writeStatus(parts.client, action.release, { phase: action.phase, message: action.message, finishedAt: action.release.status?.finishedAt ?? now }, signal));
      case 'fail':
        return fail(action.release, action.health, action.hasOlderVersion, parts, this.#listers, signal);
      case 'roll-back':
        return rollBack(action.failed, action.target, view.releases, parts, signal);
      case 'mark-bad':
        return markBad(view.repository, action.release, action.reason, parts, signal);
      case 'forget':
        return parts.client.delete(resources.releases, action.release.metadata, {}, signal);
    }
  }
}

async function findRepository(client: KubeClient, namespace: string, name: string, signal: AbortSignal): Promise<Stored<Repository> | undefined> {
  try {
    return await client.get(resources.repositories, { namespace, name }, signal);
  } catch (error) {
    if (isError(error, 'not-found')) return undefined;
    throw error;
  }
}

/** The repository an object belongs to, for the controller's queue. */
export function repositoryKeysOf(object: Release | WorkflowRun): string[] {
  const { metadata, spec } = object;
  return spec === undefined ? [] : [`${metadata?.namespace ?? ''}/${spec.repository}`];
}

/** Deployments carry the repository as a label. */
export function repositoryKeysOfLabelled(object: k8s.Deployment): string[] {
  const name = object.metadata?.labels?.['gantry.dev/repository'];
  return name === undefined ? [] : [`${object.metadata?.namespace ?? ''}/${name}`];
}
