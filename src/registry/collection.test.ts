import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type Descriptor, type Digest, type ImageReference, mediaTypes, parseImageReference } from '../api/mod.ts';
import { GantryError, isError } from '../kernel/mod.ts';
import { type CollectorOptions, openRegistryClient, type RegistryHttpClient } from './mod.ts';
import { planCollection } from './server/plan-collection.ts';
import type { RepositoryView } from './server/repositories.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-registry.ts';

const signal = new AbortController().signal;
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
const descriptorOf = (bytes: Uint8Array, mediaType: string = mediaTypes.ociLayerGzip): Descriptor => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
const noRoots: CollectorOptions['roots'] = async () => new Set<string>();

interface Pushed { digest: Digest; bytes: Buffer; layer: Digest }

async function push(client: RegistryHttpClient, reference: ImageReference, extra: object = {}, layer = randomBytes(200)): Promise<Pushed> {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, n: randomBytes(4).toString('hex') }));
  for (const bytes of [config, layer]) {
    if (!(await client.hasBlob(reference, digestOf(bytes), undefined, signal))) await client.pushBlob(reference, descriptorOf(bytes), () => Readable.from([bytes]), undefined, signal);
  }
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config, mediaTypes.ociConfig), layers: [descriptorOf(layer)], ...extra };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return { digest: await client.pushManifest(reference, mediaTypes.ociManifest, bytes, undefined, signal), bytes, layer: digestOf(layer) };
}

/** Lets all leases of the registry run out. */
function age({ folder }: TestRegistry): void {
  const old = new Date(Date.now() - 7_200_000);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), old, old);
}

async function isWhole(client: RegistryHttpClient, reference: ImageReference): Promise<boolean> {
  const { bytes } = await client.fetchManifest(reference, undefined, signal);
  const { config, layers } = JSON.parse(Buffer.from(bytes).toString()) as { config: Descriptor; layers: Descriptor[] };
  for (const blob of [config, ...layers]) {
    const hash = createHash('sha256');
    for await (const chunk of await client.fetchBlob(reference, blob, 0, undefined, signal)) hash.update(chunk as Buffer);
    if (`sha256:${hash.digest('hex')}` !== blob.digest) return false;
  }
  return true;
}

test('planCollection() keeps what is referred to', () => {
  const manifest = (references: string[], extra: object = {}): RepositoryView['manifests'] extends Map<string, infer V> ? V : never => ({ mediaType: 'm', sizeBytes: 1, references, leasedAtMs: 0, ...extra });
  const view: RepositoryView = {
    tags: new Map([['v1', { digest: 'tagged', setAtMs: 500 }], ['multi', { digest: 'index', setAtMs: 400 }], ['v0', { digest: 'lost', setAtMs: 300 }], ['pinned', { digest: 'rooted', setAtMs: 200 }]]),
    manifests: new Map([
      ['tagged', manifest(['l1'])], ['index', manifest(['inner'])], ['inner', manifest(['l2'])], ['rooted', manifest(['l3'])], ['leased', manifest(['l4'], { leasedAtMs: 950 })], ['lost', manifest(['l1', 'l5'])],
      ['signature', manifest(['l6'], { subject: 'inner' })], ['attestation', manifest(['l7'], { subject: 'signature' })], ['orphan', manifest(['l8'], { subject: 'lost' })],
    ]),
    blobs: new Map([...['l1', 'l2', 'l3', 'l4', 'l5', 'l6', 'l7', 'l8'].map((digest) => [digest, { leasedAtMs: 0 }] as const), ['fresh', { leasedAtMs: 950 }], ['stray', { leasedAtMs: 899 }]]),
  };
  const plan = planCollection(view, { roots: new Set(['rooted']), nowMs: 1000, graceMs: 100, rules: { immutableTags: [], retention: [{ keepTags: 2, keep: [] }] } });
  assert.deepEqual(plan.tags.map(({ tag }) => tag), ['v0']);
  assert.deepEqual(planCollection(view, { roots: new Set(), nowMs: 1000, graceMs: 100, rules: { immutableTags: [], retention: [] } }).tags, []);
  const pushing = planCollection(view, { roots: new Set(['rooted']), nowMs: 5000, graceMs: 100, pushingSinceMs: 990, rules: { immutableTags: [], retention: [{ keepTags: 2, keep: [] }] } });
  assert.deepEqual([pushing.manifests.map(({ digest }) => digest), pushing.blobs.map(({ digest }) => digest)], [['lost', 'orphan'], ['l5', 'l8']]);
  assert.deepEqual([plan.manifests.map(({ digest }) => digest), plan.blobs.map(({ digest }) => digest)], [['lost', 'orphan'], ['l5', 'l8', 'stray']]);
});

test('collect() removes what nothing refers to, and a dry run only tells', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const reference = parseImageReference(`${registry.host}/app:v1`);
  const shared = randomBytes(100);
  const old = await push(client, reference, {}, randomBytes(5000));
  const rooted = await push(client, reference);
  const kept = await push(client, reference, {}, shared);
  await push(client, parseImageReference(`${registry.host}/other:v1`), {}, shared);
  const collector = registry.registry.collector({ roots: async () => new Set([rooted.digest]) });
  assert.deepEqual((await collector.collect({ isDryRun: false }, signal)).items, []);
  age(registry);
  const dry = await collector.collect({ isDryRun: true }, signal);
  const told = dry.items.filter(({ digest }) => digest === old.digest || digest === old.layer).map(({ kind, repository, digest }) => `${kind} ${repository ?? '-'} ${digest}`);
  assert.deepEqual(new Set(told), new Set([`blob - ${old.digest}`, `blob - ${old.layer}`, `link app ${old.layer}`, `manifest app ${old.digest}`]));
  assert.equal(await isWhole(client, { ...reference, digest: old.digest }), true);
  age(registry);
  const report = await collector.collect({ isDryRun: false }, signal);
  assert.deepEqual([report.items.length, report.freedBytes, report.freedBytes > 5000], [dry.items.length, dry.freedBytes, true]);
  for (const digest of [rooted.digest, kept.digest]) assert.equal(await isWhole(client, { ...reference, digest }), true);
  assert.equal(await isWhole(client, parseImageReference(`${registry.host}/other:v1`)), true);
  await assert.rejects(client.fetchManifest({ ...reference, digest: old.digest }, undefined, signal), (error) => isError(error, 'not-found'));
  assert.equal(await registry.registry.blobs.stat(old.layer), undefined);
});

test('a client that was told that a blob is there can refer to it', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const reference = parseImageReference(`${registry.host}/app:v1`);
  const layer = randomBytes(300);
  await push(client, reference, {}, layer);
  await push(client, reference);
  age(registry);
  assert.equal(await client.hasBlob(reference, digestOf(layer), undefined, signal), true);
  await registry.registry.collector({ roots: noRoots }).collect({ isDryRun: false }, signal);
  const { digest } = await push(client, reference, {}, layer);
  assert.equal(await isWhole(client, { ...reference, digest }), true);
});

test('collect() removes abandoned uploads and keeps those that go on', async () => {
  await using registry = await openTestRegistry();
  const begin = async (): Promise<string> => (await fetch(`${registry.url}/v2/app/blobs/uploads/`, { method: 'POST' })).headers.get('location') ?? '';
  const abandoned = await begin();
  await fetch(registry.url + abandoned, { method: 'PATCH', body: 'half' });
  const old = new Date(Date.now() - 100 * 3_600_000);
  utimesSync(join(registry.folder, 'blobs/uploads', abandoned.split('/').at(-1) ?? ''), old, old);
  const going = await begin();
  const { items } = await registry.registry.collector({ roots: noRoots }).collect({ isDryRun: false }, signal);
  assert.deepEqual(items.map(({ kind, sizeBytes }) => [kind, sizeBytes]), [['upload', 4]]);
  assert.deepEqual([(await fetch(registry.url + abandoned)).status, (await fetch(registry.url + going)).status], [404, 204]);
  assert.equal(readdirSync(join(registry.folder, 'repositories/app/_uploads')).length, 1);
});

test('a push of which one upload takes hours finds all that it sent before', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const reference = parseImageReference(`${registry.host}/app:v1`);
  const [config, layer] = [randomBytes(100), randomBytes(200)];
  const before = randomBytes(50);
  await client.pushBlob(reference, descriptorOf(before), () => Readable.from([before]), undefined, signal);
  age(registry);
  await client.pushBlob(reference, descriptorOf(config), () => Readable.from([config]), undefined, signal);
  const upload = registry.url + ((await fetch(`${registry.url}/v2/app/blobs/uploads/`, { method: 'POST' })).headers.get('location') ?? '');
  await fetch(upload, { method: 'PATCH', body: layer.subarray(0, 120) });
  age(registry);
  const collector = registry.registry.collector({ roots: noRoots });
  const links = async (): Promise<string[]> => readdirSync(join(registry.folder, 'repositories/app/_blobs')).map((name) => `sha256:${name}`);
  const { items } = await collector.collect({ isDryRun: false }, signal);
  assert.deepEqual([items.map(({ kind }) => kind), await links()], [[], [digestOf(config), digestOf(before)].toSorted()], 'nothing of the repository goes while it is pushed to');
  const rest = await fetch(`${upload}?digest=${digestOf(layer)}`, { method: 'PUT', body: layer.subarray(120) });
  assert.equal(rest.status, 201);
  await collector.collect({ isDryRun: false }, signal);
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config, mediaTypes.ociConfig), layers: [descriptorOf(layer)] }));
  await client.pushManifest(reference, mediaTypes.ociManifest, manifest, undefined, signal);
  assert.equal(await isWhole(client, reference), true);
});

test('nothing is collected when the references outside cannot be told', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const { digest } = await push(client, parseImageReference(`${registry.host}/app:v1`));
  await push(client, parseImageReference(`${registry.host}/app:v1`));
  age(registry);
  const collector = registry.registry.collector({ roots: () => Promise.reject(new GantryError('unavailable', 'no API server')) });
  await assert.rejects(collector.collect({ isDryRun: false }, signal), (error) => isError(error, 'unavailable'));
  assert.equal(await isWhole(client, { ...parseImageReference(`${registry.host}/app:v1`), digest }), true);
});

test('collections during pushes lose nothing that was acknowledged', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const collector = registry.registry.collector({ roots: noRoots, graceMs: 1000 });
  const layers = Array.from({ length: 4 }, () => randomBytes(2000));
  const stop = new AbortController();
  const removed: object[] = [];
  const collecting = (async () => {
    while (!stop.signal.aborted) removed.push(...(await collector.collect({ isDryRun: false }, signal)).items);
  })();
  const newest = new Map<string, Digest>();
  const deadline = Date.now() + 60_000;
  const pusher = async (name: string): Promise<void> => {
    const reference = parseImageReference(`${registry.host}/${name}:latest`);
    for (let round = 0; Date.now() < deadline && (round < 10 || removed.length === 0); round += 1) {
      try {
        newest.set(name, (await push(client, reference, {}, layers[round % layers.length])).digest);
      } catch (error) {
        // On a busy machine a push can take longer than the grace: then it is refused, and nothing was acknowledged.
        if (!isError(error, 'not-found')) throw error;
        continue;
      }
      assert.equal(await isWhole(client, reference), true);
    }
  };
  try {
    await Promise.all(['one', 'two', 'three/four'].map(pusher));
  } finally {
    stop.abort();
    await collecting;
  }
  assert.ok(removed.length > 0, 'nothing was ever collected');
  for (const [name, digest] of newest) {
    const reference = parseImageReference(`${registry.host}/${name}:latest`);
    assert.deepEqual([(await client.fetchManifest(reference, undefined, signal)).digest, await isWhole(client, reference)], [digest, true]);
  }
});
