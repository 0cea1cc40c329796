import { createHash } from 'node:crypto';
import { type Descriptor, type Digest, mediaTypes, type ParsedManifest, parseManifest } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { type BlobStore, parseBlobDigest, readBlob } from '../../store/mod.ts';
import { matchesAny } from '../globs.ts';
import type { RulesOf, Upstreams } from '../ports.ts';
import { answer, answerJson, type Exchange, readBody } from './http.ts';
import { describe, named } from './manifest-record.ts';
import type { PullThrough } from './pull-through.ts';
import { registryError } from './registry-error.ts';
import type { Repositories } from './repositories.ts';
import { checkedDigest, checkedTag, type ManifestReference } from './routes.ts';
import type { Sweeping } from './sweeping.ts';

export interface ManifestHandlers {
  readonly blobs: BlobStore;
  readonly repositories: Repositories;
  readonly sweeping: Sweeping;
  readonly rulesOf: RulesOf;
  readonly maxManifestBytes: number;
  readonly upstreams: Upstreams;
  readonly pullThrough: PullThrough;
}

/** GET and HEAD (OCI distribution spec, "Pulling manifests"). The stored type is answered whatever the client accepts. */
export async function serveManifest({ blobs, repositories, sweeping, maxManifestBytes, upstreams, pullThrough }: ManifestHandlers, exchange: Exchange, repository: string, reference: ManifestReference): Promise<void> {
  const upstream = upstreams.find(repository);
  const warning = upstream === undefined ? undefined : await pullThrough.manifest(upstream, repository, reference);
  if (warning !== undefined) exchange.response.setHeader('warning', `299 - "${warning}"`);
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
  refuseForCopies(handlers.upstreams, repository);
  const tags = tagsOf(exchange, reference);
  const bytes = await readBody(exchange, handlers.maxManifestBytes);
  const { algorithm } = 'digest' in reference ? parseBlobDigest(reference.digest) : { algorithm: 'sha256' };
  const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
  if ('digest' in reference && reference.digest !== digest) throw registryError('invalid', 'DIGEST_INVALID', `the manifest's digest is ${digest}`);
  const mediaType = exchange.request.headers['content-type']?.split(';')[0]?.trim() ?? statedTypeOf(bytes);
  const manifest = parse(bytes, mediaType);
  const record = describe(manifest, mediaType, bytes.length);
  await sweeping.hold(async () => {
    for (const tag of tags) await refuseToMove(handlers, repository, tag, digest);
    await checkReferences(handlers, repository, manifest);
    await blobs.write([bytes], { digest }, exchange.signal);
    await repositories.putManifest(repository, digest, record);
    for (const tag of tags) await setTag(handlers, repository, tag, digest);
  });
  const subject: Record<string, string> = record.subject === undefined ? {} : { 'oci-subject': record.subject };
  const tagged: Record<string, string> = 'tag' in reference || tags.length === 0 ? {} : { 'oci-tag': tags.join(', ') };
  answer(exchange, 201, { location: `/v2/${repository}/manifests/${digest}`, 'docker-content-digest': digest, ...subject, ...tagged });
}

/** What is a copy of another registry is not pushed to. */
export function refuseForCopies(upstreams: Upstreams, repository: string): void {
  const upstream = upstreams.find(repository);
  if (upstream !== undefined) throw registryError('unsupported', 'UNSUPPORTED', `${repository} is a copy of ${upstream.name}; push there`);
}

/** A tag that is immutable is made once; of two pushes at the same moment one is refused. */
async function setTag(handlers: ManifestHandlers, repository: string, tag: string, digest: string): Promise<void> {
  const { repositories, rulesOf } = handlers;
  if (!matchesAny(rulesOf(repository).immutableTags, tag)) return repositories.setTag(repository, tag, digest);
  if (!(await repositories.createTag(repository, tag, digest))) await refuseToMove(handlers, repository, tag, digest);
}

async function refuseToMove({ repositories, rulesOf }: ManifestHandlers, repository: string, tag: string, digest: string): Promise<void> {
  if (!matchesAny(rulesOf(repository).immutableTags, tag)) return;
  const current = await repositories.tag(repository, tag);
  if (current !== undefined && current !== digest) throw registryError('conflict', 'DENIED', `the tag ${tag} of ${repository} is immutable and names ${current}`);
}

const maxTagsOfAPush = 100;

/** The tag of the path, or those of the query when it has a digest. */
function tagsOf({ query }: Exchange, reference: ManifestReference): string[] {
  if ('tag' in reference) return [reference.tag];
  const tags = [...new Set(query.getAll('tag').map(checkedTag))];
  if (tags.length > maxTagsOfAPush) throw registryError('invalid', 'TAG_INVALID', `a push takes at most ${maxTagsOfAPush} tags`);
  return tags;
}

/** For clients that do not say what they send: the type that the document has. */
function statedTypeOf(bytes: Buffer): string {
  try {
    const parsed: unknown = JSON.parse(bytes.toString());
    return typeof parsed === 'object' && parsed !== null && 'mediaType' in parsed && typeof parsed.mediaType === 'string' ? parsed.mediaType : '';
  } catch {
    return '';
  }
}

/** DELETE ("Deleting tags", "Deleting Manifests"): a tag, or a manifest with all its tags, unless an index lists it. */
export async function deleteManifest({ repositories, sweeping, rulesOf }: ManifestHandlers, exchange: Exchange, repository: string, reference: ManifestReference): Promise<void> {
  const isRemoved = await sweeping.remove(async () => {
    const tags = 'tag' in reference ? [reference.tag] : await repositories.tagsOf(repository, reference.digest);
    const kept = tags.find((tag) => matchesAny(rulesOf(repository).immutableTags, tag));
    if (kept !== undefined) throw registryError('unsupported', 'UNSUPPORTED', `the tag ${kept} of ${repository} is immutable and cannot be deleted`);
    if ('tag' in reference) return repositories.removeTag(repository, reference.tag);
    await refuseWhenNamed(repositories, repository, reference.digest);
    return repositories.removeManifest(repository, reference.digest);
  });
  if (!isRemoved) throw manifestUnknown(repository, reference);
  answer(exchange, 202, {});
}

/** What a manifest of the repository names cannot be deleted before it: nobody shall pull an image in part. */
export async function refuseWhenNamed(repositories: Repositories, repository: string, digest: string): Promise<void> {
  for await (const other of repositories.manifests(repository)) {
    const isNaming = other !== digest && (await repositories.manifest(repository, other))?.references.includes(digest) === true;
    if (isNaming) throw registryError('unsupported', 'UNSUPPORTED', `${digest} cannot be deleted: the manifest ${other} names it; delete that first`, { namedBy: other });
  }
}

/** GET of the referrers of a digest ("Listing Referrers"): an index, empty when there are none, in pages that are no larger than a manifest may be. */
export async function listReferrers({ repositories, maxManifestBytes }: ManifestHandlers, exchange: Exchange, repository: string, digest: string): Promise<void> {
  const artifactType = exchange.query.get('artifactType');
  const last = exchange.query.get('last') ?? '';
  const all = (await repositories.referrers(repository, checkedDigest(digest))).filter((descriptor) => descriptor.digest > last);
  const wanted = artifactType === null ? all : all.filter((descriptor) => descriptor.artifactType === artifactType);
  const manifests: Descriptor[] = [];
  for (let sizeBytes = 200, index = 0; index < wanted.length; index += 1) {
    const descriptor = wanted[index] as Descriptor;
    sizeBytes += Buffer.byteLength(JSON.stringify(descriptor)) + 1;
    if (sizeBytes > maxManifestBytes && manifests.length > 0) break;
    manifests.push(descriptor);
  }
  const filter = artifactType === null ? '' : `artifactType=${encodeURIComponent(artifactType)}&`;
  const next = `</v2/${repository}/referrers/${digest}?${filter}last=${manifests.at(-1)?.digest ?? ''}>; rel="next"`;
  const headers = {
    'content-type': mediaTypes.ociIndex,
    ...(artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' }),
    ...(manifests.length < wanted.length ? { link: next } : {}),
  };
  answerJson(exchange, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, headers);
}

function parse(bytes: Buffer, mediaType: string): ParsedManifest {
  try {
    return parseManifest(bytes, mediaType, 'manifest', 'any');
  } catch (error) {
    if (!isError(error, 'invalid', 'unsupported')) throw error;
    throw registryError('invalid', 'MANIFEST_INVALID', error.message);
  }
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
