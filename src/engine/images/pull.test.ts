import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Descriptor, type Digest, mediaTypes, type Platform } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { openRegistryClient } from '../../registry/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { createTestImage, openTestImageStore, testConfig, testTar } from './testing/test-images.ts';
import type { TransferProgress } from './types.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners and devices';
const signal = new AbortController().signal;
const always = { policy: 'always' } as const;
const code = (expected: string, words: RegExp) => (error: unknown) => isError(error) && error.code === expected && words.test(error.message);
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** A registry whose answers the test writes: blobs and manifests by digest or tag. */
interface ScriptedRegistry extends AsyncDisposable {
  readonly host: string;
  /** Blobs that were asked for, with the Range header. */
  readonly asked: { digest: string; range: string | undefined }[];
  add(bytes: Uint8Array, mediaType: string, extra?: Partial<Descriptor>): Descriptor;
  tag(name: string, document: object | Buffer, mediaType: string): Descriptor;
  image(name: string, layers: { mediaType: string; bytes: Buffer; tar: Buffer }[], options?: { manifestType?: string; platform?: Platform }): Descriptor;
}

type Answer = (blob: Buffer, request: IncomingMessage, response: ServerResponse) => void;

const whole: Answer = (blob, _request, response) => void response.writeHead(200, { 'content-length': blob.length }).end(blob);

async function scriptedRegistry(answer: Answer = whole): Promise<ScriptedRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { bytes: Buffer; mediaType: string }>();
  const asked: ScriptedRegistry['asked'] = [];
  const listener: RequestListener = (request, response) => {
    const [, kind, name = ''] = /^\/v2\/app\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
    const manifest = kind === 'manifests' ? manifests.get(name) : undefined;
    if (manifest !== undefined) return void response.writeHead(200, { 'content-type': manifest.mediaType }).end(manifest.bytes);
    const blob = kind === 'blobs' ? blobs.get(name) : undefined;
    if (blob === undefined) return void response.writeHead(404).end('{}');
    asked.push({ digest: name, range: request.headers.range });
    answer(blob, request, response);
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const add: ScriptedRegistry['add'] = (bytes, mediaType, extra) => {
    blobs.set(digestOf(bytes), Buffer.from(bytes));
    return { mediaType, digest: digestOf(bytes), size: bytes.length, ...extra };
  };
  const tag: ScriptedRegistry['tag'] = (name, document, mediaType) => {
    const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
    for (const key of [name, digestOf(bytes)]) manifests.set(key, { bytes, mediaType });
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  };
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    add,
    tag,
    image: (name, layers, { manifestType = mediaTypes.ociManifest, platform } = {}) => {
      const config = add(Buffer.from(JSON.stringify({ ...testConfig(layers.map(({ tar }) => digestOf(tar))), ...platform })), mediaTypes.ociConfig);
      return tag(name, { schemaVersion: 2, mediaType: manifestType, config, layers: layers.map(({ mediaType, bytes }) => add(bytes, mediaType)) }, manifestType);
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function gzipLayer(content: string | Buffer): { mediaType: string; bytes: Buffer; tar: Buffer } {
  const tar = testTar([{ path: 'file', content }]);
  return { mediaType: mediaTypes.ociLayerGzip, bytes: gzipSync(tar), tar };
}

test('pull() gets a layer through a server that cuts every connection, from where each broke', { skip }, async () => {
  const cutAfter = 150_000;
  const ranged: Answer = (blob, request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = blob.subarray(from);
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': rest.length, ...(from === 0 ? {} : { 'content-range': `bytes ${from}-${blob.length - 1}/${blob.length}` }) });
    if (rest.length <= cutAfter) return void response.end(rest);
    response.write(rest.subarray(0, cutAfter), () => response.destroy());
  };
  await using registry = await scriptedRegistry(ranged);
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const layer = gzipLayer(randomBytes(1_200_000));
  registry.image('1', [layer]);
  const events: TransferProgress[] = [];
  await store.images.pull(`${registry.host}/app:1`, { ...always, progress: (event) => events.push(event) }, signal);
  const offsets = registry.asked.filter(({ digest }) => digest === digestOf(layer.bytes)).map(({ range }) => Number(/\d+/.exec(range ?? '0')?.[0]));
  // More connections than a download may fail without progress.
  assert.ok(offsets.length >= 7, `${offsets.length} connections`);
  assert.ok(offsets.every((offset, at) => at === 0 || offset > (offsets[at - 1] ?? 0)), offsets.join());
  assert.ok(events.some(({ status }) => /^Retrying in \d+ seconds$/.test(status)));
});

test('pull() goes on at a server that knows no ranges, and gives up where nothing arrives', { skip }, async () => {
  let cuts = 2;
  const unranged: Answer = (blob, _request, response) => {
    response.writeHead(200, { 'content-length': blob.length });
    if (blob.length < 10_000 || cuts-- <= 0) return void response.end(blob);
    response.write(blob.subarray(0, 100_000), () => response.destroy());
  };
  await using registry = await scriptedRegistry(unranged);
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  registry.image('1', [gzipLayer(randomBytes(300_000))]);
  await store.images.pull(`${registry.host}/app:1`, always, signal);
  await using dead = await scriptedRegistry((blob, request, response) => (blob.length < 10_000 ? whole(blob, request, response) : void response.destroy()));
  dead.image('1', [gzipLayer(randomBytes(300_000))]);
  await assert.rejects(store.images.pull(`${dead.host}/app:1`, always, signal), code('unavailable', /blob sha256/));
  assert.equal(dead.asked.length, 6);
});

test('pull() takes gzip, zstd and plain layers of OCI and Docker, by what they are and not by what they are called', { skip }, async () => {
  await using registry = await scriptedRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const tars = Array.from({ length: 7 }, (_, at) => testTar([{ path: `f${at}`, content: `${at}`.repeat(500) }])) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
  const layers = [
    { mediaType: mediaTypes.ociLayer, bytes: tars[0], tar: tars[0] },
    { mediaType: mediaTypes.ociLayerGzip, bytes: gzipSync(tars[1]), tar: tars[1] },
    { mediaType: mediaTypes.ociLayerZstd, bytes: zstdCompressSync(tars[2]), tar: tars[2] },
    { mediaType: mediaTypes.dockerLayer, bytes: tars[3], tar: tars[3] },
    { mediaType: mediaTypes.dockerLayerGzip, bytes: gzipSync(tars[4]), tar: tars[4] },
    { mediaType: mediaTypes.dockerLayerZstd, bytes: zstdCompressSync(tars[5]), tar: tars[5] },
    { mediaType: mediaTypes.ociLayerGzip, bytes: zstdCompressSync(tars[6]), tar: tars[6] },
  ];
  registry.image('oci', layers);
  registry.image('docker', layers.slice(3, 6), { manifestType: mediaTypes.dockerManifest });
  const image = await store.images.pull(`${registry.host}/app:oci`, always, signal);
  assert.deepEqual([image.layers, image.sizeBytes], [tars.map(digestOf), 3500]);
  assert.equal((await store.images.pull(`${registry.host}/app:docker`, always, signal)).layers.length, 3);
});

test('pull() shows what Docker shows, layer by layer', { skip }, async () => {
  await using registry = await scriptedRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const layers = Array.from({ length: 5 }, () => gzipLayer(randomBytes(50_000)));
  const { digest } = registry.image('1', layers);
  const pull = async (): Promise<TransferProgress[]> => {
    const events: TransferProgress[] = [];
    await store.images.pull(`${registry.host}/app:1`, { ...always, progress: (event) => events.push(event) }, signal);
    return events;
  };
  const first = await pull();
  assert.deepEqual(first[0], { id: '1', status: 'Pulling from app' });
  assert.deepEqual(first.slice(-2), [{ status: `Digest: ${digest}` }, { status: `Status: Downloaded newer image for ${registry.host}/app:1` }]);
  const waiting = [];
  for (const { bytes } of layers) {
    const id = digestOf(bytes).slice(7, 19);
    const own = first.filter((event) => event.id === id);
    const statuses = own.map(({ status }) => status).filter((status, at, all) => status !== all[at - 1]);
    if (statuses.includes('Waiting')) waiting.push(id);
    assert.deepEqual(statuses.filter((status) => status !== 'Waiting'), ['Pulling fs layer', 'Downloading', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete']);
    for (const { current = 0, total } of own.filter(({ status }) => status === 'Downloading' || status === 'Extracting')) assert.ok(total === bytes.length && current > 0 && current <= total);
  }
  assert.equal(waiting.length, 2);
  assert.equal((await pull()).filter(({ status }) => status === 'Already exists').length, 5);
});

test('pull() takes the image of the platform, or of an older variant of it', { skip }, async () => {
  await using registry = await scriptedRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const platforms: Platform[] = [
    { os: 'linux', architecture: 'amd64' }, { os: 'linux', architecture: 'arm', variant: 'v5' }, { os: 'linux', architecture: 'arm', variant: 'v6' },
    { os: 'linux', architecture: 'arm64', variant: 'v8' }, { os: 'linux', architecture: 'amd64', variant: 'v3' }, { os: 'windows', architecture: 'amd64' },
  ];
  const manifests = platforms.map((platform, at) => ({ ...registry.image(`p${at}`, [gzipLayer(`for ${at}`)], { platform }), platform }));
  const attestation = { ...registry.tag('a', { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: registry.add(Buffer.from('{}'), mediaTypes.ociConfig), layers: [] }, mediaTypes.ociManifest), platform: { os: 'unknown', architecture: 'unknown' } };
  const index = registry.tag('all', { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [attestation, ...manifests] }, mediaTypes.ociIndex);
  const cases: [Platform, number][] = [
    [{ os: 'linux', architecture: 'amd64' }, 0], [{ os: 'linux', architecture: 'arm', variant: 'v7' }, 2], [{ os: 'linux', architecture: 'arm' }, 2], [{ os: 'linux', architecture: 'arm', variant: 'v5' }, 1],
    [{ os: 'linux', architecture: 'arm64' }, 3], [{ os: 'linux', architecture: 'amd64', variant: 'v2' }, 0], [{ os: 'linux', architecture: 'amd64', variant: 'v4' }, 4],
  ];
  for (const [platform, at] of cases) {
    const image = await store.images.pull(`${registry.host}/app:all`, { ...always, platform }, signal);
    assert.deepEqual([image.layers, image.digests], [[digestOf(gzipLayer(`for ${at}`).tar)], [`${registry.host}/app@${index.digest}`]], JSON.stringify(platform));
    await store.images.remove(image.id, { isForced: true }, signal);
  }
  const pull = (tag: string, platform: Platform) => store.images.pull(`${registry.host}/app:${tag}`, { ...always, platform }, signal);
  await assert.rejects(pull('all', { os: 'linux', architecture: 's390x' }), code('not-found', /no matching manifest for linux\/s390x .* it has linux\/amd64, linux\/arm\/v5/));
  await assert.rejects(pull('all', { os: 'linux', architecture: 'arm', variant: 'v4' }), code('not-found', /no matching manifest/));
  await assert.rejects(pull('p0', { os: 'linux', architecture: 'arm64' }), code('not-found', /its platform \(linux\/amd64\) does not match the specified platform \(linux\/arm64\)/));
});

test('pull() refuses schema 1, foreign layers and artifacts before it fetches a layer, and says which', { skip }, async () => {
  await using registry = await scriptedRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const layer = gzipLayer('x');
  const config = registry.add(Buffer.from(JSON.stringify(testConfig([digestOf(layer.tar)]))), mediaTypes.ociConfig);
  const manifest = (type: string, layers: Descriptor[], own = config): object => ({ schemaVersion: 2, mediaType: type, config: own, layers });
  const schema1 = { schemaVersion: 1, name: 'app', tag: '1', fsLayers: [], history: [], signatures: [] };
  registry.tag('signed', schema1, 'application/vnd.docker.distribution.manifest.v1+prettyjws');
  registry.tag('untyped', schema1, 'application/json');
  registry.tag('foreign', manifest(mediaTypes.dockerManifest, [registry.add(layer.bytes, 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', { urls: ['https://elsewhere.example/layer'] })]), mediaTypes.dockerManifest);
  registry.tag('nondistributable', manifest(mediaTypes.ociManifest, [registry.add(layer.bytes, 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip')]), mediaTypes.ociManifest);
  registry.tag('unknown', manifest(mediaTypes.ociManifest, [registry.add(layer.bytes, 'application/x-wasm')]), mediaTypes.ociManifest);
  registry.tag('artifact', manifest(mediaTypes.ociManifest, [], registry.add(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json')), mediaTypes.ociManifest);
  const cases: [string, RegExp][] = [
    ['signed', /app:signed .*manifest schema 1/], ['untyped', /app:untyped .*manifest schema 1/], ['foreign', /foreign layers.*rootfs\.foreign/], ['nondistributable', /foreign layers.*nondistributable/],
    ['unknown', /application\/x-wasm/], ['artifact', /is no container image/],
  ];
  for (const [tag, words] of cases) await assert.rejects(store.images.pull(`${registry.host}/app:${tag}`, always, signal), code('unsupported', words), tag);
  assert.ok(registry.asked.every(({ digest }) => digest !== digestOf(layer.bytes)));
  // A registry that serves a manifest as plain JSON, with the type inside or without.
  registry.tag('json', manifest(mediaTypes.ociManifest, [registry.add(layer.bytes, mediaTypes.ociLayerGzip)]), 'application/json');
  assert.equal((await store.images.pull(`${registry.host}/app:json`, always, signal)).layers.length, 1);
});

test('push() says for each layer whether it was sent, mounted or there already', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const name = (repository: string): string => `${registry.host}/${repository}:1`;
  const id = await createTestImage(store.images, name('team/one'), [[{ path: 'a', content: 'a' }], [{ path: 'b', content: 'b' }]]);
  const push = async (repository: string): Promise<TransferProgress[]> => {
    const events: TransferProgress[] = [];
    await store.images.push(name(repository), { progress: (event) => events.push(event) }, signal);
    return events;
  };
  const last = (events: TransferProgress[]): string[] => store.images.get(id).layers.map((diffId) => events.findLast((event) => event.id === diffId.slice(7, 19))?.status ?? '');
  const first = await push('team/one');
  assert.equal(first[0]?.status, `The push refers to repository [${registry.host}/team/one]`);
  assert.match(first.at(-1)?.status ?? '', /^1: digest: sha256:[0-9a-f]{64} size: \d+$/);
  assert.deepEqual(last(first), ['Pushed', 'Pushed']);
  assert.deepEqual(last(await push('team/one')), ['Layer already exists', 'Layer already exists']);
  await store.images.tag(id, name('team/two'));
  assert.deepEqual(last(await push('team/two')), ['Mounted from team/one', 'Mounted from team/one']);
});
