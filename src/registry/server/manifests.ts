import { createHash } from 'node:crypto';
import { type Descriptor, type Digest, mediaTypes, type ParsedManifest, parseManifest } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { type BlobStore, readBlob } from '../../store/mod.ts';
import { answer, answerJson, type Exchange, readBody } from './http.ts';
import { registryError } from './registry-error.ts';
import type { ManifestRecord, Repositories } from './repositories.ts';
import { checkedDigest, type ManifestReference } from './routes.ts';
import type { Sweeping } from './sweeping.ts';

export interface ManifestHandlers {
  readonly blobs: BlobStore;
  readonly repositories: Repositories;
  readonly sweeping: Sweeping;
  readonly maxManifestBytes: number;
}

/** GET and HEAD (OCI distribution spec, "Pulling manifests"). The stored type is answered whatever the client accepts. */
export async function serveManifest({ blobs, repositories, sweeping, maxManifestBytes }: ManifestHandlers, exchange: Exchange, repository: string, reference: ManifestReference): Promise<void> {
  const { digest, record } = await sweeping.hold(async () => {
    const digest = await resolve(repositories, repository, reference);
    const record = digest === undefined ? undefined : await repositories.manifest(repository, digest);
    if (digest === undefined || record === undefined) throw manifestUnknown(repository, reference);
    await repositories.renewLease(repository, 'manifest', digest);
    return { digest, record };
  });
  const headers = { 'content-type': record.mediaType, 'docker-content-digest': digest, etag: `"${digest}"` };
  if (exchange.request.headers['if-none-match'] === headers.etag) {
    exchange.response.writeHead(304, headers).end();
    return;
  }
  if (exchange.request.method === 'HEAD') {
    exchange.response.writeHead(200, { ...headers, 'content-length': record.sizeBytes }).end();
    return;
  }
  answer(exchange, 200, headers, await readBlob(blobs, digest, maxManifestBytes));
}

/** PUT ("Pushing Manifests"): valid JSON of its type whose digest fits, and which names only what the repository has. */
export async function putManifest(handlers: ManifestHandlers, exchange: Exchange, repository: string, reference: ManifestReference): Promise<void> {
  const { blobs, repositories, sweeping } = handlers;
  const bytes = await readBody(exchange, handlers.maxManifestBytes);
  const mediaType = exchange.request.headers['content-type']?.split(';')[0]?.trim() ?? '';
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if ('digest' in reference && reference.digest !== digest) throw registryError('invalid', 'DIGEST_INVALID', `the manifest's digest is ${digest}`);
  const manifest = parse(bytes, mediaType);
  const record = describe(manifest, mediaType, bytes.length);
  await sweeping.hold(async () => {
    await checkReferences(handlers, repository, manifest);
    await blobs.write([bytes], { digest }, exchange.signal);
    await repositories.putManifest(repository, digest, record);
    if ('tag' in reference) await repositories.setTag(repository, reference.tag, digest);
  });
  const subject: Record<string, string> = record.subject === undefined ? {} : { 'oci-subject': record.subject };
  answer(exchange, 201, { location: `/v2/${repository}/manifests/${digest}`, 'docker-content-digest': digest, ...subject });
}

/** DELETE ("Deleting tags", "Deleting Manifests"): a tag, or a manifest with all its tags. */
export async function deleteManifest({ repositories }: ManifestHandlers, exchange: Exchange, repository: string, reference: ManifestReference): Promise<void> {
  const isRemoved = 'tag' in reference ? await repositories.removeTag(repository, reference.tag) : await repositories.removeManifest(repository, reference.digest);
  if (!isRemoved) throw manifestUnknown(repository, reference);
  answer(exchange, 202, {});
}

/** GET of the referrers of a digest ("Listing Referrers"): an index, empty when there are none. */
export async function listReferrers({ repositories }: ManifestHandlers, exchange: Exchange, repository: string, digest: string): Promise<void> {
  const artifactType = exchange.query.get('artifactType');
  const all = await repositories.referrers(repository, checkedDigest(digest));
  const manifests = artifactType === null ? all : all.filter((descriptor) => descriptor.artifactType === artifactType);
  const headers = { 'content-type': mediaTypes.ociIndex, ...(artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' }) };
  answerJson(exchange, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, headers);
}

function parse(bytes: Buffer, mediaType: string): ParsedManifest {
  try {
    return parseManifest(bytes, mediaType, 'manifest');
  } catch (error) {
    if (!isError(error, 'invalid', 'unsupported')) throw error;
    throw registryError('invalid', 'MANIFEST_INVALID', error.message);
  }
}

function describe(parsed: ParsedManifest, mediaType: string, sizeBytes: number): ManifestRecord {
  const document = parsed.kind === 'manifest' ? parsed.manifest : parsed.index;
  // Without one the artifact type is the configuration's media type (image-spec, "Guidelines for Artifact Usage").
  const artifactType = document.artifactType ?? (parsed.kind === 'manifest' ? parsed.manifest.config.mediaType : undefined);
  return {
    mediaType,
    sizeBytes,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(document.subject === undefined ? {} : { subject: document.subject.digest }),
    ...(document.annotations === undefined ? {} : { annotations: document.annotations }),
    references: named(parsed).map(({ digest }) => digest),
  };
}

function named(parsed: ParsedManifest): Descriptor[] {
  return parsed.kind === 'index' ? parsed.index.manifests : [parsed.manifest.config, ...parsed.manifest.layers];
}

/** Everything named must be in the repository, with its size. Layers with `urls` live elsewhere. */
async function checkReferences({ blobs, repositories }: ManifestHandlers, repository: string, parsed: ParsedManifest): Promise<void> {
  const missing: Digest[] = [];
  for (const { digest, size, urls } of named(parsed)) {
    if (urls !== undefined && urls.length > 0) continue;
    const isManifest = (await repositories.manifest(repository, digest)) !== undefined;
    const isThere = parsed.kind === 'index' ? isManifest : isManifest || (await repositories.hasBlob(repository, digest));
    const info = isThere ? await blobs.stat(digest) : undefined;
    if (info === undefined) missing.push(digest);
    else if (info.sizeBytes !== size) throw registryError('invalid', 'SIZE_INVALID', `${digest} has ${info.sizeBytes} bytes, the manifest says ${size}`);
  }
  if (missing.length > 0) throw registryError('not-found', 'MANIFEST_BLOB_UNKNOWN', `the manifest names what the repository does not have: ${missing.join(', ')}`, missing.map((digest) => ({ digest })));
}

async function resolve(repositories: Repositories, repository: string, reference: ManifestReference): Promise<string | undefined> {
  return 'digest' in reference ? reference.digest : repositories.tag(repository, reference.tag);
}

function manifestUnknown(repository: string, reference: ManifestReference): Error {
  return registryError('not-found', 'MANIFEST_UNKNOWN', `${repository} has no manifest ${'tag' in reference ? reference.tag : reference.digest}`);
}
