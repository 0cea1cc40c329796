import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type Descriptor, type Digest, type ImageConfig, type ImageFormat, type ImageManifest, type ImageReference, mediaTypes, parseManifest } from '../../api/mod.ts';
import { GantryError, isError, retry } from '../../kernel/mod.ts';
import { type BlobStore, readBlob } from '../../store/mod.ts';
import type { AskingCredentials, RegistryClient } from '../ports.ts';
import { compressed } from './compression.ts';
import { compressionOf, defaultFormat, formatImageManifest, layerTypeOf } from './image-format.ts';
import type { Layers } from './layers.ts';
import { Limiter } from './limiter.ts';
import { shortId } from './pull.ts';
import type { TransferProgress } from './types.ts';

export interface ImagePusherParts { readonly registry: RegistryClient; readonly blobs: BlobStore; readonly layers: Layers }

interface PushRequest { readonly credentials?: AskingCredentials; readonly progress?: (event: TransferProgress) => void }

const maxDocumentBytes = 8 << 20;
const parallelUploads = 3;

/**
 * Sends images: the manifest an image was pulled with when all its blobs are still here, else a new OCI manifest.
 * Layers that were built here are compressed once, when they are first pushed; the compressed blob is kept.
 */
export class ImagePusher {
  readonly #parts: ImagePusherParts;
  readonly #uploads = new Limiter(parallelUploads);
  readonly #compressing = new Map<string, Promise<Descriptor>>();

  constructor(parts: ImagePusherParts) {
    this.#parts = parts;
  }

  async push(
    target: ImageReference, image: { id: Digest; config: ImageConfig; manifest: Digest | undefined }, request: PushRequest, signal: AbortSignal,
  ): Promise<{ digest: Digest; config: Buffer; manifest: Buffer }> {
    const { blobs, registry } = this.#parts;
    request.progress?.({ status: `The push refers to repository [${target.host}/${target.repository}]` });
    const diffIds = image.config.rootfs.diff_ids;
    for (const diffId of diffIds) request.progress?.({ id: shortId(diffId), status: 'Preparing' });
    const config = await readBlob(blobs, image.id, maxDocumentBytes);
    const kept = await this.#keptManifest(image.manifest);
    const layers = await Promise.all(diffIds.map((diffId, index) => this.#queued(diffId, request).run(() => this.#pushLayer(target, diffId, kept?.manifest.layers[index], request, signal), signal)));
    const manifest = kept ?? formatImageManifest({ digest: image.id, size: config.length }, layers, defaultFormat.mediaTypes);
    await this.#send(target, { ...manifest.manifest.config }, request, signal);
    const digest = await registry.pushManifest(target, manifest.mediaType, manifest.bytes, request.credentials, signal);
    request.progress?.({ status: `${target.tag ?? ''}: digest: ${digest} size: ${manifest.bytes.length}` });
    return { digest, config, manifest: manifest.bytes };
  }

  /** The limiter of uploads; a layer that has to wait for its turn says so. */
  #queued(diffId: Digest, request: PushRequest): Limiter {
    if (this.#uploads.isFull) request.progress?.({ id: shortId(diffId), status: 'Waiting' });
    return this.#uploads;
  }

  /** The manifest of the last pull or push, if each blob it names is here. */
  async #keptManifest(digest: Digest | undefined): Promise<{ manifest: ImageManifest; mediaType: string; bytes: Buffer } | undefined> {
    const { blobs } = this.#parts;
    if (digest === undefined) return undefined;
    try {
      const bytes = await readBlob(blobs, digest, maxDocumentBytes);
      const stated = (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType ?? mediaTypes.ociManifest;
      const parsed = parseManifest(bytes, stated, 'kept manifest');
      if (parsed.kind !== 'manifest') return undefined;
      const sizes = await Promise.all(parsed.manifest.layers.map(async (layer) => (await blobs.stat(layer.digest))?.sizeBytes));
      return sizes.includes(undefined) ? undefined : { manifest: parsed.manifest, mediaType: stated, bytes };
    } catch (error) {
      if (isError(error, 'not-found', 'invalid', 'unsupported')) return undefined;
      throw error;
    }
  }

  async #pushLayer(target: ImageReference, diffId: Digest, kept: Descriptor | undefined, request: PushRequest, signal: AbortSignal): Promise<Descriptor> {
    const blob = kept ?? (await this.#compressed(diffId, defaultFormat, signal));
    const sent = await this.#send(target, blob, { ...request, progress: (event) => request.progress?.({ ...event, id: shortId(diffId) }) }, signal);
    const status = { known: 'Layer already exists', sent: 'Pushed', mounted: `Mounted from ${sent.from ?? ''}` }[sent.how];
    request.progress?.({ id: shortId(diffId), status });
    return blob;
  }

  /** How the blob came to be at the registry: it was there, was mounted from another repository, or was sent. */
  async #send(target: ImageReference, blob: Descriptor, request: PushRequest, signal: AbortSignal): Promise<{ how: 'known' | 'mounted' | 'sent'; from?: string }> {
    const { blobs, registry } = this.#parts;
    if (await registry.hasBlob(target, blob.digest, request.credentials, signal)) return { how: 'known' };
    const from = await retry(
      async () => {
        const open = (): Readable => Readable.from(counted(() => blobs.read(blob.digest), blob, request), { objectMode: false });
        return registry.pushBlob(target, blob, open, request.credentials, signal);
      },
      { attempts: 4, backoff: { initialMs: 200, factor: 2, maxMs: 5000, jitter: 0.2 }, isRetryable: (error) => isError(error, 'unavailable', 'timeout') },
      signal,
    );
    return from === undefined ? { how: 'sent' } : { how: 'mounted', from };
  }

  /** The image's documents in a form that was asked for, whose blobs are all here then. */
  async pack(image: { id: Digest; config: ImageConfig }, format: ImageFormat, signal: AbortSignal): Promise<{ config: Buffer; manifest: Buffer }> {
    const config = await readBlob(this.#parts.blobs, image.id, maxDocumentBytes);
    const layers = await Promise.all(image.config.rootfs.diff_ids.map((diffId) => this.#uploads.run(() => this.#compressed(diffId, format, signal), signal)));
    return { config, manifest: formatImageManifest({ digest: image.id, size: config.length }, layers, format.mediaTypes).bytes };
  }

  /** A compressed form of the layer: one that is kept, or one made now. Two pushes share the work. */
  async #compressed(diffId: Digest, format: ImageFormat, signal: AbortSignal): Promise<Descriptor> {
    const { blobs, layers } = this.#parts;
    for (const blob of layers.get(diffId)?.blobs ?? []) {
      const compression = compressionOf(blob.mediaType);
      const isWanted = compression === format.compression || (!format.isForced && compression !== 'uncompressed');
      if (isWanted && (await blobs.stat(blob.digest)) !== undefined) return blob;
    }
    const key = `${diffId} ${format.compression} ${format.level ?? ''}`;
    const running = this.#compressing.get(key);
    if (running !== undefined) return running;
    const work = this.#compress(diffId, format, signal).finally(() => this.#compressing.delete(key));
    this.#compressing.set(key, work);
    return work;
  }

  /** From the tar it was imported as, which the blob replaces, or from its files. */
  async #compress(diffId: Digest, format: ImageFormat, signal: AbortSignal): Promise<Descriptor> {
    const { blobs, layers } = this.#parts;
    const isImported = (await blobs.stat(diffId)) !== undefined;
    const plain = isImported ? await blobs.read(diffId) : layers.archive(diffId, signal);
    const { digest, sizeBytes } = await blobs.write(compressed(verified(plain, diffId), format), {}, signal);
    const blob: Descriptor = { mediaType: layerTypeOf(format.compression), digest: digest as Digest, size: sizeBytes };
    await layers.addBlob(diffId, blob);
    if (isImported && digest !== diffId) await blobs.delete(diffId);
    return blob;
  }
}

async function* verified(source: Readable, diffId: Digest): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk as Buffer);
    yield chunk as Buffer;
  }
  if (`sha256:${hash.digest('hex')}` !== diffId) throw new GantryError('internal', `the files of layer ${diffId} were changed: it cannot be pushed`);
}

async function* counted(open: () => Promise<Readable>, blob: Descriptor, request: PushRequest): AsyncGenerator<Buffer> {
  let current = 0;
  let shown = performance.now();
  for await (const chunk of await open()) {
    current += (chunk as Buffer).length;
    yield chunk as Buffer;
    if (performance.now() - shown < 100) continue;
    shown = performance.now();
    request.progress?.({ status: 'Pushing', current, total: blob.size });
  }
}
