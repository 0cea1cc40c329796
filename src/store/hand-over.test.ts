import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { DiskBlobStore } from './disk-blobs.ts';
import { blobFile, handOver } from './hand-over.ts';

const { signal } = new AbortController();
const content = randomBytes(1_200_000);
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
const inodeOf = async (path: string): Promise<number> => (await stat(path)).ino;

/** Two stores on one file system; the first has a blob. */
async function openPair(): Promise<AsyncDisposable & { from: DiskBlobStore; to: DiskBlobStore; file: string; folder: string }> {
  const root = await mkdtemp(join(tmpdir(), 'gantry-hand-over-'));
  const folder = join(root, 'to');
  const from = await DiskBlobStore.open(join(root, 'from'));
  await from.write([content], {}, signal);
  return { from, to: await DiskBlobStore.open(folder), file: from.pathOf(digest), folder, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

test('handOver() makes an empty upload of a file that both sides then have, and either may remove', async () => {
  for (const removesFirst of ['from', 'to'] as const) {
    await using pair = await openPair();
    const { from, to, file, folder } = pair;
    const id = await to.createUpload();
    assert.equal(await handOver(folder, id, file), true);
    assert.deepEqual(await to.commitUpload(id, { digest, sizeBytes: content.length }, signal).then(({ sizeBytes }) => sizeBytes), content.length);
    assert.equal(await inodeOf(blobFile(folder, digest)), await inodeOf(file));
    assert.deepEqual([await to.uploadSize(id), await readdir(join(folder, 'handed')), await readdir(join(folder, 'uploads'))], [undefined, [], []]);
    const [gone, left] = removesFirst === 'from' ? [from, to] : [to, from];
    assert.equal(await gone.delete(digest), true);
    assert.ok((await readFile(left.pathOf(digest))).equals(content));
  }
});

test('what was handed over is verified, and is never written to', async () => {
  await using pair = await openPair();
  const { to, file, folder } = pair;
  const wrong = await to.createUpload();
  assert.equal(await handOver(folder, wrong, file), true);
  await assert.rejects(to.commitUpload(wrong, { digest: digest.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }, signal), (error) => isError(error, 'invalid'));
  const written = await to.createUpload();
  assert.equal(await handOver(folder, written, file), true);
  // Bytes that come after all go elsewhere, and count.
  await to.appendUpload(written, 0, [Buffer.from('mine')], signal);
  assert.equal((await to.commitUpload(written, {}, signal)).sizeBytes, 4);
  const stopped = await to.createUpload();
  assert.equal(await handOver(folder, stopped, file), true);
  await assert.rejects(to.commitUpload(stopped, { digest }, AbortSignal.abort()), (error) => isError(error, 'cancelled'));
  assert.equal(await to.stat(digest), undefined);
  assert.ok((await readFile(file)).equals(content));
  const later = await DiskBlobStore.open(folder);
  assert.deepEqual([await readdir(join(folder, 'handed')), await later.uploadSize(stopped)], [[], 0], 'a store that opens holds on to no file of others');
});

test('handOver() refuses files that others may write to, that are not there, and ids that are no uploads', async () => {
  await using pair = await openPair();
  const { to, file, folder } = pair;
  const id = await to.createUpload();
  const other = join(folder, 'other');
  await writeFile(other, content);
  await chmod(other, 0o666);
  for (const path of [other, join(folder, 'none'), folder]) assert.equal(await handOver(folder, id, path), false, path);
  if (process.getuid?.() === 0) {
    await chmod(other, 0o600);
    await chown(other, 12_345, 12_345);
    assert.equal(await handOver(folder, id, other), false, 'of another user');
  }
  assert.equal(await handOver(folder, '../uploads/x', file), false);
  assert.equal(await to.cancelUpload(id), true);
});

test('adopt() takes a file once, and only when it is what it should be', async () => {
  await using pair = await openPair();
  const { to, file } = pair;
  assert.equal(await to.adopt(file, { digest, sizeBytes: 5 }, signal), undefined);
  assert.equal(await to.adopt(`${file}x`, { digest }, signal), undefined);
  assert.equal((await to.adopt(file, { digest, sizeBytes: content.length }, signal))?.digest, digest);
  assert.equal(await inodeOf(to.pathOf(digest)), await inodeOf(file));
  assert.equal((await to.adopt(file, { digest }, signal))?.digest, digest);
  for await (const { id } of to.listUploads()) assert.fail(`${id} is left`);
});
