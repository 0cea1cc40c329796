import { apiVersionOf, keyOf, refOf, type Repository, type RepositoryStatus, resources, type Stored } from '../api/mod.ts';
import type { KubeClient, Lister, Plan, Reconciler } from '../client/mod.ts';
import { isError, type Logger, systemClock } from '../kernel/mod.ts';
import { defaultNamespace, refNameProblem, type RepositoryName } from './names.ts';
import type { BranchPolicy } from './push/judge.ts';
import { pruneCandidates } from './push/receiver.ts';
import type { RepositoryRoot } from './repository-root.ts';

/** Keeps a deleted Repository until its folder is gone. */
export const repositoryFinalizer = 'gantry.dev/git';
export const standardDefaultBranch = 'main';

/** The branches may also be changed by people with access to the folder, so they are looked at again after this time. */
const rescanMs = 30_000;
const candidateMaxAgeMs = 14 * 24 * 3600 * 1000;

export interface ObservedRepository {
  readonly resource: Stored<Repository>;
  /** Undefined when there is no folder. */
  readonly folder: { readonly headBranch: string | undefined; readonly branches: readonly { name: string; commit: string }[] } | undefined;
}

export type RepositoryAction = { type: 'add-finalizer' } | { type: 'create' } | { type: 'set-head' } | { type: 'prune' } | { type: 'remove' };
export type RepositoryReport = Required<Pick<RepositoryStatus, 'branches' | 'conditions'>>;

/** What a Repository asks for, with defaults. */
export function policyOf(repository: Repository): BranchPolicy {
  const defaultBranch = repository.spec?.defaultBranch ?? standardDefaultBranch;
  return { defaultBranch, protectedBranches: repository.spec?.protectedBranches ?? [defaultBranch] };
}

/** Pure: what to do so that the folder is as the resource asks, and what to say of it. */
export function planRepository({ resource, folder }: ObservedRepository): Plan<RepositoryAction, RepositoryReport> {
  const hasFinalizer = resource.metadata.finalizers?.includes(repositoryFinalizer) === true;
  if (resource.metadata.deletionTimestamp !== undefined) return { actions: hasFinalizer ? [{ type: 'remove' }] : [] };
  const { defaultBranch } = policyOf(resource);
  const problem = refNameProblem(`refs/heads/${defaultBranch}`);
  if (problem !== undefined) return { actions: [], status: reportOf(resource, folder, 'False', 'InvalidDefaultBranch', `spec.defaultBranch: ${problem}`) };
  const actions: RepositoryAction[] = [];
  if (!hasFinalizer) actions.push({ type: 'add-finalizer' });
  if (folder === undefined) actions.push({ type: 'create' });
  else if (folder.headBranch !== defaultBranch) actions.push({ type: 'set-head' });
  else actions.push({ type: 'prune' });
  return { actions, status: reportOf(resource, folder, 'True', 'Served', 'the repository accepts pushes'), requeueAfterMs: rescanMs };
}

function reportOf(resource: Stored<Repository>, folder: ObservedRepository['folder'], status: 'True' | 'False', reason: string, message: string): RepositoryReport {
  const previous = resource.status?.conditions?.find(({ type }) => type === 'Ready');
  const lastTransitionTime = previous?.status === status ? previous.lastTransitionTime : new Date(systemClock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  const others = (resource.status?.conditions ?? []).filter(({ type }) => type !== 'Ready');
  return { branches: [...(folder?.branches ?? [])], conditions: [...others, { type: 'Ready', status, reason, message, lastTransitionTime }] };
}

export interface RepositoryReconcilerOptions {
  readonly client: KubeClient;
  readonly repositories: Lister<Repository>;
  readonly root: RepositoryRoot;
  readonly log: Logger;
}

/** Makes folders of Repository resources, and the resources' branches out of the folders' refs. */
export class RepositoryReconciler implements Reconciler<ObservedRepository, RepositoryAction, RepositoryReport> {
  readonly name = 'repository';
  readonly #options: RepositoryReconcilerOptions;

  constructor(options: RepositoryReconcilerOptions) {
    this.#options = options;
  }

  async observe(key: string, signal: AbortSignal): Promise<ObservedRepository | undefined> {
    const resource = this.#options.repositories.get(key);
    if (resource === undefined) return undefined;
    const repository = await this.#options.root.find(nameOf(resource));
    if (repository === undefined) return { resource, folder: undefined };
    const [headBranch, heads] = await Promise.all([repository.headBranch(signal), repository.refs('refs/heads/', signal)]);
    return { resource, folder: { headBranch, branches: heads.map(({ ref, commit }) => ({ name: ref.slice('refs/heads/'.length), commit })) } };
  }

  plan(observed: ObservedRepository): Plan<RepositoryAction, RepositoryReport> {
    return planRepository(observed);
  }

  async act(action: RepositoryAction, { resource }: ObservedRepository, signal: AbortSignal): Promise<void> {
    const name = nameOf(resource);
    const { root } = this.#options;
    switch (action.type) {
      case 'add-finalizer':
        return this.#setFinalizers(resource, [...(resource.metadata.finalizers ?? []), repositoryFinalizer], signal);
      case 'create':
        return void (await root.create(name, policyOf(resource).defaultBranch, signal));
      case 'set-head':
        return (await root.get(name)).setHeadBranch(policyOf(resource).defaultBranch, signal);
      case 'prune':
        return pruneCandidates(await root.get(name), () => false, candidateMaxAgeMs, signal);
      case 'remove':
        await root.remove(name);
        return this.#setFinalizers(resource, (resource.metadata.finalizers ?? []).filter((finalizer) => finalizer !== repositoryFinalizer), signal);
    }
  }

  async report(status: RepositoryReport, { resource }: ObservedRepository, signal: AbortSignal): Promise<void> {
    const { branches = [], conditions = [] } = resource.status ?? {};
    if (JSON.stringify([branches, conditions]) === JSON.stringify([status.branches, status.conditions])) return;
    await this.#options.client.patch(resources.repositories, refOf(keyOf(resource)), { type: 'merge', subresource: 'status', body: { status } }, signal);
  }

  async #setFinalizers(resource: Stored<Repository>, finalizers: string[], signal: AbortSignal): Promise<void> {
    const body = { metadata: { finalizers, resourceVersion: resource.metadata.resourceVersion } };
    await this.#options.client.patch(resources.repositories, refOf(keyOf(resource)), { type: 'merge', body }, signal);
  }
}

/** Makes a Repository resource for every folder that has none, so that a folder of bare repositories can simply be served. */
export async function adoptRepositories({ client, repositories, root, log }: RepositoryReconcilerOptions, signal: AbortSignal): Promise<void> {
  const found = await root.list();
  for (const folder of found.unusable) log.warn('repository folder not served: its name must be lower-case letters, digits and dashes', { folder });
  for (const name of found.repositories) {
    if (repositories.get(keyOf(name)) !== undefined) continue;
    const repository = await root.get(name);
    await root.adopt(name);
    const defaultBranch = (await repository.headBranch(signal)) ?? standardDefaultBranch;
    const type = resources.repositories;
    try {
      await client.create(type, { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { namespace: name.namespace, name: name.name }, spec: { defaultBranch } }, signal);
      log.info('repository adopted', { repository: keyOf(name) });
    } catch (error) {
      if (!isError(error, 'already-exists')) throw error;
    }
  }
}

function nameOf(resource: Stored<Repository>): RepositoryName {
  return { namespace: resource.metadata.namespace ?? defaultNamespace, name: resource.metadata.name };
}

