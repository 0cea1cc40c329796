import { isError, type Logger, type Service, systemClock, throwIfAborted } from '../../kernel/mod.ts';
import type { BlobStore } from '../../store/mod.ts';
import type { RulesOf } from '../ports.ts';
import type { DiskBudget } from './disk-budget.ts';
import { planCollection } from './plan-collection.ts';
import { leaseMs, type Repositories } from './repositories.ts';
import type { Sweeping } from './sweeping.ts';

export interface CollectorOptions {
  /** Digests that something outside of the registry refers to. Asked at every collection; when it fails, nothing is collected. */
  readonly roots: (signal: AbortSignal) => Promise<ReadonlySet<string>>;
  /** How long what nothing refers to stays. Longer than any push between its first blob and its manifest. Default an hour. */
  readonly graceMs?: number;
  /** How long an upload may stand still. Default a day. */
  readonly uploadGraceMs?: number;
  /** Time between collections. Default ten minutes. */
  readonly intervalMs?: number;
}

/** One thing that was, or in a dry run would be, removed. */
export interface CollectedItem {
  readonly kind: 'tag' | 'manifest' | 'link' | 'blob' | 'upload';
  readonly repository?: string;
  /** Of an upload its id, of a tag the tag. */
  readonly digest: string;
  readonly reason: string;
  readonly sizeBytes: number;
}

export interface CollectionReport {
  readonly items: readonly CollectedItem[];
  /** Of blobs and uploads; manifests and links are counted with their blobs. */
  readonly freedBytes: number;
  readonly keptBytes: number;
  readonly budgetBytes?: number;
}

export interface CollectorParts {
  readonly repositories: Repositories;
  readonly blobs: BlobStore;
  readonly sweeping: Sweeping;
  readonly rulesOf: RulesOf;
  readonly budget: DiskBudget;
  readonly log: Logger;
}

const hourMs = 3_600_000;

/**
 * Removes what nothing refers to while pushes go on. What is found is decided once more with all links held back, so that
 * a reference made in between is seen; a crash leaves only what the next collection finds again.
 */
export class RegistryCollector implements Service {
  readonly name = 'registry collector';
  readonly #parts: CollectorParts;
  readonly #options: Required<CollectorOptions>;

  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: CollectorParts, options: CollectorOptions) {
    this.#parts = parts;
    this.#options = { graceMs: leaseMs, uploadGraceMs: 24 * hourMs, intervalMs: 600_000, ...options };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const { intervalMs } = this.#options;
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      try {
        // The first comes soon: until then nobody knows how much of the budget is used.
        await systemClock.sleep(isFirst ? Math.min(intervalMs, 10_000) : intervalMs, signal);
        const { items, freedBytes, keptBytes } = await this.collect({ isDryRun: false }, signal);
        if (items.length > 0) log.info('registry collected', { items: items.length, freedBytes, keptBytes });
      } catch (error) {
        if (!signal.aborted) log.warn('the registry could not be collected', { err: error });
      }
    }
  }

  /** One collection at a time; a second waits. A dry run changes nothing and tells what would go. */
  async collect(how: { isDryRun: boolean }, signal: AbortSignal): Promise<CollectionReport> {
    const turn = this.#last.then(() => this.#collect(how, signal));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #collect({ isDryRun }: { isDryRun: boolean }, signal: AbortSignal): Promise<CollectionReport> {
    const roots = await this.#options.roots(signal);
    const items: CollectedItem[] = [];
    const repositories = await this.#parts.repositories.listAll();
    const linked = new Set<string>();
    const uploads = await this.#uploads(signal);
    for (const repository of repositories) {
      throwIfAborted(signal);
      items.push(...(isDryRun ? await this.#planned(repository, roots, uploads.living) : await this.#sweepRepository(repository, roots, uploads.living)));
      await this.#addLinks(repository, linked, isDryRun ? items.filter(({ kind }) => kind !== 'tag') : []);
    }
    items.push(...(await this.#sweepUploads(uploads.abandoned, isDryRun)));
    let [freedBytes, keptBytes] = [0, 0];
    for await (const { digest, sizeBytes, modifiedAtMs } of this.#parts.blobs.list()) {
      throwIfAborted(signal);
      const isOld = Date.now() - modifiedAtMs >= this.#options.graceMs;
      const isRemoved = !linked.has(digest) && isOld && (isDryRun || (await this.#removeBlob(digest)));
      if (isRemoved) items.push({ kind: 'blob', digest, reason: 'no repository has it', sizeBytes });
      if (isRemoved) freedBytes += sizeBytes;
      else keptBytes += sizeBytes;
    }
    freedBytes += items.filter(({ kind }) => kind === 'upload').reduce((total, { sizeBytes }) => total + sizeBytes, 0);
    if (!isDryRun) this.#parts.budget.measured(keptBytes);
    const { budgetBytes } = this.#parts.budget;
    return { items, freedBytes, keptBytes, ...(budgetBytes === undefined ? {} : { budgetBytes }) };
  }

  async #planned(repository: string, roots: ReadonlySet<string>, living: ReadonlySet<string>): Promise<CollectedItem[]> {
    const { repositories, blobs } = this.#parts;
    const began = await Promise.all((await repositories.uploads(repository)).filter((id) => living.has(id)).map((id) => repositories.uploadBegan(repository, id)));
    const pushingSinceMs = began.filter((at) => at !== undefined).toSorted((a, b) => a - b)[0];
    const view = await repositories.view(repository);
    const { tags, manifests, blobs: links } = planCollection(view, { roots, nowMs: Date.now(), graceMs: this.#options.graceMs, pushingSinceMs, rules: this.#parts.rulesOf(repository) });
    const items: CollectedItem[] = tags.map(({ tag, reason }) => ({ kind: 'tag', repository, digest: tag, reason, sizeBytes: 0 }));
    for (const { digest, reason } of manifests) items.push({ kind: 'manifest', repository, digest, reason, sizeBytes: view.manifests.get(digest)?.sizeBytes ?? 0 });
    for (const { digest, reason } of links) items.push({ kind: 'link', repository, digest, reason, sizeBytes: (await blobs.stat(digest))?.sizeBytes ?? 0 });
    return items;
  }

  /** Plans without holding anybody up first: most of the time there is nothing to do. */
  async #sweepRepository(repository: string, roots: ReadonlySet<string>, living: ReadonlySet<string>): Promise<CollectedItem[]> {
    const { repositories, sweeping } = this.#parts;
    if ((await this.#planned(repository, roots, living)).length === 0) return [];
    return sweeping.remove(async () => {
      const items = await this.#planned(repository, roots, living);
      for (const { kind, digest } of items) {
        if (kind === 'tag') await repositories.removeTag(repository, digest);
        else if (kind === 'manifest') await repositories.removeManifest(repository, digest);
        else await repositories.removeBlob(repository, digest);
      }
      return items;
    });
  }

  /** What the repository refers to, besides what a dry run would remove. */
  async #addLinks(repository: string, linked: Set<string>, removed: readonly CollectedItem[]): Promise<void> {
    const { repositories } = this.#parts;
    const isGone = (digest: string): boolean => removed.some((item) => item.repository === repository && item.digest === digest);
    for await (const digest of repositories.blobs(repository)) if (!isGone(digest)) linked.add(digest);
    for await (const digest of repositories.manifests(repository)) if (!isGone(digest)) linked.add(digest);
  }

  /** False when a repository has come to refer to it. */
  async #removeBlob(digest: string): Promise<boolean> {
    const { repositories, blobs, sweeping } = this.#parts;
    return sweeping.remove(async () => {
      for (const repository of await repositories.listAll()) {
        if ((await repositories.hasBlob(repository, digest)) || (await repositories.manifest(repository, digest)) !== undefined) return false;
      }
      // A push may have stored it again; then its time is new.
      const info = await blobs.stat(digest);
      return info !== undefined && Date.now() - info.modifiedAtMs >= this.#options.graceMs && blobs.delete(digest);
    });
  }

  /** The uploads that go on, and those to which nothing has come for too long. */
  async #uploads(signal: AbortSignal): Promise<{ living: Set<string>; abandoned: CollectedItem[] }> {
    const living = new Set<string>();
    const abandoned: CollectedItem[] = [];
    for await (const { id, sizeBytes, modifiedAtMs } of this.#parts.blobs.listUploads()) {
      throwIfAborted(signal);
      if (Date.now() - modifiedAtMs < this.#options.uploadGraceMs) living.add(id);
      else abandoned.push({ kind: 'upload', digest: id, reason: 'nothing has come for a long time', sizeBytes });
    }
    return { living, abandoned };
  }

  /** Those that can be removed: a client may just have come back to one. */
  async #sweepUploads(abandoned: readonly CollectedItem[], isDryRun: boolean): Promise<readonly CollectedItem[]> {
    const { blobs, repositories } = this.#parts;
    if (isDryRun) return abandoned;
    const items: CollectedItem[] = [];
    for (const item of abandoned) if (await this.#isCancelled(item.digest)) items.push(item);
    for (const repository of await repositories.listAll()) {
      for (const id of await repositories.uploads(repository)) if ((await blobs.uploadSize(id)) === undefined) await repositories.removeUpload(repository, id);
    }
    return items;
  }

  async #isCancelled(id: string): Promise<boolean> {
    try {
      return await this.#parts.blobs.cancelUpload(id);
    } catch (error) {
      if (isError(error, 'conflict')) return false;
      throw error;
    }
  }
}
