import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { type ImageFormat, mediaTypes, parseImageFormat, parseManifest, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { openRegistryClient } from '../../registry/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { compressed } from './compression.ts';
import { createTestImage, openTestImageStore } from './testing/test-images.ts';

const skip = (() => {
  if (process.getuid?.() !== 0) return 'needs root: layers keep owners and devices';
  try {
    execFileSync('skopeo', ['--version']);
    return false;
  } catch {
    return 'skopeo is not installed';
  }
})();
const run = promisify(execFile);
const { signal } = new AbortController();
const content = 'shared words '.repeat(50_000);
const layers = [[{ path: 'base', content }], [{ path: 'app', content: 'x' }]];

const forms: readonly (readonly [what: string, format: ImageFormat, manifest: string, layer: string])[] = [
  ['zstd', { compression: 'zstd', level: 7, isForced: true, mediaTypes: 'oci' }, mediaTypes.ociManifest, mediaTypes.ociLayerZstd],
  ['uncompressed', { compression: 'uncompressed', isForced: true, mediaTypes: 'oci' }, mediaTypes.ociManifest, mediaTypes.ociLayer],
  ["gzip with Docker's types", { compression: 'gzip', level: 9, isForced: true, mediaTypes: 'docker' }, mediaTypes.dockerManifest, mediaTypes.dockerLayerGzip],
];
for (const [what, format, manifestType, layerType] of forms) {
  test(`pack() makes ${what} layers, which are pushed, pulled by us and by skopeo, and saved`, { skip }, async (t) => {
    await using registry = await openTestRegistry();
    await using client = openRegistryClient();
    await using store = await openTestImageStore({ registry: client });
    await using other = await openTestImageStore({ registry: client });
    const folder = mkdtempSync(join(tmpdir(), 'gantry-format-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const name = `${registry.host}/app:1`;
    const id = await createTestImage(store.images, name, layers);
    const packed = await store.images.pack(name, format, signal);
    assert.equal(await store.images.push(name, {}, signal), packed);
    const { bytes, mediaType } = await client.fetchManifest(parseImageReference(name), undefined, signal);
    const parsed = parseManifest(bytes, mediaType, name);
    assert.ok(parsed.kind === 'manifest');
    assert.deepEqual([mediaType, ...parsed.manifest.layers.map((layer) => layer.mediaType)], [manifestType, layerType, layerType]);
    assert.equal((await other.images.pull(name, { policy: 'always' }, signal)).id, id);
    await run('skopeo', ['--insecure-policy', 'copy', '--src-tls-verify=false', `docker://${name}`, `dir:${join(folder, 'copy')}`]);
    await store.images.save([name], createWriteStream(join(folder, 'saved.tar')), signal);
    await store.images.saveLayout(name, [name], format, createWriteStream(join(folder, 'layout.tar')), signal);
    const { stdout } = await run('skopeo', ['inspect', '--raw', `oci-archive:${join(folder, 'layout.tar')}`]);
    assert.deepEqual((JSON.parse(stdout) as { layers: { mediaType: string }[] }).layers.map((layer) => layer.mediaType), [layerType, layerType]);
    await using third = await openTestImageStore();
    for (const file of ['saved.tar', 'layout.tar']) {
      const [loaded] = await third.images.load(Readable.from([execFileSync('cat', [join(folder, file)], { maxBuffer: 1 << 26 })]), {}, signal);
      assert.deepEqual([loaded?.image.id, loaded?.references], [id, [name]], file);
    }
  });
}

test('pack() keeps layers that are compressed already unless it is forced', { skip }, async () => {
  await using store = await openTestImageStore();
  const id = await createTestImage(store.images, 'app:1', layers);
  const first = await store.images.pack(id, { compression: 'gzip', isForced: false, mediaTypes: 'oci' }, signal);
  assert.equal(await store.images.pack(id, { compression: 'zstd', isForced: false, mediaTypes: 'oci' }, signal), first);
  assert.notEqual(await store.images.pack(id, { compression: 'zstd', isForced: true, mediaTypes: 'oci' }, signal), first);
});

test('compressed() makes the same gzip of the same bytes however they come, in members that any reader takes for one', async () => {
  const bytes = Buffer.concat([randomBytes(5_000_000), Buffer.alloc(3_000_000)]);
  const pieces = function* (size: number): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  const [one, other] = await Promise.all([bytes.length, 77_777].map(async (size) => buffer(compressed(Readable.from(pieces(size)), { compression: 'gzip' }))));
  assert.ok(one !== undefined && other !== undefined && one.equals(other) && gunzipSync(one).equals(bytes));
  assert.deepEqual(gunzipSync(await buffer(compressed(Readable.from([]), { compression: 'gzip' }))), Buffer.alloc(0));
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield bytes;
    throw new Error('the disk is gone');
  };
  await assert.rejects(buffer(compressed(broken(), { compression: 'gzip' })), /the disk is gone/);
});

test('parseImageFormat() reads what buildx calls it, and refuses what there is not', () => {
  assert.equal(parseImageFormat({}, 'x'), undefined);
  assert.deepEqual(parseImageFormat({ 'oci-mediatypes': 'false' }, 'x'), { compression: 'gzip', isForced: false, mediaTypes: 'docker' });
  assert.deepEqual(parseImageFormat({ compression: 'zstd', 'compression-level': '19', 'force-compression': 'true' }, 'x'), { compression: 'zstd', level: 19, isForced: true, mediaTypes: 'oci' });
  const wrong = [{ compression: 'estargz' }, { 'compression-level': '10' }, { compression: 'uncompressed', 'compression-level': '1' }, { compression: 'zstd', 'oci-mediatypes': 'false' }, { 'force-compression': '1' }];
  for (const fields of wrong) assert.throws(() => parseImageFormat(fields, '--output x'), (error) => isError(error, 'invalid', 'unsupported') && error.message.startsWith('--output x: '));
});
