import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { GantryError, isError } from '../../kernel/mod.ts';
import type { BlobStore } from '../blobs.ts';

/** A store for one test, and the same content opened again as after a restart. */
export interface BlobStoreFixture extends AsyncDisposable {
  readonly blobs: BlobStore;
  reopen(): Promise<BlobStore>;
}

const signal = new AbortController().signal;
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const code = (expected: string) => (error: unknown) => isError(error) && error.code === expected;

async function textOf(blobs: BlobStore, digest: string, range?: { start?: number; end?: number }): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await blobs.read(digest, range)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function* failing(first: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(first);
  throw new GantryError('unavailable', 'the connection broke');
}

/** What every BlobStore must do. `open` makes an empty store. */
export function testBlobStore(name: string, open: () => Promise<BlobStoreFixture>): void {
  const hello = Buffer.from('hello, blob');
  const helloDigest = digestOf(hello);

  test(`${name}: write() stores bytes under their digest`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    assert.equal(await blobs.stat(helloDigest), undefined);
    const info = await blobs.write([hello.subarray(0, 5), hello.subarray(5)], { digest: helloDigest, sizeBytes: 11 }, signal);
    assert.deepEqual({ digest: info.digest, sizeBytes: info.sizeBytes }, { digest: helloDigest, sizeBytes: 11 });
    assert.equal((await blobs.stat(helloDigest))?.sizeBytes, 11);
    assert.equal(await textOf(blobs, helloDigest), 'hello, blob');
    assert.deepEqual((await all((await fixture.reopen()).list())).map(({ digest }) => digest), [helloDigest]);
  });

  test(`${name}: write() of the same bytes keeps one blob`, async () => {
    await using fixture = await open();
    await Promise.all([1, 2, 3].map(() => fixture.blobs.write([hello], {}, signal)));
    assert.equal((await all(fixture.blobs.list())).length, 1);
    assert.deepEqual(await all(fixture.blobs.listUploads()), []);
  });

  test(`${name}: write() refuses other bytes than expected and leaves nothing`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    const wrong = digestOf(Buffer.from('other'));
    await assert.rejects(blobs.write([hello], { digest: wrong }, signal), code('invalid'));
    await assert.rejects(blobs.write([hello], { sizeBytes: 12 }, signal), code('invalid'));
    await assert.rejects(blobs.write(failing('hel'), {}, signal), code('unavailable'));
    await assert.rejects(blobs.write([hello], {}, AbortSignal.abort()), code('cancelled'));
    assert.deepEqual([await all(blobs.list()), await all(blobs.listUploads())], [[], []]);
  });

  test(`${name}: read() serves ranges and refuses those outside`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    await blobs.write([hello], {}, signal);
    const ranges: [start: number | undefined, end: number | undefined, text: string][] = [
      [undefined, undefined, 'hello, blob'], [7, undefined, 'blob'], [undefined, 5, 'hello'], [3, 4, 'l'], [11, 11, ''], [0, 0, ''],
    ];
    for (const [start, end, text] of ranges) assert.equal(await textOf(blobs, helloDigest, { start, end }), text);
    for (const range of [{ start: 12 }, { end: 12 }, { start: -1 }, { start: 5, end: 4 }, { start: 0.5 }]) {
      await assert.rejects(blobs.read(helloDigest, range), code('invalid'));
    }
    await assert.rejects(blobs.read(digestOf(Buffer.from('none'))), code('not-found'));
  });

  test(`${name}: open() sends ranges to a stream without ending it, whatever its pace`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    const content = randomBytes(2_500_001);
    const { digest } = await blobs.write([content], {}, signal);
    for (const [start, end] of [[0, content.length], [1, content.length - 1], [524_288, 1_048_576], [7, 8], [9, 9]] as const) {
      await using blob = await blobs.open(digest, { start, end });
      const received: Buffer[] = [];
      // As a socket, it needs a chunk until it calls back.
      const target = new Writable({ write: (chunk: Buffer, _, done) => setImmediate(() => (received.push(Buffer.from(chunk)), done())) });
      await blob.sendTo(target, signal);
      assert.equal(target.writable, true);
      await finished(target.end());
      assert.ok(Buffer.concat(received).equals(content.subarray(start, end)), `${start} to ${end}`);
    }
    await assert.rejects(blobs.open(digest, { start: 5, end: 4 }), code('invalid'));
    await assert.rejects(blobs.open(digestOf(Buffer.from('none'))), code('not-found'));
  });

  test(`${name}: open() gives up when the stream closes or the caller does`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    const { digest } = await blobs.write([randomBytes(3_000_000)], {}, signal);
    const stop = new AbortController();
    for (const end of [(target: Writable) => target.destroy(), () => stop.abort()]) {
      await using blob = await blobs.open(digest);
      // Never done with its first chunk.
      const target: Writable = new Writable({ write: () => setImmediate(() => end(target)) });
      await assert.rejects(blob.sendTo(target, stop.signal));
    }
  });

  test(`${name}: a source may use its chunks again, of any size`, async () => {
    await using fixture = await open();
    const content = randomBytes(2_000_003);
    const source = function* (): Iterable<Uint8Array> {
      const chunk = Buffer.alloc(700_000);
      for (let at = 0, size = 1; at < content.length; at += size, size = Math.min(size * 3, chunk.length)) {
        const count = content.copy(chunk, 0, at, at + size);
        yield chunk.subarray(0, count);
        chunk.fill(0);
      }
    };
    await fixture.blobs.write(source(), { digest: digestOf(content), sizeBytes: content.length }, signal);
  });

  test(`${name}: digests of no known algorithm or length are refused`, async () => {
    await using fixture = await open();
    for (const digest of ['', 'sha256:', `sha256:${'A'.repeat(64)}`, 'sha512:00', '../../etc/passwd', `sha256:${'0'.repeat(63)}/`]) {
      await assert.rejects(fixture.blobs.stat(digest), code('invalid'));
      await assert.rejects(fixture.blobs.delete(digest), code('invalid'));
    }
  });

  test(`${name}: a blob is stored under its sha512 too, also when the upload did not know it`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    const digest = `sha512:${createHash('sha512').update(hello).digest('hex')}`;
    await blobs.write([hello], {}, signal);
    assert.equal((await blobs.write([hello], { digest }, signal)).digest, digest);
    assert.deepEqual((await all((await fixture.reopen()).list())).map((info) => info.digest).toSorted(), [helloDigest, digest]);
    assert.equal(await textOf(blobs, digest, { start: 7 }), 'blob');
    assert.equal(await blobs.delete(digest), true);
    for (const algorithm of [undefined, 'sha512'] as const) {
      const id = await blobs.createUpload(algorithm);
      await blobs.appendUpload(id, 0, [hello.subarray(0, 4)], signal);
      await blobs.appendUpload(id, 4, [hello.subarray(4)], signal);
      assert.equal((await blobs.commitUpload(id, { digest }, signal)).digest, digest);
    }
    await assert.rejects(blobs.write([hello.subarray(1)], { digest }, signal), code('invalid'));
    assert.equal(await textOf(blobs, helloDigest), 'hello, blob');
  });

  test(`${name}: delete() removes a blob while readers go on`, async () => {
    await using fixture = await open();
    const big = randomBytes(3_000_000);
    const { digest } = await fixture.blobs.write([big], {}, signal);
    const reader = await fixture.blobs.read(digest);
    assert.equal(await fixture.blobs.delete(digest), true);
    assert.equal(await fixture.blobs.delete(digest), false);
    assert.equal(await fixture.blobs.stat(digest), undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of reader) chunks.push(chunk as Buffer);
    assert.equal(digestOf(Buffer.concat(chunks)), digest);
  });

  test(`${name}: an upload goes on after a broken part and a restart`, async () => {
    await using fixture = await open();
    const { blobs } = fixture;
    const id = await blobs.createUpload();
    assert.equal(await blobs.uploadSize(id), 0);
    assert.equal(await blobs.appendUpload(id, 0, [hello.subarray(0, 2)], signal), 2);
    await assert.rejects(blobs.appendUpload(id, 2, failing('ll'), signal), code('unavailable'));
    assert.equal(await blobs.uploadSize(id), 4);
    assert.equal(await blobs.stat(helloDigest), undefined);
    const later = await fixture.reopen();
    await assert.rejects(later.appendUpload(id, 0, [hello], signal), code('precondition-failed'));
    assert.equal(await later.appendUpload(id, 4, [hello.subarray(4)], signal), 11);
    await later.commitUpload(id, { digest: helloDigest }, signal);
    assert.equal(await textOf(later, helloDigest), 'hello, blob');
    assert.equal(await later.uploadSize(id), undefined);
  });

  test(`${name}: commitUpload() with a wrong digest drops the upload`, async () => {
    await using fixture = await open();
    const id = await fixture.blobs.createUpload();
    await fixture.blobs.appendUpload(id, 0, [hello], signal);
    await assert.rejects(fixture.blobs.commitUpload(id, { digest: digestOf(Buffer.from('x')) }, signal), code('invalid'));
    await assert.rejects(fixture.blobs.commitUpload(id, {}, signal), code('not-found'));
    assert.deepEqual(await all(fixture.blobs.list()), []);
  });

  test(`${name}: cancelUpload() leaves nothing; unknown ids are no uploads`, async () => {
    await using fixture = await open();
    const id = await fixture.blobs.createUpload();
    assert.deepEqual((await all(fixture.blobs.listUploads())).map((upload) => upload.id), [id]);
    assert.equal(await fixture.blobs.cancelUpload(id), true);
    assert.equal(await fixture.blobs.cancelUpload(id), false);
    for (const unknown of [id, '../x', '']) {
      assert.equal(await fixture.blobs.uploadSize(unknown), undefined);
      await assert.rejects(fixture.blobs.appendUpload(unknown, 0, [hello], signal), code('not-found'));
    }
  });

  test(`${name}: two writers of one upload do not mix`, async () => {
    await using fixture = await open();
    const id = await fixture.blobs.createUpload();
    const gate = Promise.withResolvers<void>();
    const slow = async function* (): AsyncIterable<Uint8Array> {
      yield hello.subarray(0, 5);
      await gate.promise;
      yield hello.subarray(5);
    };
    const first = fixture.blobs.appendUpload(id, 0, slow(), signal);
    await assert.rejects(fixture.blobs.appendUpload(id, 0, [hello], signal), code('conflict'));
    gate.resolve();
    assert.equal(await first, 11);
    assert.equal((await fixture.blobs.commitUpload(id, {}, signal)).digest, helloDigest);
  });
}
