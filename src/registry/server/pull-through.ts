import { PassThrough, type Readable } from 'node:stream';
import { once } from 'node:events';
import { parseManifest } from '../../api/mod.ts';
import { type GantryError, isError, type Logger, toGantryError } from '../../kernel/mod.ts';
import { type BlobStore, readBlob } from '../../store/mod.ts';
import type { Upstream } from '../ports.ts';
import type { DiskBudget } from './disk-budget.ts';
import { describe, named } from './manifest-record.ts';
import { registryError } from './registry-error.ts';
import type { Repositories } from './repositories.ts';
import type { ManifestReference } from './routes.ts';
import type { Sweeping } from './sweeping.ts';

export interface PullThroughParts {
  readonly blobs: BlobStore;
  readonly repositories: Repositories;
  readonly sweeping: Sweeping;
  readonly budget: DiskBudget;
  readonly maxManifestBytes: number;
  readonly log: Logger;
}

/** How long a registry that failed without saying when to come back is left alone. */
const quietMs = 10_000;
const maxQuietMs = 600_000;
const maxChecked = 10_000;
/** How long an upstream may take for a manifest; a quarter of it when there is one here to serve instead. */
const answerMs = 40_000;

/**
 * Copies of other registries' images. A tag that was not asked for lately is looked up again; what the upstream cannot say (down, slow, limiting
 * its rate, refusing us) is answered from what is here. Manifests are stored as they come, before their blobs; blobs are stored while the first
 * client that asks reads along. Copies go on when that client leaves: the next one finds them.
 */
export class PullThrough {
  readonly #parts: PullThroughParts;
  /** When a tag was last known to be current. */
  readonly #checked = new Map<string, number>();
  /** Until when an upstream host is not asked. */
  readonly #quietUntil = new Map<string, { untilMs: number; error: GantryError }>();
  readonly #copies = new Map<string, Promise<unknown>>();

  constructor(parts: PullThroughParts) {
    this.#parts = parts;
  }

  /** Brings the manifest here if need be. Returns a warning for the client when what is here may be old. */
  async manifest(upstream: Upstream, repository: string, reference: ManifestReference): Promise<string | undefined> {
    const { repositories } = this.#parts;
    if ('digest' in reference) {
      if ((await repositories.manifest(repository, reference.digest)) === undefined) await this.#once(`${repository}@${reference.digest}`, () => this.#copyManifest(upstream, repository, reference, AbortSignal.timeout(answerMs)));
      return undefined;
    }
    const key = `${repository}:${reference.tag}`;
    if (Date.now() - (this.#checked.get(key) ?? 0) < upstream.freshMs && (await repositories.tag(repository, reference.tag)) !== undefined) return undefined;
    return this.#once(key, () => this.#refreshTag(upstream, repository, reference.tag, key));
  }

  /** Size of a blob that a manifest of the repository names, from that manifest; undefined when none does. */
  async sizeOf(repository: string, digest: string): Promise<number | undefined> {
    const { repositories, blobs, maxManifestBytes } = this.#parts;
    for await (const candidate of repositories.manifests(repository)) {
      const record = await repositories.manifest(repository, candidate);
      if (record?.references.includes(digest) !== true) continue;
      const document = parseManifest(await readBlob(blobs, candidate, maxManifestBytes), record.mediaType, candidate, 'any');
      const size = named(document).find((descriptor) => descriptor.digest === digest)?.size;
      if (size !== undefined) return size;
    }
    return undefined;
  }

  /**
   * Copies a blob. Resolves, when it is wanted and the upstream has answered, to a stream that gets the bytes as they come and ends only after they
   * have been verified; to undefined when the blob is here, which another request may have copied.
   */
  async blob(upstream: Upstream, repository: string, descriptor: { digest: string; size: number }, wantsStream: boolean): Promise<Readable | undefined> {
    const key = `${repository}@${descriptor.digest}`;
    const running = this.#copies.get(key);
    if (running !== undefined || !wantsStream) {
      await (running ?? this.#once(key, () => this.#copyBlob(upstream, repository, descriptor, undefined, () => undefined)));
      return undefined;
    }
    const reader = new Reader();
    const answered = Promise.withResolvers<void>();
    this.#once(key, () => this.#copyBlob(upstream, repository, descriptor, reader, answered.resolve)).then(
      () => reader.end(),
      (error: unknown) => {
        answered.reject(toGantryError(error));
        reader.output.destroy(toGantryError(error));
      },
    );
    await answered.promise;
    return reader.output;
  }

  async #refreshTag(upstream: Upstream, repository: string, tag: string, key: string): Promise<string | undefined> {
    const { repositories, log } = this.#parts;
    const here = await repositories.tag(repository, tag);
    const signal = AbortSignal.timeout(here === undefined ? answerMs : answerMs / 4);
    try {
      const digest = here === undefined ? undefined : await this.#ask(upstream, () => upstream.findDigest(tag, signal));
      if (digest === undefined || digest !== here) await this.#copyManifest(upstream, repository, { tag }, signal);
      this.#remember(key);
      return undefined;
    } catch (error) {
      if (isError(error, 'not-found')) {
        await repositories.removeTag(repository, tag);
        throw registryError('not-found', 'MANIFEST_UNKNOWN', `${upstream.name} has no tag ${tag}`);
      }
      if (here === undefined) throw error;
      log.warn('an upstream registry cannot be asked; what is here is served', { upstream: upstream.name, tag, err: error });
      return `${upstream.name} cannot be asked; this copy may be old`;
    }
  }

  async #copyManifest(upstream: Upstream, repository: string, reference: ManifestReference, signal: AbortSignal): Promise<void> {
    const { repositories, blobs, sweeping } = this.#parts;
    const { mediaType, digest, bytes } = await this.#ask(upstream, () => upstream.fetchManifest(reference, signal));
    const record = describe(parseManifest(bytes, mediaType, upstream.name, 'any'), mediaType, bytes.length);
    await sweeping.hold(async () => {
      await blobs.write([bytes], { digest }, signal);
      await repositories.putManifest(repository, digest, record);
      if ('tag' in reference) await repositories.setTag(repository, reference.tag, digest);
    });
  }

  async #copyBlob(upstream: Upstream, repository: string, descriptor: { digest: string; size: number }, reader: Reader | undefined, onAnswer: () => void): Promise<void> {
    const { repositories, blobs, sweeping, budget } = this.#parts;
    // The copy belongs to no client. What stalls is ended by the upstream's client.
    const { signal } = new AbortController();
    const { digest, size } = descriptor;
    budget.check();
    const source = await this.#ask(upstream, () => upstream.fetchBlob(descriptor, signal));
    onAnswer();
    const id = await blobs.createUpload(digest.startsWith('sha512:') ? 'sha512' : 'sha256');
    try {
      await blobs.appendUpload(id, 0, reader?.pass(source) ?? (source as AsyncIterable<Uint8Array>), signal);
      await sweeping.hold(async () => {
        await blobs.commitUpload(id, { digest, sizeBytes: size }, signal);
        await repositories.addBlob(repository, digest);
      });
      budget.added(size);
    } catch (error) {
      source.destroy();
      await blobs.cancelUpload(id);
      throw error;
    }
  }

  /** Asks, unless the upstream is to be left alone. What it cannot do is `unavailable`, never a challenge to our own client. */
  async #ask<T>(upstream: Upstream, question: () => Promise<T>): Promise<T> {
    const quiet = this.#quietUntil.get(upstream.host);
    if (quiet !== undefined && quiet.untilMs > Date.now()) throw quiet.error;
    try {
      const answer = await question();
      this.#quietUntil.delete(upstream.host);
      return answer;
    } catch (error) {
      if (isError(error, 'not-found')) throw error;
      const cause = toGantryError(error);
      const isLimited = cause.details['status'] === 429;
      const retryAfterMs = cause.retryAfterMs ?? quietMs;
      const failure = registryError('unavailable', isLimited ? 'TOOMANYREQUESTS' : 'UNKNOWN', `${upstream.name} cannot be asked: ${cause.message}`, undefined, retryAfterMs);
      if (isLimited || isError(error, 'unavailable', 'timeout', 'cancelled')) this.#quietUntil.set(upstream.host, { untilMs: Date.now() + Math.min(retryAfterMs, maxQuietMs), error: failure });
      throw failure;
    }
  }

  async #once<T>(key: string, copy: () => Promise<T>): Promise<T> {
    const running = this.#copies.get(key);
    if (running !== undefined) return running as Promise<T>;
    const started = copy().finally(() => this.#copies.delete(key));
    this.#copies.set(key, started);
    return started;
  }

  #remember(key: string): void {
    this.#checked.delete(key);
    this.#checked.set(key, Date.now());
    if (this.#checked.size > maxChecked) this.#checked.delete(this.#checked.keys().next().value ?? '');
  }
}

/**
 * The client's end of a copy: gets every chunk but the last as it comes, at the client's pace. The last is given only when the whole has been verified,
 * so that no client ever has a whole blob that is wrong. When the client leaves, the copy goes on without it.
 */
class Reader {
  readonly output = new PassThrough({ highWaterMark: 1 << 20 });
  #held: Uint8Array | undefined;

  constructor() {
    // The stream may break before anybody reads it.
    this.output.on('error', () => undefined);
  }

  async *pass(source: Readable): AsyncIterable<Uint8Array> {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (this.#held !== undefined) await this.#give(this.#held);
      this.#held = chunk;
      yield chunk;
    }
  }

  end(): void {
    this.output.end(this.#held);
  }

  async #give(chunk: Uint8Array): Promise<void> {
    const { output } = this;
    if (output.destroyed || output.write(chunk)) return;
    const stop = new AbortController();
    await Promise.race([once(output, 'drain', { signal: stop.signal }), once(output, 'close', { signal: stop.signal })]).catch(() => undefined);
    stop.abort();
  }
}
