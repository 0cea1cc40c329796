import { type KubeObject, type ResourceType, type Stored, resources } from '../../api/mod.ts';
import { collectionPath, type KubeClient, objectPath } from '../../client/mod.ts';
import { type Backoff, GantryError, isError, retry } from '../../kernel/mod.ts';
import type { KindIndex } from '../manifests/kinds.ts';
import type { ManifestObject } from '../manifests/parse-manifests.ts';
import { type Applying, repositoryLabel, toCreate, toUpdate } from './applied-object.ts';
import type { InventoryItem } from './prune.ts';

const writeBackoff: Backoff = { initialMs: 5, factor: 2, maxMs: 500, jitter: 0.5 };

/** Writes a release's objects to the API, one at a time and idempotently. */
export class ApiObjects {
  readonly #client: KubeClient;
  readonly #kinds: KindIndex;

  constructor(client: KubeClient, kinds: KindIndex) {
    this.#client = client;
    this.#kinds = kinds;
  }

  /** Creates the object or brings the existing one to what the manifest says. With `isDryRun` the API only checks. */
  async apply(manifest: ManifestObject, release: { repository: string; name: string }, isDryRun: boolean, signal: AbortSignal): Promise<void> {
    // Controllers write the same objects' status all the time: read and merge again when one was quicker.
    const isRetryable = (error: unknown): boolean => isError(error, 'conflict', 'already-exists');
    await retry((stop) => this.#applyOnce(manifest, release, isDryRun, stop), { attempts: 10, backoff: writeBackoff, isRetryable }, signal);
  }

  async #applyOnce(manifest: ManifestObject, release: { repository: string; name: string }, isDryRun: boolean, signal: AbortSignal): Promise<void> {
    const type = await this.#typeOf(manifest, signal);
    const live = await this.#find(type, manifest.metadata, signal);
    const applying: Applying = { repository: release.repository, release: release.name, isScaledByOthers: live !== undefined && (await this.#isAutoscaled(manifest, signal)) };
    const query = `?fieldManager=gantry-delivery&fieldValidation=Strict${isDryRun ? '&dryRun=All' : ''}`;
    if (live === undefined) {
      await this.#client.request('POST', `${collectionPath(type, manifest.metadata.namespace)}${query}`, toCreate(manifest, applying), signal);
      return;
    }
    const changed = toUpdate(manifest, live, applying);
    if (changed !== undefined) await this.#client.request('PUT', `${objectPath(type, manifest.metadata)}${query}`, changed, signal);
  }

  /** Deletes an object that vanished from the manifests, if delivery made it for this repository. */
  async prune(item: InventoryItem, repository: string, signal: AbortSignal): Promise<boolean> {
    const type = await this.#kinds.find(item.apiVersion, item.kind, signal);
    if (type === undefined) return false;
    const live = await this.#find(type, item, signal);
    if (live === undefined || live.metadata.labels?.[repositoryLabel] !== repository) return false;
    await this.#client.delete(type, live.metadata, { propagationPolicy: 'Background', preconditions: { uid: live.metadata.uid } }, signal);
    return true;
  }

  async #typeOf({ apiVersion, kind }: ManifestObject, signal: AbortSignal): Promise<ResourceType> {
    const type = await this.#kinds.find(apiVersion, kind, signal);
    if (type === undefined) throw new GantryError('invalid', `the API serves no kind ${kind} in ${apiVersion}`, { places: [{ field: 'kind', message: `the API serves no kind ${kind} in ${apiVersion}` }] });
    return type;
  }

  async #find(type: ResourceType, ref: { name: string; namespace?: string | undefined }, signal: AbortSignal): Promise<Stored<KubeObject> | undefined> {
    try {
      return await this.#client.get(type, { name: ref.name, ...(type.isNamespaced && ref.namespace !== undefined ? { namespace: ref.namespace } : {}) }, signal);
    } catch (error) {
      if (isError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  /** Whether a HorizontalPodAutoscaler names the object as its target. */
  async #isAutoscaled({ kind, metadata }: ManifestObject, signal: AbortSignal): Promise<boolean> {
    if (!['Deployment', 'StatefulSet', 'ReplicaSet'].includes(kind)) return false;
    const { items } = await this.#client.list(resources.horizontalPodAutoscalers, { namespace: metadata.namespace ?? 'default' }, signal);
    return items.some(({ spec }) => spec?.scaleTargetRef.kind === kind && spec.scaleTargetRef.name === metadata.name);
  }
}
