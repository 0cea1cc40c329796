import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type Descriptor, type Digest, familiarImageReference, formatImageReference, mediaTypes, parseImageConfig, parseImageReference, type ParsedManifest, parseManifest, type Platform } from '../../api/mod.ts';
import { GantryError, parseWith, throwIfAborted } from '../../kernel/mod.ts';
import { type BlobStore, DiskBlobStore, readBlob } from '../../store/mod.ts';
import { formatTarHeader, readTar, tarEnd, type TarHeader, tarPadding } from '../../wire/mod.ts';
import { checkLayerType, decompressed, sniffed } from './compression.ts';
import type { Layers } from './layers.ts';
import { checkPlatform, selectManifest } from './platform.ts';
import type { Image } from './types.ts';

const maxDocumentBytes = 8 << 20;
const manifestSchema = z.array(z.looseObject({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) }));

/**
 * Writes images as `docker save` does: `manifest.json` (docker-archive) and an OCI layout over the same blobs.
 * Layers are plain tars. `images`: each with the names to write.
 */
export async function saveArchive(
  images: readonly { image: Image; references: readonly string[] }[], parts: { blobs: BlobStore; layers: Layers }, output: Writable, signal: AbortSignal,
): Promise<void> {
  const written = new Set<string>();
  const manifests: { Config: string; RepoTags: string[] | null; Layers: string[] }[] = [];
  const index: Descriptor[] = [];
  const members = async function* (): AsyncGenerator<Buffer> {
    for (const { image, references } of images) {
      const layers: Descriptor[] = [];
      for (const diffId of image.layers) {
        const size = await plainSize(parts, diffId, signal);
        layers.push({ mediaType: mediaTypes.ociLayer, digest: diffId, size });
        if (written.has(diffId)) continue;
        written.add(diffId);
        yield* member(blobPath(diffId), size, await plainLayer(parts, diffId, signal));
      }
      const config = await readBlob(parts.blobs, image.id, maxDocumentBytes);
      const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: { mediaType: mediaTypes.ociConfig, digest: image.id, size: config.length }, layers }));
      const digest = digestOf(manifest);
      for (const [name, bytes] of [[image.id, config], [digest, manifest]] as const) {
        if (!written.has(name)) yield* member(blobPath(name), bytes.length, [bytes]);
        written.add(name);
      }
      const tags = references.map((name) => familiarImageReference(parseImageReference(name)));
      // One entry for an image that is named more than once, as dockerd has it.
      const known = manifests.find(({ Config }) => Config === blobPath(image.id));
      if (known === undefined) manifests.push({ Config: blobPath(image.id), RepoTags: tags.length === 0 ? null : tags, Layers: image.layers.map(blobPath) });
      else if (tags.length > 0) known.RepoTags = [...(known.RepoTags ?? []), ...tags];
      const descriptor = { mediaType: mediaTypes.ociManifest, digest, size: manifest.length };
      if (references.length === 0) index.push(descriptor);
      for (const name of references) {
        index.push({ ...descriptor, annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': parseImageReference(name).tag ?? '' } });
      }
    }
    yield* json('manifest.json', manifests);
    yield* json('index.json', { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: index });
    yield* json('oci-layout', { imageLayoutVersion: '1.0.0' });
    yield tarEnd();
  };
  await pipeline(Readable.from(members(), { objectMode: false }), output, { signal });
}

/** Writes the image of a manifest as an OCI layout, with its blobs as they are kept. */
export async function saveLayout(manifest: Digest, references: readonly string[], blobs: BlobStore, output: Writable, signal: AbortSignal): Promise<void> {
  const bytes = await readBlob(blobs, manifest, maxDocumentBytes);
  const mediaType = (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType ?? mediaTypes.ociManifest;
  const parsed = parseManifest(bytes, mediaType, 'packed manifest');
  if (parsed.kind !== 'manifest') throw new GantryError('internal', 'a packed image has no manifest');
  const { config, layers } = parsed.manifest;
  const descriptor = { mediaType, digest: manifest, size: bytes.length };
  const named = references.map((name) => ({ ...descriptor, annotations: { 'io.containerd.image.name': fullName(name), 'org.opencontainers.image.ref.name': parseImageReference(name).tag ?? '' } }));
  const members = async function* (): AsyncGenerator<Buffer> {
    yield* json('oci-layout', { imageLayoutVersion: '1.0.0' });
    yield* json('index.json', { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: named.length === 0 ? [descriptor] : named });
    for (const { digest, size } of new Map([descriptor, config, ...layers].map((blob) => [blob.digest, blob])).values()) yield* member(blobPath(digest), size, await blobs.read(digest));
    yield tarEnd();
  };
  await pipeline(Readable.from(members(), { objectMode: false }), output, { signal });
}

/** Images of an archive whose layers are in the store and held until disposed; their configurations are still to be stored. */
export interface LoadedArchive extends AsyncDisposable { readonly images: { config: Buffer; references: string[] }[] }

export interface ArchiveLoader {
  /** On the store's file system, for one load. */
  readonly temporaryFolder: string;
  /** Which image of an index for several is meant. */
  readonly platform: Platform;
  /** Whether images that are alone must be for that platform, too. */
  readonly isPlatformAsked: boolean;
  /** Stores a plain tar as the layer of that diff id; a no-op when it is there. */
  importLayer(tar: AsyncIterable<Uint8Array>, diffId: Digest, signal: AbortSignal): Promise<unknown>;
  hold(layers: readonly Digest[]): Disposable;
}

/**
 * Reads a docker-archive or an OCI layout, plain or compressed. Every member becomes a blob in a temporary folder first:
 * the order of members is anyone's choice. `invalid` for what is neither, and for content that does not match its digest.
 */
export async function loadArchive(
  archive: AsyncIterable<Uint8Array>, parts: ArchiveLoader, signal: AbortSignal,
): Promise<LoadedArchive> {
  const folder = await mkdtemp(join(parts.temporaryFolder, 'load-'));
  const stack = new DisposableStack();
  try {
    const blobs = await DiskBlobStore.open(folder);
    const members = await readMembers(archive, blobs, signal);
    const described = members.has('manifest.json') ? await dockerImages(members, blobs) : await layoutImages(members, blobs, parts.platform);
    const images: LoadedArchive['images'] = [];
    for (const { configPath, layerPaths, references } of described) {
      const config = await memberBytes(members, blobs, configPath);
      const parsed = parseImageConfig(config, configPath);
      if (parts.isPlatformAsked) checkPlatform(parsed, parts.platform, references[0] ?? configPath);
      const diffIds = parsed.rootfs.diff_ids;
      if (diffIds.length !== layerPaths.length) throw new GantryError('invalid', `the archive lists ${layerPaths.length} layers for an image of ${diffIds.length}`);
      stack.use(parts.hold(diffIds));
      for (const [at, path] of layerPaths.entries()) {
        const expected = diffIds[at] as Digest;
        const source = await blobs.read(memberDigest(members, path));
        try {
          await parts.importLayer(await plain(source), expected, signal);
        } finally {
          // A layer that is here already is not read.
          source.destroy();
        }
      }
      images.push({ config, references: [...references] });
    }
    const held = stack.move();
    return { images, [Symbol.asyncDispose]: async () => held.dispose() };
  } finally {
    stack.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

interface DescribedImage { readonly configPath: string; readonly layerPaths: readonly string[]; readonly references: readonly string[] }

async function readMembers(archive: AsyncIterable<Uint8Array>, blobs: BlobStore, signal: AbortSignal): Promise<Map<string, string>> {
  const members = new Map<string, string>();
  const links: [path: string, target: string][] = [];
  for await (const { header, content } of readTar(await plain(archive))) {
    throwIfAborted(signal);
    const path = normal(header.path);
    if (header.type === 'file') members.set(path, (await blobs.write(content, {}, signal)).digest);
    // Older archives share layers by symlinks; the target may come later.
    if (header.type === 'symlink') links.push([path, normal(join(path, '..', header.linkPath))]);
    if (header.type === 'hardlink') links.push([path, normal(header.linkPath)]);
  }
  for (const [path, target] of links) {
    const digest = members.get(target);
    if (digest !== undefined) members.set(path, digest);
  }
  return members;
}

async function dockerImages(members: ReadonlyMap<string, string>, blobs: BlobStore): Promise<DescribedImage[]> {
  const list = parseWith(manifestSchema, parsedJson(await memberBytes(members, blobs, 'manifest.json'), 'manifest.json'), 'manifest.json');
  return list.map(({ Config, RepoTags, Layers }) => ({ configPath: normal(Config), layerPaths: Layers.map(normal), references: (RepoTags ?? []).map(fullName) }));
}

/** Of an OCI layout; where an entry is an index for several platforms, the image of this one. */
async function layoutImages(members: ReadonlyMap<string, string>, blobs: BlobStore, platform: Platform): Promise<DescribedImage[]> {
  if (!members.has('index.json')) throw new GantryError('invalid', 'the archive has neither manifest.json nor index.json: it is no image archive');
  const read = async (path: string, mediaType: string): Promise<ParsedManifest> => parseManifest(await memberBytes(members, blobs, path), mediaType, path);
  const index = await read('index.json', mediaTypes.ociIndex);
  const images = new Map<Digest, DescribedImage>();
  for (const descriptor of index.kind === 'index' ? index.index.manifests : []) {
    let chosen = descriptor;
    let manifest = await read(blobPath(descriptor.digest), descriptor.mediaType);
    if (manifest.kind === 'index') {
      chosen = selectManifest(manifest.index, platform, `the image ${referenceOf(descriptor) ?? descriptor.digest} of the archive`);
      manifest = await read(blobPath(chosen.digest), chosen.mediaType);
      if (manifest.kind === 'index') throw new GantryError('unsupported', 'an index within an index of an archive is not supported');
    }
    const { config, layers } = manifest.manifest;
    for (const { mediaType } of layers) checkLayerType(mediaType, 'the archive');
    const known = images.get(chosen.digest)?.references ?? [];
    const name = referenceOf(descriptor);
    images.set(chosen.digest, { configPath: blobPath(config.digest), layerPaths: layers.map((layer) => blobPath(layer.digest)), references: [...known, ...(name === undefined ? [] : [fullName(name)])] });
  }
  return [...images.values()];
}

/** The name of an entry: what Docker and containerd write, else the layout's own annotation where it is more than a tag. */
function referenceOf({ annotations }: Descriptor): string | undefined {
  const own = annotations?.['org.opencontainers.image.ref.name'];
  return annotations?.['io.containerd.image.name'] ?? (own !== undefined && /[:/]/.test(own) ? own : undefined);
}

async function memberBytes(members: ReadonlyMap<string, string>, blobs: BlobStore, path: string): Promise<Buffer> {
  return readBlob(blobs, memberDigest(members, path), maxDocumentBytes);
}

function memberDigest(members: ReadonlyMap<string, string>, path: string): string {
  const digest = members.get(path);
  if (digest === undefined) throw new GantryError('invalid', `the archive has no ${JSON.stringify(path)}`);
  return digest;
}

async function plain(source: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  return decompressed(...(await sniffed(source)));
}

/** The layer's exact tar: its files as they are when that gives the digest back, else what is kept of the original. */
async function plainLayer(parts: { blobs: BlobStore; layers: Layers }, diffId: Digest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  if ((await parts.blobs.stat(diffId)) !== undefined) return parts.blobs.read(diffId);
  for (const blob of parts.layers.get(diffId)?.blobs ?? []) {
    if ((await parts.blobs.stat(blob.digest)) !== undefined) return plain(await parts.blobs.read(blob.digest));
  }
  return parts.layers.archive(diffId, signal);
}

/** A tar member begins with its size; layers are read once more for it, and checked. */
async function plainSize(parts: { blobs: BlobStore; layers: Layers }, diffId: Digest, signal: AbortSignal): Promise<number> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of await plainLayer(parts, diffId, signal)) {
    hash.update(chunk);
    size += chunk.byteLength;
  }
  if (`sha256:${hash.digest('hex')}` !== diffId) throw new GantryError('internal', `the files of layer ${diffId} were changed: it cannot be saved`);
  return size;
}

async function* member(path: string, sizeBytes: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Buffer> {
  const header: TarHeader = { type: 'file', path, linkPath: '', mode: 0o644, uid: 0, gid: 0, sizeBytes, mtimeSeconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: new Map() };
  yield formatTarHeader(header);
  for await (const chunk of content) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  yield Buffer.alloc(tarPadding(sizeBytes));
}

async function* json(path: string, value: unknown): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(JSON.stringify(value));
  yield* member(path, bytes.length, [bytes]);
}

function parsedJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new GantryError('invalid', `${what} is not JSON`, { cause: error });
  }
}

function fullName(name: string): string {
  return formatImageReference(parseImageReference(name));
}

function normal(path: string): string {
  return join('/', path).slice(1);
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}
