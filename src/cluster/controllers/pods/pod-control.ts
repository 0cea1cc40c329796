import { type k8s, keyOf, type KubeObject, refOf, type ResourceType, resources, type Stored } from '../../../api/mod.ts';
import type { EventRecorder, KubeClient } from '../../../client/mod.ts';
import { formatError, isError, randomNameSuffix } from '../../../kernel/mod.ts';
import type { Expectations } from '../expectations.ts';
import { controllerReference } from '../ownership/claim.ts';

/** How many requests the first batch of creations makes; each batch doubles while all succeed, so that a quota is not hammered. */
const firstBatchSize = 4;

/** Kubernetes cuts generated names so that the suffix always fits. */
const maxGeneratedPrefix = 58;

/** Creates and deletes the pods of one kind of owner, remembering what the cache does not show yet. */
export class PodControl {
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #expectations: Expectations;

  constructor(client: KubeClient, events: EventRecorder, expectations: Expectations) {
    this.#client = client;
    this.#events = events;
    this.#expectations = expectations;
  }

  /** Creates pods in growing batches; after a failed one no further is tried and the first failure is thrown. */
  async createMany(owner: Stored<KubeObject>, pods: readonly k8s.Pod[], signal: AbortSignal): Promise<void> {
    let size = firstBatchSize;
    for (let start = 0; start < pods.length; start += size / 2) {
      const results = await Promise.allSettled(pods.slice(start, start + size).map((pod) => this.create(owner, pod, signal)));
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      size *= 2;
    }
  }

  async create(owner: Stored<KubeObject>, pod: k8s.Pod, signal: AbortSignal): Promise<void> {
    const key = keyOf(pod);
    this.#expectations.expectCreation(owner.metadata.uid, key);
    try {
      await this.#client.create(resources.pods, pod, signal);
      this.#events.normal(owner, 'SuccessfulCreate', `Created pod: ${pod.metadata?.name ?? ''}`);
    } catch (error) {
      this.#expectations.createdOrFailed(owner.metadata.uid, key);
      // A namespace that is being deleted refuses everything; its own controller removes the owner too.
      if (!isError(error, 'cancelled')) this.#events.warning(owner, 'FailedCreate', `Error creating: ${formatError(error)}`);
      throw error;
    }
  }

  /** Asks for all deletions at once; the first failure is thrown when all have answered. */
  async deleteMany(owner: Stored<KubeObject>, pods: readonly Stored<k8s.Pod>[], signal: AbortSignal): Promise<void> {
    const results = await Promise.allSettled(pods.map((pod) => this.delete(owner, pod, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async delete(owner: Stored<KubeObject>, pod: Stored<k8s.Pod>, signal: AbortSignal): Promise<void> {
    const { uid, name } = pod.metadata;
    this.#expectations.expectDeletion(uid);
    try {
      await this.#client.delete(resources.pods, refOf(keyOf(pod)), { preconditions: { uid } }, signal);
      this.#events.normal(owner, 'SuccessfulDelete', `Deleted pod: ${name}`);
    } catch (error) {
      this.#expectations.deletionFailed(uid);
      // Another pod has the name by now, so this one is gone.
      if (isError(error, 'conflict')) return;
      this.#events.warning(owner, 'FailedDelete', `Error deleting: ${formatError(error)}`);
      throw error;
    }
  }
}

/** A pod of the template, owned by `owner`, under a fresh name of its own. */
export function podFromTemplate(type: ResourceType, owner: Stored<KubeObject>, template: k8s.PodTemplateSpec | undefined, name?: string): k8s.Pod {
  const prefix = `${owner.metadata.name}-`.slice(0, maxGeneratedPrefix);
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  return {
    metadata: {
      ...(name === undefined ? { generateName: prefix } : {}),
      name: name ?? prefix + randomNameSuffix(),
      namespace: owner.metadata.namespace,
      labels,
      annotations,
      finalizers,
      ownerReferences: [controllerReference(type, owner)],
    },
    spec: template?.spec,
  };
}
