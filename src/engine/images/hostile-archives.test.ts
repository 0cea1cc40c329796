import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { mediaTypes } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { openRegistryClient } from '../../registry/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { digestOf, openTestImageStore, testConfig, type TestMember, testTar } from './testing/test-images.ts';
import { unpackArchive } from './unpack-layer.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners and devices';
const { signal } = new AbortController();
const limits = { maxBytes: 1000, maxEntries: 20, maxNameBytes: 600 };

/** What must not be unpacked, and the entry that every error has to name. */
const hostile: readonly (readonly [what: string, members: TestMember[], named: string])[] = [
  ['a name with ..', [{ path: 'a/../../evil', content: 'x' }], 'a/../../evil'],
  ['an absolute name', [{ path: '/etc/evil', content: 'x' }], '/etc/evil'],
  ['a name through a symlink', [{ path: 'out', type: 'symlink', linkPath: '/tmp' }, { path: 'out/evil', content: 'x' }], 'out/evil'],
  ['a hard link out of it', [{ path: 'shadow', type: 'hardlink', linkPath: '../../etc/shadow' }], 'shadow'],
  ['a hard link through a symlink', [{ path: 'd', type: 'symlink', linkPath: '/etc' }, { path: 'h', type: 'hardlink', linkPath: 'd/shadow' }], 'h'],
  ['a device', [{ path: 'dev/sda', type: 'block-device', deviceMajor: 8 }], 'dev/sda'],
  ['overlay attributes', [{ path: 'f', xattrs: new Map([['trusted.overlay.redirect', Buffer.from('/etc')]]) }], 'f'],
  ['too many bytes', [{ path: 'a', content: 'x'.repeat(600) }, { path: 'b', content: 'x'.repeat(600) }], 'b'],
  ['too many entries', Array.from({ length: 21 }, (_, at) => ({ path: `f${at}` })), 'f20'],
];

/** Names the entry, and the archive or layer it is in. */
function names(entry: string, archive: string) {
  return (error: unknown): boolean => {
    assert.ok(isError(error, 'invalid', 'exhausted'), String(error));
    assert.ok(error.message.includes(JSON.stringify(entry)) && error.message.includes(archive), error.message);
    return true;
  };
}

test('docker load refuses hostile layers, plain and compressed, in both archive forms, and keeps nothing', { skip }, async () => {
  await using store = await openTestImageStore({ limits });
  for (const [what, members, named] of hostile) {
    const layer = testTar(members);
    for (const bytes of [layer, gzipSync(layer)]) {
      const config = Buffer.from(JSON.stringify(testConfig([digestOf(layer)])));
      const dockerArchive = testTar([{ path: 'l.tar', content: bytes }, { path: 'c.json', content: config }, { path: 'manifest.json', content: JSON.stringify([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: ['l.tar'] }]) }]);
      const blob = (content: Buffer): TestMember => ({ path: `blobs/sha256/${digestOf(content).slice(7)}`, content });
      const manifest = Buffer.from(JSON.stringify({
        schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
        layers: [{ mediaType: bytes === layer ? mediaTypes.ociLayer : mediaTypes.ociLayerGzip, digest: digestOf(bytes), size: bytes.length }],
      }));
      const index = { schemaVersion: 2, manifests: [{ mediaType: mediaTypes.ociManifest, digest: digestOf(manifest), size: manifest.length, annotations: { 'org.opencontainers.image.ref.name': 'evil:1' } }] };
      const ociLayout = testTar([{ path: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' }, { path: 'index.json', content: JSON.stringify(index) }, blob(manifest), blob(config), blob(bytes)]);
      for (const archive of [dockerArchive, ociLayout]) await assert.rejects(store.images.load(Readable.from([archive]), {}, signal), names(named, 'layer'), what);
    }
  }
  assert.deepEqual([store.images.list(), readdirSync(join(store.folder, 'snapshots')), readdirSync(join(store.folder, 'temporary'))], [[], [], []]);
});

test('a pull refuses hostile layers, names layer and entry, and keeps nothing unpacked', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client, limits });
  for (const [index, [what, members, named]] of hostile.entries()) {
    const layer = testTar(members);
    const [bytes, config] = [gzipSync(layer), Buffer.from(JSON.stringify(testConfig([digestOf(layer)])))];
    const reference = { host: registry.host, repository: 'evil', tag: String(index) };
    const described = (content: Buffer, mediaType: string) => ({ mediaType, digest: digestOf(content), size: content.length });
    for (const content of [bytes, config]) await client.pushBlob(reference, described(content, mediaTypes.ociLayerGzip), () => Readable.from([content]), undefined, signal);
    const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: described(config, mediaTypes.ociConfig), layers: [described(bytes, mediaTypes.ociLayerGzip)] };
    await client.pushManifest(reference, mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)), undefined, signal);
    await assert.rejects(store.images.pull(`${registry.host}/evil:${index}`, { policy: 'always' }, signal), names(named, digestOf(bytes).slice(0, 19)), what);
  }
  assert.deepEqual([store.images.list(), readdirSync(join(store.folder, 'snapshots'))], [[], []]);
});

test('an archive of docker cp or of a build context leaves nothing outside of its folder', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-hostile-'));
  try {
    const root = join(folder, 'root');
    mkdirSync(join(root, 'into'), { recursive: true });
    mkdirSync(join(folder, 'outside'));
    // Links that are there already are followed as a process of the container would.
    symlinkSync(join(folder, 'outside'), join(root, 'leave'));
    symlinkSync('../../outside', join(root, 'climb'));
    for (const at of ['', 'into']) {
      for (const [what, members, named] of hostile) {
        await assert.rejects(unpackArchive(Readable.from([testTar(members)]), root, { what: 'archive', limits, at }, signal), names(named, 'archive'), what);
      }
    }
    for (const path of ['leave/evil', 'climb/evil']) await unpackArchive(Readable.from([testTar([{ path, content: 'x' }])]), root, { what: 'archive', limits }, signal).catch(() => undefined);
    writeFileSync(join(folder, 'outside/own'), '');
    assert.deepEqual(readdirSync(join(folder, 'outside')), ['own']);
    assert.deepEqual(['/etc/evil', join(tmpdir(), 'evil'), join(folder, 'evil')].map(existsSync), [false, false, false]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
