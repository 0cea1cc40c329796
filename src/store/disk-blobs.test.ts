import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DiskBlobStore } from './disk-blobs.ts';
import { testBlobStore } from './testing/blob-store-suite.ts';

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'gantry-blobs-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

testBlobStore('DiskBlobStore', async () => {
  const folder = await temporaryFolder();
  return {
    blobs: await DiskBlobStore.open(folder.path),
    reopen: () => DiskBlobStore.open(folder.path),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});

test('DiskBlobStore keeps a blob in a file named by its digest', async () => {
  await using folder = await temporaryFolder();
  const blobs = await DiskBlobStore.open(folder.path);
  await blobs.write([Buffer.from('')], {}, new AbortController().signal);
  assert.deepEqual(await readdir(join(folder.path, 'sha256', 'e3')), ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']);
});
