import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { S3BlobStore, type S3BlobStoreOptions } from './s3-blobs.ts';
import { emptyHash, signRequest } from './s3/signature.ts';
import { testBlobStore } from './testing/blob-store-suite.ts';
import { openTestS3Server, type TestS3Server } from './testing/s3-server.ts';

const signal = AbortSignal.timeout(120_000);

async function openFixture(options: Partial<S3BlobStoreOptions> = {}): Promise<AsyncDisposable & { service: TestS3Server; folder: string; blobs: S3BlobStore; reopen(): Promise<S3BlobStore> }> {
  const parts = new AsyncDisposableStack();
  const service = parts.use(await openTestS3Server());
  const folder = await mkdtemp(join(tmpdir(), 'gantry-s3-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const reopen = async (): Promise<S3BlobStore> => {
    const { endpoint, region, bucket, credentials } = service;
    return parts.use(await S3BlobStore.open({ endpoint, region, bucket, credentials, prefix: 'registry/', stagingFolder: folder, ...options }, signal));
  };
  return { service, folder, blobs: await reopen(), reopen, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

testBlobStore('S3BlobStore', () => openFixture());

test('signRequest() makes the signature of the example in the documentation', () => {
  // Amazon S3 API Reference, "Signature Calculations for the Authorization Header", Example: GET Object.
  const signed = signRequest(
    { method: 'GET', url: new URL('https://examplebucket.s3.amazonaws.com/test.txt'), headers: { range: 'bytes=0-9' }, bodyHash: emptyHash },
    { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }, 'us-east-1', new Date('2013-05-24T00:00:00Z'),
  );
  assert.match(signed['authorization'] ?? '', /SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41$/);
});

test('signRequest() makes the signature of the example with a query', () => {
  // The same page, Example: Get Bucket (List Objects).
  const signed = signRequest(
    { method: 'GET', url: new URL('https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J'), headers: {}, bodyHash: emptyHash },
    { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }, 'us-east-1', new Date('2013-05-24T00:00:00Z'),
  );
  assert.match(signed['authorization'] ?? '', /Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7$/);
});

test('a large blob goes in parts and is one object; nothing stays of one that fails', async () => {
  await using fixture = await openFixture({ partBytes: 5 << 20 });
  const { service, blobs } = fixture;
  const content = randomBytes(12 << 20);
  const { digest } = await blobs.write([content], {}, signal);
  assert.equal(service.requests.filter((line) => line.includes('partNumber=')).length, 3);
  const hash = createHash('sha256');
  for await (const chunk of await blobs.read(digest)) hash.update(chunk as Buffer);
  assert.equal(`sha256:${hash.digest('hex')}`, digest);
  service.fault = (request, response) => request.url?.includes('partNumber=2') === true && (response.writeHead(400).end(), true);
  await assert.rejects(blobs.write([randomBytes(12 << 20)], {}, signal));
  service.fault = undefined;
  const listed = [];
  for await (const info of blobs.list()) listed.push(info.digest);
  assert.deepEqual([listed, service.openParts(), await readdir(join(fixture.folder, 'uploads'))], [[digest], 0, []]);
});

test('parts and staged files that a stop left behind are gone after the next start, uploads in progress are not', async () => {
  await using fixture = await openFixture({ partBytes: 5 << 20 });
  const { service, blobs } = fixture;
  const id = await blobs.createUpload();
  await blobs.appendUpload(id, 0, [Buffer.from('half')], signal);
  // The service never answers the second part, as when the process is killed there.
  const reached = Promise.withResolvers<void>();
  service.fault = (request) => request.url?.includes('partNumber=2') === true && (reached.resolve(), true);
  const killed = blobs.write([randomBytes(8 << 20)], {}, signal);
  killed.catch(() => undefined);
  await reached.promise;
  assert.equal(service.openParts(), 1);
  service.fault = undefined;
  const later = await fixture.reopen();
  assert.deepEqual([service.openParts(), await later.uploadSize(id)], [0, 4]);
  const staged = (await readdir(join(fixture.folder, 'sha256'), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  assert.deepEqual(staged, []);
});

test('a service that stumbles is asked again; one that refuses is not', async () => {
  await using fixture = await openFixture();
  const { service, blobs } = fixture;
  let stumbles = 2;
  service.fault = (_, response) => stumbles-- > 0 && (response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>'), true);
  const { digest } = await blobs.write([Buffer.from('x')], {}, signal);
  assert.equal((await blobs.stat(digest))?.sizeBytes, 1);
  service.fault = (_, response) => (response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>'), true);
  const before = service.requests.length;
  await assert.rejects(blobs.read(digest), (error) => isError(error, 'forbidden'));
  assert.equal(service.requests.length, before + 1);
});

test('wrong credentials and prefixes are told at start', async () => {
  await using service = await openTestS3Server();
  const options = { endpoint: service.endpoint, region: service.region, bucket: service.bucket, stagingFolder: await mkdtemp(join(tmpdir(), 'gantry-s3-')) };
  await assert.rejects(S3BlobStore.open({ ...options, credentials: { ...service.credentials, secretAccessKey: 'wrong' } }, signal), (error) => isError(error, 'forbidden') && error.message.includes('SignatureDoesNotMatch'));
  await assert.rejects(S3BlobStore.open({ ...options, credentials: service.credentials, prefix: '../x' }, signal), (error) => isError(error, 'invalid'));
  await rm(options.stagingFolder, { recursive: true });
});
