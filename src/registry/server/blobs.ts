import { pipeline } from 'node:stream/promises';
import { isError, type Logger } from '../../kernel/mod.ts';
import { type BlobStore, type DigestAlgorithm, digestAlgorithms, parseBlobDigest } from '../../store/mod.ts';
import type { Upstreams } from '../ports.ts';
import type { DiskBudget } from './disk-budget.ts';
import { answer, type Exchange } from './http.ts';
import { refuseForCopies, refuseWhenNamed } from './manifests.ts';
import type { PullThrough } from './pull-through.ts';
import { parseContentRange, parseRange } from './ranges.ts';
import { registryError } from './registry-error.ts';
import { leaseMs, type Repositories } from './repositories.ts';
import { checkedDigest, checkedRepository } from './routes.ts';
import type { Sweeping } from './sweeping.ts';

export interface BlobHandlers {
  readonly blobs: BlobStore;
  readonly repositories: Repositories;
  readonly sweeping: Sweeping;
  readonly budget: DiskBudget;
  readonly upstreams: Upstreams;
  readonly pullThrough: PullThrough;
  readonly log: Logger;
}

/** GET and HEAD of a blob (OCI distribution spec, "Pulling blobs"), with one byte range (RFC 9110, 14). */
export async function serveBlob(handlers: BlobHandlers, exchange: Exchange, repository: string, digest: string): Promise<void> {
  const { blobs, repositories, sweeping } = handlers;
  const { request, response } = exchange;
  if (await serveCopied(handlers, exchange, repository, digest)) return;
  const info = await sweeping.hold(async () => {
    if (!(await repositories.hasBlob(repository, digest))) return undefined;
    await repositories.renewLease(repository, 'blob', digest);
    return blobs.stat(digest);
  });
  if (info === undefined) throw blobUnknown(digest);
  const headers = blobHeaders(digest);
  if (request.headers['if-none-match'] === headers.etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const range = parseRange(request.headers.range, info.sizeBytes);
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${info.sizeBytes}`);
    throw registryError('precondition-failed', 'RANGE_INVALID', `the blob has ${info.sizeBytes} bytes`);
  }
  const length = range === undefined ? info.sizeBytes : range.end - range.start;
  const isHead = request.method === 'HEAD';
  await using content = isHead ? undefined : await blobs.open(digest, range);
  const partial = range === undefined ? {} : { 'content-range': `bytes ${range.start}-${range.end - 1}/${info.sizeBytes}` };
  response.writeHead(range === undefined ? 200 : 206, { ...headers, ...partial, 'content-length': length });
  await content?.sendTo(response, exchange.signal);
  response.end();
}

function blobHeaders(digest: string) {
  return { 'docker-content-digest': digest, 'content-type': 'application/octet-stream', etag: `"${digest}"`, 'accept-ranges': 'bytes', 'cache-control': 'max-age=31536000' };
}

/** A blob of another registry that is not here yet: the client reads along while it is copied. False when it is here, or is now. */
async function serveCopied({ repositories, upstreams, pullThrough }: BlobHandlers, { request, response, signal }: Exchange, repository: string, digest: string): Promise<boolean> {
  const upstream = upstreams.find(repository);
  if (upstream === undefined || (await repositories.hasBlob(repository, digest))) return false;
  const size = await pullThrough.sizeOf(repository, digest);
  if (size === undefined) throw blobUnknown(digest);
  const headers = { ...blobHeaders(digest), 'content-length': size };
  if (request.method === 'HEAD') {
    response.writeHead(200, headers).end();
    return true;
  }
  const stream = await pullThrough.blob(upstream, repository, { digest, size }, request.headers.range === undefined);
  if (stream === undefined) return false;
  response.writeHead(200, headers);
  await pipeline(stream, response, { signal });
  return true;
}

/** DELETE of a blob, unless a manifest names it: the repository forgets it; its bytes go with the next collection. */
export async function deleteBlob({ repositories, sweeping }: BlobHandlers, exchange: Exchange, repository: string, digest: string): Promise<void> {
  const isRemoved = await sweeping.remove(async () => {
    await refuseWhenNamed(repositories, repository, digest);
    return repositories.removeBlob(repository, digest);
  });
  if (!isRemoved) throw blobUnknown(digest);
  answer(exchange, 202, {});
}

/** POST: begins an upload, takes a whole blob at once (`digest`), or mounts one of another repository (`mount`, `from`). */
export async function beginUpload(handlers: BlobHandlers, exchange: Exchange, repository: string, canPull: (repository: string) => Promise<boolean>): Promise<void> {
  const { blobs, repositories } = handlers;
  const { query } = exchange;
  refuseForCopies(handlers.upstreams, repository);
  const mount = query.get('mount');
  if (mount !== null && (await mountBlob(handlers, repository, checkedDigest(mount), query.get('from'), canPull))) {
    return created(exchange, repository, mount);
  }
  handlers.budget.check();
  warnOfBudget(handlers.budget, exchange);
  const digest = query.get('digest');
  const id = await blobs.createUpload(digest === null ? askedAlgorithm(query) : parseBlobDigest(checkedDigest(digest)).algorithm);
  await repositories.addUpload(repository, id);
  if (digest === null) return accepted(exchange, repository, id, 0);
  try {
    await receive(handlers, exchange, id, 0);
    await finish(handlers, exchange, repository, id, digest);
  } catch (error) {
    // A client that sends a blob in one go does not know the upload's id: nobody will go on with it.
    await drop(handlers, repository, id);
    throw error;
  }
}

/** PATCH: the next part. Docker sends parts without Content-Range; then they go to the end. */
export async function patchUpload(handlers: BlobHandlers, exchange: Exchange, repository: string, id: string): Promise<void> {
  const size = await sizeOf(handlers, repository, id);
  accepted(exchange, repository, id, await receive(handlers, exchange, id, partOffset(exchange, repository, id, size)));
}

/** PUT: the last part, which may be empty, and the digest. */
export async function putUpload(handlers: BlobHandlers, exchange: Exchange, repository: string, id: string): Promise<void> {
  const digest = exchange.query.get('digest');
  if (digest === null) throw registryError('invalid', 'DIGEST_INVALID', 'the digest is missing');
  checkedDigest(digest);
  const size = await sizeOf(handlers, repository, id);
  await receive(handlers, exchange, id, partOffset(exchange, repository, id, size));
  await finish(handlers, exchange, repository, id, digest);
}

/** GET: how much has arrived. */
export async function describeUpload(handlers: BlobHandlers, exchange: Exchange, repository: string, id: string): Promise<void> {
  const size = await sizeOf(handlers, repository, id);
  answer(exchange, 204, uploadHeaders(repository, id, size));
}

/** DELETE: gives the upload up. */
export async function cancelUpload(handlers: BlobHandlers, exchange: Exchange, repository: string, id: string): Promise<void> {
  await sizeOf(handlers, repository, id);
  await drop(handlers, repository, id);
  answer(exchange, 204, {});
}

/** Clients show it to who pushes (OCI distribution spec, "Warnings"). */
export function warnOfBudget(budget: DiskBudget, { response }: Exchange): void {
  const { warning } = budget.usage();
  if (warning !== undefined) response.setHeader('warning', `299 - "${warning}"`);
}

/** Without `from`, any repository that the client may pull from will do ("Mounting a blob from another repository"). */
async function mountBlob(
  { blobs, repositories, sweeping }: BlobHandlers, repository: string, digest: string, from: string | null, canPull: (repository: string) => Promise<boolean>,
): Promise<boolean> {
  const candidates = from === null ? await repositories.listAll() : [checkedRepository(from)];
  return sweeping.hold(async () => {
    if ((await blobs.stat(digest)) === undefined) return false;
    for (const source of candidates) {
      if (!(await repositories.hasBlob(source, digest)) || !(await canPull(source))) continue;
      await repositories.addBlob(repository, digest);
      return true;
    }
    return false;
  });
}

/** `digest-algorithm` of a POST ("Pushing a blob in chunks"): what the closing PUT will have. */
function askedAlgorithm(query: URLSearchParams): DigestAlgorithm {
  const asked = query.get('digest-algorithm') ?? 'sha256';
  const known = digestAlgorithms.find((algorithm) => algorithm === asked);
  if (known === undefined) throw registryError('invalid', 'DIGEST_INVALID', `the digest algorithm ${JSON.stringify(asked.slice(0, 50))} is not supported; ${digestAlgorithms.join(' and ')} are`);
  return known;
}

async function receive({ blobs }: BlobHandlers, { request, signal }: Exchange, id: string, offset: number): Promise<number> {
  try {
    return await blobs.appendUpload(id, offset, released(request), signal);
  } catch (error) {
    if (isError(error) || request.complete) throw error;
    throw registryError('cancelled', 'BLOB_UPLOAD_INVALID', 'the upload broke off');
  }
}

/** The parts of the body, each given back to the system when the next is asked for: garbage of tens of megabytes would wait for the collector. */
async function* released(body: AsyncIterable<Buffer>): AsyncIterable<Uint8Array> {
  for await (const part of body) {
    yield part;
    const { buffer } = part;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === part.byteLength) buffer.transfer(0);
  }
}

/** Shorter uploads end well before the leases that were taken before them. */
const longUploadMs = 60_000;

async function finish({ blobs, repositories, sweeping, budget }: BlobHandlers, exchange: Exchange, repository: string, id: string, digest: string): Promise<void> {
  const beganMs = await repositories.uploadBegan(repository, id);
  try {
    await sweeping.hold(async () => {
      // While it went on, the leases of its push did not run out; they must not do so now.
      if (beganMs !== undefined && Date.now() - beganMs > longUploadMs) await repositories.renewLeasesSince(repository, beganMs - leaseMs);
      const { sizeBytes } = await blobs.commitUpload(id, { digest }, exchange.signal);
      budget.added(sizeBytes);
      await repositories.addBlob(repository, digest);
    });
  } catch (error) {
    if (!isError(error, 'invalid')) throw error;
    await repositories.removeUpload(repository, id);
    throw registryError('invalid', 'DIGEST_INVALID', error.message, error.details);
  }
  await repositories.removeUpload(repository, id);
  created(exchange, repository, digest);
}

async function drop({ blobs, repositories }: BlobHandlers, repository: string, id: string): Promise<void> {
  await blobs.cancelUpload(id);
  await repositories.removeUpload(repository, id);
}

async function sizeOf({ blobs, repositories }: BlobHandlers, repository: string, id: string): Promise<number> {
  const size = (await repositories.hasUpload(repository, id)) ? await blobs.uploadSize(id) : undefined;
  if (size === undefined) throw registryError('not-found', 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
  return size;
}

/** Where the part begins. A part that does not follow on the last is 416, with what has arrived. */
function partOffset({ request, response }: Exchange, repository: string, id: string, size: number): number {
  const range = parseContentRange(request.headers['content-range']);
  if (range === undefined) return size;
  const length = request.headers['content-length'];
  if (range.start === size && (length === undefined || Number(length) === range.end - range.start)) return size;
  for (const [name, value] of Object.entries(uploadHeaders(repository, id, size))) response.setHeader(name, value);
  throw registryError('precondition-failed', 'BLOB_UPLOAD_INVALID', `the next part begins at ${size}`);
}

function accepted(exchange: Exchange, repository: string, id: string, size: number): void {
  answer(exchange, 202, uploadHeaders(repository, id, size));
}

/** The range of an empty upload is `0-0`, as every client expects. */
function uploadHeaders(repository: string, id: string, size: number): Record<string, string> {
  return { location: `/v2/${repository}/blobs/uploads/${id}`, range: `0-${Math.max(size - 1, 0)}`, 'docker-upload-uuid': id, 'oci-chunk-min-length': '0' };
}

function created(exchange: Exchange, repository: string, digest: string): void {
  answer(exchange, 201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
}

function blobUnknown(digest: string): Error {
  return registryError('not-found', 'BLOB_UNKNOWN', 'the repository does not have this blob', { digest });
}
