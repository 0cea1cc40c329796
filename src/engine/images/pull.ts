import {
  type Descriptor, type Digest, formatImageReference, type ImageConfig, type ImageManifest, type ImageReference, mediaTypes, parseImageConfig, parseManifest, type Platform,
} from '../../api/mod.ts';
import { backoffMs, GantryError, isError, systemClock, throwIfAborted, toGantryError } from '../../kernel/mod.ts';
import { type DiskBlobStore, readBlob } from '../../store/mod.ts';
import type { AskingCredentials, RegistryClient } from '../ports.ts';
import { checkLayerType } from './compression.ts';
import type { Layers } from './layers.ts';
import { Limiter } from './limiter.ts';
import { manifestType } from './manifest-type.ts';
import { PartialDownloads } from './partial-downloads.ts';
import { checkPlatform, selectManifest } from './platform.ts';
import type { RemoteImage, TransferProgress } from './types.ts';

export interface PulledImage {
  /** The bytes whose digest is the image id. */
  readonly config: Buffer;
  readonly manifest: Buffer;
  /** The digest of what the reference named: an index or a manifest. */
  readonly named: Digest;
  /** Keeps the layers until the image has been stored. */
  readonly held: Disposable;
}

export interface ImagePullerParts {
  readonly registry: RegistryClient;
  readonly blobs: DiskBlobStore;
  readonly layers: Layers;
  readonly hold: (layers: readonly Digest[]) => Disposable;
}

interface PullRequest {
  readonly credentials?: AskingCredentials;
  readonly platform: Platform;
  /** The caller named the platform: an image for another one is an error. */
  readonly isPlatformNamed: boolean;
  readonly progress?: (event: TransferProgress) => void;
}

const maxConfigBytes = 8 << 20;
/** Downloads at once, of all pulls together. */
const parallelDownloads = 3;
/** A download that fails this often without a byte in between is given up. */
const maxFailures = 5;
const retryBackoff = { initialMs: 200, factor: 2, maxMs: 5000, jitter: 0.2 };

/** Fetches images: manifest, configuration, then layers in parallel; each layer is verified before it is unpacked. */
export class ImagePuller {
  readonly #parts: ImagePullerParts;
  readonly #downloads = new Limiter(parallelDownloads);
  readonly #partial: PartialDownloads;
  readonly #running = new Map<Digest, Promise<void>>();

  constructor(parts: ImagePullerParts) {
    this.#parts = parts;
    this.#partial = new PartialDownloads(parts.blobs);
  }

  async pull(reference: ImageReference, request: PullRequest, signal: AbortSignal): Promise<PulledImage> {
    const { registry } = this.#parts;
    const what = formatImageReference(reference);
    // Before the first line of progress: what is not there, or not for the client, is then a status of its own.
    const fetched = await registry.fetchManifest(reference, request.credentials, signal);
    request.progress?.({ id: reference.digest ?? reference.tag ?? '', status: `Pulling from ${reference.repository}` });
    const { manifest, bytes } = await this.#resolve(reference, fetched, request, what, signal);
    const config = await this.#config(reference, manifest, request, signal);
    const parsed = parseImageConfig(config, `configuration of ${what}`);
    if (request.isPlatformNamed) checkPlatform(parsed, request.platform, what);
    const layers = pairLayers(manifest, parsed, what);
    const held = this.#parts.hold(parsed.rootfs.diff_ids);
    try {
      if (layers.some(({ diffId }) => this.#parts.layers.get(diffId) === undefined)) this.#parts.layers.expect();
      for (const { blob, diffId } of layers) if (this.#parts.layers.get(diffId) === undefined) request.progress?.({ id: shortId(blob.digest), status: 'Pulling fs layer' });
      await allOrFirstError(layers.map((layer) => (own: AbortSignal) => this.#layer(reference, layer, request, own)), signal);
      return { config, manifest: bytes, named: fetched.digest, held };
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
  }

  /** What the name stands for in the registry. */
  async lookUp(reference: ImageReference, credentials: AskingCredentials | undefined, signal: AbortSignal): Promise<RemoteImage> {
    const { registry } = this.#parts;
    const what = formatImageReference(reference);
    const fetched = await registry.fetchManifest(reference, credentials, signal);
    const mediaType = manifestType(fetched, what);
    const descriptor = { mediaType, digest: fetched.digest, size: fetched.bytes.byteLength };
    const parsed = parseManifest(fetched.bytes, mediaType, `manifest of ${what}`);
    if (parsed.kind === 'index') return { descriptor, platforms: parsed.index.manifests.flatMap(({ platform }) => platform ?? []) };
    const { config } = parsed.manifest;
    if (config.size > maxConfigBytes) throw new GantryError('exhausted', `the configuration of ${what} is larger than ${maxConfigBytes} bytes`);
    const chunks: Buffer[] = [];
    for await (const chunk of await registry.fetchBlob(reference, config, 0, credentials, signal)) chunks.push(chunk as Buffer);
    const { os, architecture, variant } = parseImageConfig(Buffer.concat(chunks), `configuration of ${what}`);
    return { descriptor, platforms: [{ os, architecture, ...(variant === undefined ? {} : { variant }) }] };
  }

  /** Follows an index to the manifest of the platform. */
  async #resolve(
    reference: ImageReference, fetched: { mediaType: string; bytes: Uint8Array }, request: PullRequest, what: string, signal: AbortSignal,
  ): Promise<{ manifest: ImageManifest; bytes: Buffer }> {
    const parsed = parseManifest(fetched.bytes, manifestType(fetched, what), `manifest of ${what}`);
    if (parsed.kind === 'manifest') return { manifest: parsed.manifest, bytes: Buffer.from(fetched.bytes) };
    const descriptor = selectManifest(parsed.index, request.platform, what);
    const { tag: _, ...repository } = reference;
    const inner = await this.#parts.registry.fetchManifest({ ...repository, digest: descriptor.digest }, request.credentials, signal);
    const manifest = parseManifest(inner.bytes, manifestType(inner, what), `manifest of ${what}`);
    if (manifest.kind !== 'manifest') throw new GantryError('unsupported', `${what}: an index within an index is not supported`);
    return { manifest: manifest.manifest, bytes: Buffer.from(inner.bytes) };
  }

  async #config(reference: ImageReference, manifest: ImageManifest, request: PullRequest, signal: AbortSignal): Promise<Buffer> {
    const { blobs, registry } = this.#parts;
    const { mediaType, digest, size } = manifest.config;
    if (mediaType !== mediaTypes.ociConfig && mediaType !== mediaTypes.dockerConfig) {
      throw new GantryError('unsupported', `${formatImageReference(reference)} is no container image: its configuration is of type ${mediaType}`);
    }
    if (size > maxConfigBytes) throw new GantryError('exhausted', `the configuration of ${formatImageReference(reference)} is larger than ${maxConfigBytes} bytes`);
    if ((await blobs.stat(digest)) === undefined) {
      await blobs.write(await registry.fetchBlob(reference, manifest.config, 0, request.credentials, signal), { digest, sizeBytes: size }, signal);
    }
    return readBlob(blobs, digest, maxConfigBytes);
  }

  async #layer(reference: ImageReference, layer: PairedLayer, request: PullRequest, signal: AbortSignal): Promise<void> {
    const { blobs, layers } = this.#parts;
    const id = shortId(layer.blob.digest);
    for (let hasWaited = false; ; hasWaited = true) {
      throwIfAborted(signal);
      if (layers.get(layer.diffId) !== undefined) {
        request.progress?.({ id, status: hasWaited ? 'Pull complete' : 'Already exists' });
        return;
      }
      const running = this.#running.get(layer.diffId);
      if (running === undefined) break;
      // Another pull fetches it. When that one is given up, this one does it itself.
      request.progress?.({ id, status: 'Waiting' });
      await Promise.race([running.catch(() => undefined), rejectOnAbort(signal)]);
    }
    const work = this.#fetchAndUnpack(reference, layer, request, signal).finally(() => this.#running.delete(layer.diffId));
    this.#running.set(layer.diffId, work);
    await work;
    if ((await blobs.stat(layer.blob.digest)) !== undefined) await layers.addBlob(layer.diffId, layer.blob);
    request.progress?.({ id, status: 'Pull complete' });
  }

  async #fetchAndUnpack(reference: ImageReference, { blob, diffId }: PairedLayer, request: PullRequest, signal: AbortSignal): Promise<void> {
    const { blobs, layers } = this.#parts;
    const id = shortId(blob.digest);
    if (this.#downloads.isFull) request.progress?.({ id, status: 'Waiting' });
    await this.#downloads.run(() => this.#download(reference, blob, request, signal), signal);
    request.progress?.({ id, status: 'Download complete' });
    const onRead = (current: number): void => request.progress?.({ id, status: 'Extracting', current, total: blob.size });
    await layers.unpack(blobs.pathOf(blob.digest), { layer: blob.digest, expected: diffId, onRead }, signal);
  }

  /** Into the blob store. A broken connection is opened again where it stopped, as long as something arrives between failures. */
  async #download(reference: ImageReference, blob: Descriptor, request: PullRequest, signal: AbortSignal): Promise<void> {
    if ((await this.#parts.blobs.stat(blob.digest)) !== undefined || (await this.#adopt(reference, blob, request, signal))) return;
    try {
      for (let [reached, failures] = [0, 0]; ; ) {
        const upload = await this.#partial.take(blob.digest);
        try {
          return await this.#downloadRest(reference, blob, upload, request, signal);
        } catch (error) {
          if (signal.aborted || !isError(error, 'unavailable', 'timeout')) throw error;
          const size = (await this.#parts.blobs.uploadSize(upload)) ?? 0;
          failures = size > reached ? 1 : failures + 1;
          reached = Math.max(size, reached);
          if (failures >= maxFailures) throw error;
          const waitMs = Math.max(backoffMs(retryBackoff, failures - 1), error.retryAfterMs ?? 0);
          request.progress?.({ id: shortId(blob.digest), status: `Retrying in ${Math.ceil(waitMs / 1000)} seconds` });
          await systemClock.sleep(waitMs, signal);
        }
      }
    } finally {
      this.#partial.leave(blob.digest);
    }
  }

  /** From a registry on this machine, whose file and ours become one. */
  async #adopt(reference: ImageReference, blob: Descriptor, request: PullRequest, signal: AbortSignal): Promise<boolean> {
    const { blobs, registry } = this.#parts;
    try {
      const file = await registry.findFile?.(reference, blob, request.credentials, signal);
      return file !== undefined && (await blobs.adopt(file, { digest: blob.digest, sizeBytes: blob.size }, signal)) !== undefined;
    } catch (error) {
      throwIfAborted(signal);
      // The download asks the same registry, and knows when to ask again.
      if (isError(error, 'unavailable', 'timeout')) return false;
      throw error;
    }
  }

  async #downloadRest(reference: ImageReference, blob: Descriptor, upload: string, request: PullRequest, signal: AbortSignal): Promise<void> {
    const { blobs, registry } = this.#parts;
    const offset = (await blobs.uploadSize(upload)) ?? 0;
    const body = offset < blob.size ? await registry.fetchBlob(reference, blob, offset, request.credentials, signal) : [];
    try {
      await blobs.appendUpload(upload, offset, counted(body, blob, offset, 'Downloading', request), signal);
    } catch (error) {
      throw signal.aborted || isError(error) ? error : new GantryError('unavailable', `the download of ${blob.digest} broke off`, { cause: error });
    }
    if (((await blobs.uploadSize(upload)) ?? 0) < blob.size) throw new GantryError('unavailable', `the download of ${blob.digest} ended early`);
    request.progress?.({ id: shortId(blob.digest), status: 'Verifying Checksum' });
    this.#partial.done(blob.digest);
    await blobs.commitUpload(upload, { digest: blob.digest, sizeBytes: blob.size }, signal);
  }
}

interface PairedLayer { readonly blob: Descriptor; readonly diffId: Digest }

function pairLayers(manifest: ImageManifest, config: ImageConfig, what: string): PairedLayer[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) throw new GantryError('invalid', `${what}: the manifest has ${manifest.layers.length} layers, the configuration ${diffIds.length}`);
  for (const { mediaType } of manifest.layers) checkLayerType(mediaType, what);
  return manifest.layers.map((blob, index) => ({ blob, diffId: diffIds[index] as Digest }));
}

async function* counted(body: AsyncIterable<Uint8Array> | Uint8Array[], blob: Descriptor, offset: number, status: 'Downloading', request: PullRequest): AsyncGenerator<Uint8Array> {
  let current = offset;
  let shown = 0;
  for await (const chunk of body) {
    current += chunk.byteLength;
    if (current > blob.size) throw new GantryError('invalid', `the registry sent more than the ${blob.size} bytes of ${blob.digest}`);
    yield chunk;
    if (performance.now() - shown < 100) continue;
    shown = performance.now();
    request.progress?.({ id: shortId(blob.digest), status, current, total: blob.size });
  }
}

/** Runs all; the first failure stops the others and is thrown once they have ended. */
async function allOrFirstError(works: readonly ((signal: AbortSignal) => Promise<void>)[], signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const own = AbortSignal.any([signal, failed.signal]);
  let first: GantryError | undefined;
  await Promise.all(works.map((work) => work(own).catch((error: unknown) => {
    first ??= toGantryError(error);
    failed.abort(first);
  })));
  if (first !== undefined) throw first;
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(toGantryError(signal.reason)), { once: true }));
}

/** The 12 digits that progress lines begin with. */
export function shortId(digest: Digest): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}
