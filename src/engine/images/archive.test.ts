import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { mediaTypes, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { openRegistryClient } from '../../registry/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { hostPlatform } from './platform.ts';
import { createTestImage, digestOf, openTestImageStore, testConfig, testTar } from './testing/test-images.ts';

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
const signal = new AbortController().signal;

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'gantry-archive-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('an archive holds several images with layers in common; skopeo and another store find each by its name', { skip }, async () => {
  await using store = await openTestImageStore();
  await using other = await openTestImageStore();
  using folder = temporaryFolder();
  const skopeo = (...args: string[]) => run('skopeo', ['--insecure-policy', ...args], { cwd: folder.path });
  const base = [{ path: 'base', content: 'shared'.repeat(1000) }];
  const one = await createTestImage(store.images, 'one:1', [base, [{ path: 'a', content: 'a' }]]);
  const two = await createTestImage(store.images, 'registry.example/two:2', [base, [{ path: 'b', content: 'b' }]]);
  await store.images.tag(one, 'one:again');
  await store.images.save(['one:1', 'registry.example/two:2'], createWriteStream(join(folder.path, 'both.tar')), signal);
  for (const [from, id] of [['docker-archive:both.tar:one:1', one], ['docker-archive:both.tar:registry.example/two:2', two], ['docker-archive:both.tar:@1', two]] as const) {
    const { stdout } = await skopeo('inspect', '--config', '--raw', from);
    assert.equal(digestOf(Buffer.from(stdout)), id, from);
  }
  const loaded = await other.images.load(createReadStream(join(folder.path, 'both.tar')), {}, signal);
  assert.deepEqual(loaded.map(({ image, references }) => [image.id, references]), [[one, ['docker.io/library/one:1']], [two, ['registry.example/two:2']]]);
  assert.equal(other.images.layersBytes(), 6002);
  // By its id, an image goes with all its names.
  await store.images.save([one], createWriteStream(join(folder.path, 'id.tar')), signal);
  assert.deepEqual((await other.images.load(createReadStream(join(folder.path, 'id.tar')), {}, signal)).map(({ references }) => references), [['docker.io/library/one:1', 'docker.io/library/one:again']]);
});

test('load() takes from an OCI archive for several platforms the image of this machine, with the name that skopeo gives it', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore();
  using folder = temporaryFolder();
  const reference = parseImageReference(`${registry.host}/app:1`);
  const push = async (bytes: Buffer, mediaType: string) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await client.pushBlob(reference, descriptor, () => Readable.from([bytes]), undefined, signal);
    return descriptor;
  };
  const tar = testTar([{ path: 'file', content: 'here' }]);
  const manifests = [];
  for (const [platform, layer] of [[{ os: 'linux', architecture: 's390x' }, gzipSync(testTar([{ path: 'file', content: 'there' }]))], [hostPlatform(), zstdCompressSync(tar)]] as const) {
    const config = await push(Buffer.from(JSON.stringify({ ...testConfig([platform.architecture === 's390x' ? digestOf(testTar([{ path: 'file', content: 'there' }])) : digestOf(tar)]), ...platform })), mediaTypes.ociConfig);
    const document = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [await push(layer, platform.architecture === 's390x' ? mediaTypes.ociLayerGzip : mediaTypes.ociLayerZstd)] }));
    await client.pushManifest({ ...reference, tag: platform.architecture }, mediaTypes.ociManifest, document, undefined, signal);
    manifests.push({ mediaType: mediaTypes.ociManifest, digest: digestOf(document), size: document.length, platform });
  }
  await client.pushManifest(reference, mediaTypes.ociIndex, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests })), undefined, signal);
  const skopeo = (...args: string[]) => run('skopeo', ['--insecure-policy', 'copy', '--src-tls-verify=false', ...args], { cwd: folder.path });
  await skopeo('--all', `docker://${registry.host}/app:1`, 'oci-archive:all.tar:registry.example/app:v9');
  const [loaded, ...more] = await store.images.load(createReadStream(join(folder.path, 'all.tar')), {}, signal);
  assert.deepEqual([loaded?.references, loaded?.image.layers, more], [['registry.example/app:v9'], [digestOf(tar)], []]);
  // The one that is named, and none in place of it.
  const named = async (architecture: string) => store.images.load(createReadStream(join(folder.path, 'all.tar')), { platform: { os: 'linux', architecture } }, signal);
  const [other] = await named('s390x');
  assert.deepEqual([other?.image.config.architecture, other?.image.layers], ['s390x', [digestOf(testTar([{ path: 'file', content: 'there' }]))]]);
  await assert.rejects(named('riscv64'), (error) => isError(error, 'not-found') && /no matching manifest for linux\/riscv64/.test(error.message));
  // A bare tag is no name.
  await skopeo(`docker://${registry.host}/app:${hostPlatform().architecture}`, 'oci-archive:tag.tar:v9');
  assert.deepEqual((await store.images.load(createReadStream(join(folder.path, 'tag.tar')), {}, signal)).map(({ references }) => references), [[]]);
});

test('load() refuses an archive for other platforms only, and one whose layers are elsewhere', { skip }, async () => {
  await using store = await openTestImageStore();
  const files = new Map<string, Buffer>();
  const blob = (bytes: Buffer, mediaType: string, extra: object = {}): object => {
    files.set(`blobs/sha256/${digestOf(bytes).slice(7)}`, bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length, ...extra };
  };
  const load = async (descriptor: object): Promise<unknown> => {
    files.set('index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [descriptor] })));
    return store.images.load(Readable.from([testTar([...files].map(([path, content]) => ({ path, content })))]), {}, signal);
  };
  const tar = testTar([{ path: 'x' }]);
  const config = blob(Buffer.from(JSON.stringify(testConfig([digestOf(tar)]))), mediaTypes.ociConfig);
  const manifest = (layer: object): object => blob(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] })), mediaTypes.ociManifest, { platform: { os: 'linux', architecture: 's390x' } });
  const index = blob(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [manifest(blob(tar, mediaTypes.ociLayer))] })), mediaTypes.ociIndex);
  await assert.rejects(load(index), (error) => isError(error, 'not-found') && /no matching manifest .*linux\/s390x/.test(error.message));
  await assert.rejects(load(manifest(blob(tar, 'application/vnd.oci.image.layer.nondistributable.v1.tar'))), (error) => isError(error, 'unsupported') && /foreign layers/.test(error.message));
  assert.deepEqual(store.images.list(), []);
});
