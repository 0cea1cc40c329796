import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Digest, mediaTypes } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import { openRegistryClient } from '../../registry/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { blobFile, handOver } from '../../store/mod.ts';
import type { RegistryClient } from '../ports.ts';
import { createTestImage, openTestImageStore } from './testing/test-images.ts';
import type { TransferProgress } from './types.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners and devices';
const run = promisify(execFile);
const hasSkopeo = (() => {
  try {
    execFileSync('skopeo', ['--version']);
    return true;
  } catch {
    return false;
  }
})();
const skipSkopeo = skip !== false ? skip : hasSkopeo ? false : 'skopeo is not installed';
const signal = new AbortController().signal;
const code = (expected: string) => (error: unknown) => isError(error) && error.code === expected;
const always = { policy: 'always' } as const;

test('push() and pull() carry an image to another store, by tag and by digest', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using from = await openTestImageStore({ registry: client });
  await using to = await openTestImageStore({ registry: client });
  const name = `${registry.host}/team/app:v1`;
  const layers = [[{ path: 'big', content: randomBytes(2_000_000) }], [{ path: '.wh.big' }, { path: 'etc/conf', content: 'x', uid: 5 }]];
  const id = await createTestImage(from.images, name, layers, { Cmd: ['sh'] });
  const digest = await from.images.push(name, {}, signal);
  assert.deepEqual(from.images.get(id).digests, [`${registry.host}/team/app@${digest}`]);
  const events: TransferProgress[] = [];
  const image = await to.images.pull(name, { ...always, progress: (event) => events.push(event) }, signal);
  assert.deepEqual([image.id, image.references, image.digests, image.layers], [id, [name], [`${registry.host}/team/app@${digest}`], from.images.get(id).layers]);
  assert.deepEqual(events.at(-1), { status: `Status: Downloaded newer image for ${name}` });
  assert.equal(events.filter(({ status }) => status === 'Pull complete').length, 2);
  const again: TransferProgress[] = [];
  await to.images.pull(name, { ...always, progress: (event) => again.push(event) }, signal);
  assert.deepEqual(again.slice(-2), [{ status: `Digest: ${digest}` }, { status: `Status: Image is up to date for ${name}` }]);
  await to.images.remove(name, { isForced: false }, signal);
  assert.equal((await to.images.pull(`${registry.host}/team/app@${digest}`, always, signal)).id, id);
  assert.deepEqual(to.images.get(id).references, []);
  assert.equal(await to.images.push(name.replace('v1', 'v2'), {}, signal).catch((error: unknown) => (isError(error) ? error.code : error)), 'not-found');
  await to.images.tag(id, name.replace('v1', 'v2'));
  assert.equal(await to.images.push(name.replace('v1', 'v2'), {}, signal), digest);
});

test('between a registry and stores on one file system blobs are shared, not sent; what is broken there is fetched', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using plain = openRegistryClient();
  await using from = await openTestImageStore({ registry: plain });
  const folders = { registry: join(registry.folder, 'blobs'), images: join(from.folder, 'blobs') };
  const requests: string[] = [];
  const neighbour = {
    host: registry.host,
    offer: (digest: string, uploadId: string) => (requests.push('offer'), handOver(folders.registry, uploadId, blobFile(folders.images, digest))),
    fileOf: (digest: string) => blobFile(folders.registry, digest),
  };
  await using client = openRegistryClient({ neighbour });
  const counting: RegistryClient = {
    fetchManifest: (...call) => client.fetchManifest(...call),
    fetchBlob: (...call) => (requests.push('fetch'), client.fetchBlob(...call)),
    findFile: (...call) => client.findFile(...call),
    hasBlob: (...call) => client.hasBlob(...call),
    pushBlob: (reference, descriptor, open, ...rest) => client.pushBlob(reference, descriptor, () => (requests.push('send'), open()), ...rest),
    pushManifest: (...call) => client.pushManifest(...call),
  };
  await using builder = await openTestImageStore({ registry: counting });
  folders.images = join(builder.folder, 'blobs');
  const name = `${registry.host}/team/app:v1`;
  const id = await createTestImage(builder.images, name, [[{ path: 'big', content: randomBytes(2_000_000) }]]);
  await builder.images.push(name, {}, signal);
  assert.deepEqual(requests, ['offer', 'offer'], 'the layer and the configuration');
  const layer = largestBlob(folders.registry);
  assert.equal(statSync(layer).nlink, 2);
  await using runner = await openTestImageStore({ registry: counting });
  requests.length = 0;
  assert.equal((await runner.images.pull(name, always, signal)).id, id);
  assert.deepEqual([requests, statSync(layer).nlink], [['fetch'], 3], 'of the configuration; the layer has a third name');
  // Collected on both sides, the third still has it.
  await builder.images.remove(name, { isForced: false }, signal);
  const unlinked = await registry.registry.blobs.delete(`sha256:${basename(layer)}`);
  assert.deepEqual([unlinked, statSync(largestBlob(join(runner.folder, 'blobs'))).nlink], [true, 1]);
  await runner.images.push(name, {}, signal).catch(() => assert.fail('the blob is still whole'));
  // The engine is offered what is not the blob: it fetches, and is told what is wrong.
  writeFileSync(layer, 'broken');
  await using reader = await openTestImageStore({ registry: counting });
  requests.length = 0;
  await assert.rejects(reader.images.pull(name, always, signal), code('invalid'));
  assert.ok(requests.includes('fetch'));
});

/** The path of the largest blob of a store. */
function largestBlob(folder: string): string {
  const files = readdirSync(join(folder, 'sha256'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.toSorted((a, b) => statSync(b).size - statSync(a).size)[0] ?? '';
}

test('on one machine an image is compressed once, sent once, and run without a download', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const moved: string[] = [];
  const counting: RegistryClient = {
    fetchManifest: (...call) => client.fetchManifest(...call),
    fetchBlob: (...call) => (moved.push(`fetched ${call[1].size}`), client.fetchBlob(...call)),
    hasBlob: (...call) => client.hasBlob(...call),
    pushBlob: (reference, descriptor, open, ...rest) => client.pushBlob(reference, descriptor, () => (moved.push(`sent ${descriptor.size}`), open()), ...rest),
    pushManifest: (...call) => client.pushManifest(...call),
  };
  await using store = await openTestImageStore({ registry: counting });
  const name = `${registry.host}/team/app:v1`;
  const id = await createTestImage(store.images, name, [[{ path: 'big', content: randomBytes(1_000_000) }]]);
  const digest = await store.images.push(name, {}, signal);
  assert.equal(moved.length, 2, 'the layer and the configuration');
  moved.length = 0;
  // What a pod of this machine does with the digest that was delivered, and what the next release of the same layers does.
  assert.equal((await store.images.pull(`${registry.host}/team/app@${digest}`, always, signal)).id, id);
  for (const other of [`${registry.host}/team/app:v2`, `${registry.host}/other/app:v1`]) {
    await store.images.tag(id, other);
    assert.equal(await store.images.push(other, {}, signal), digest);
  }
  assert.deepEqual(moved, []);
});

test('pull() with policy `missing` does not ask when the image is there', { skip }, async () => {
  await using store = await openTestImageStore();
  const id = await createTestImage(store.images, 'local:1', [[{ path: 'a' }]]);
  assert.equal((await store.images.pull('local:1', { policy: 'missing' }, signal)).id, id);
  await assert.rejects(store.images.pull('local:2', { policy: 'missing' }, signal), code('unavailable'));
});

test('pull() goes on where a connection broke', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using from = await openTestImageStore({ registry: client });
  const name = `${registry.host}/app:1`;
  const id = await createTestImage(from.images, name, [[{ path: 'big', content: randomBytes(3_000_000) }]]);
  await from.images.push(name, {}, signal);
  const offsets: number[] = [];
  const breaking: RegistryClient = {
    fetchManifest: (...args) => client.fetchManifest(...args),
    hasBlob: (...args) => client.hasBlob(...args),
    pushBlob: (...args) => client.pushBlob(...args),
    pushManifest: (...args) => client.pushManifest(...args),
    fetchBlob: async (reference, descriptor, offset, credentials, own) => {
      const body = await client.fetchBlob(reference, descriptor, offset, credentials, own);
      if (descriptor.mediaType !== mediaTypes.ociLayerGzip) return body;
      offsets.push(offset);
      return offsets.length > 2 ? body : Readable.from(cutOff(body, 1_000_000));
    },
  };
  await using to = await openTestImageStore({ registry: breaking });
  assert.equal((await to.images.pull(name, always, signal)).id, id);
  assert.deepEqual(offsets.length, 3);
  assert.ok(offsets.every((offset, at) => at === 0 || offset > (offsets[at - 1] ?? 0)), offsets.join());
});

async function* cutOff(body: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const chunk of body) {
    if (left <= 0) throw new GantryError('unavailable', 'the connection broke');
    yield chunk;
    left -= chunk.length;
  }
}

test('concurrent pulls fetch a layer once; a cancelled one does not hurt the others', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using from = await openTestImageStore({ registry: client });
  const name = `${registry.host}/app:1`;
  await createTestImage(from.images, name, [[{ path: 'big', content: randomBytes(1_000_000) }]]);
  await from.images.push(name, {}, signal);
  let fetches = 0;
  const started = Promise.withResolvers<void>();
  const counting: RegistryClient = {
    fetchManifest: (...args) => client.fetchManifest(...args),
    hasBlob: (...args) => client.hasBlob(...args),
    pushBlob: (...args) => client.pushBlob(...args),
    pushManifest: (...args) => client.pushManifest(...args),
    fetchBlob: (...args) => {
      if (args[1].mediaType === mediaTypes.ociLayerGzip) {
        fetches += 1;
        started.resolve();
      }
      return client.fetchBlob(...args);
    },
  };
  await using to = await openTestImageStore({ registry: counting });
  const giveUp = new AbortController();
  const first = to.images.pull(name, always, giveUp.signal);
  const second = to.images.pull(name, always, signal);
  await started.promise;
  giveUp.abort();
  await assert.rejects(first, code('cancelled'));
  await second;
  assert.ok(fetches <= 2, `${fetches} fetches`);
  await to.images.remove(name, { isForced: false }, signal);
  fetches = 0;
  await Promise.all([1, 2, 3].map(() => to.images.pull(name, always, signal)));
  assert.equal(fetches, 1);
});

test('the store is examined and repaired while pulls and removals go on, and takes nothing of theirs', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using from = await openTestImageStore({ registry: client });
  const names = Array.from({ length: 12 }, (_, at) => `${registry.host}/app:${at}`);
  for (const name of names) {
    await createTestImage(from.images, name, [[{ path: 'own', content: name }], [{ path: 'big', content: randomBytes(20_000) }]]);
    await from.images.push(name, {}, signal);
  }
  await using to = await openTestImageStore({ registry: client });
  const stray = join(to.folder, 'snapshots', 'f'.repeat(64));
  mkdirSync(stray);
  const found = new Set<string>();
  const rounds = { isOver: false, count: 0 };
  const examining = (async () => {
    for (; !rounds.isOver; rounds.count += 1) {
      for (const { name, isRepaired } of await to.images.examine(true)) found.add(`${name} ${isRepaired}`);
      await setImmediate();
    }
  })();
  await Promise.all(names.map(async (name, at) => {
    await to.images.pull(name, always, signal);
    if (at % 3 === 0) await to.images.remove(name, { isForced: false }, signal);
    if (at % 6 === 0) await to.images.pull(name, always, signal);
  })).finally(() => (rounds.isOver = true));
  await examining;
  assert.deepEqual([[...found], await to.images.examine(false), rounds.count > 1], [[`${stray} true`], [], true]);
  const kept = names.filter((_, at) => at % 3 !== 0 || at % 6 === 0);
  assert.deepEqual(to.images.list().flatMap(({ references }) => references).toSorted(), kept.toSorted());
  for (const name of kept) {
    assert.ok(to.images.layerFolders(to.images.get(name).layers).some((folder) => contentOf(folder) === name), name);
  }
});

function contentOf(folder: string): string {
  return existsSync(join(folder, 'own')) ? readFileSync(join(folder, 'own'), 'utf8') : '';
}

test('pull() refuses what is damaged or not for this machine, and leaves nothing', { skip }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using from = await openTestImageStore({ registry: client });
  await using to = await openTestImageStore({ registry: client });
  const name = `${registry.host}/app:1`;
  await createTestImage(from.images, name, [[{ path: 'a', content: 'a' }], [{ path: 'b', content: 'b' }]]);
  await from.images.push(name, {}, signal);
  const fetched = await client.fetchManifest({ host: registry.host, repository: 'app', tag: '1' }, undefined, signal);
  const manifest = JSON.parse(Buffer.from(fetched.bytes).toString()) as { layers: object[]; config: object };
  const push = async (tag: string, body: object, type: string = mediaTypes.ociManifest): Promise<string> => {
    await client.pushManifest({ host: registry.host, repository: 'app', tag }, type, Buffer.from(JSON.stringify(body)), undefined, signal);
    return `${registry.host}/app:${tag}`;
  };
  await assert.rejects(to.images.pull(await push('swapped', { ...manifest, layers: manifest.layers.toReversed() }), always, signal), code('invalid'));
  await assert.rejects(to.images.pull(await push('short', { ...manifest, layers: manifest.layers.slice(1) }), always, signal), code('invalid'));
  const other = { mediaType: mediaTypes.ociManifest, digest: fetched.digest, size: fetched.bytes.length, platform: { os: 'linux', architecture: 's390x' } };
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [other] };
  await assert.rejects(to.images.pull(await push('foreign', index, mediaTypes.ociIndex), always, signal), (error) => isError(error, 'not-found') && error.message.includes('linux/s390x'));
  await assert.rejects(to.images.pull(`${registry.host}/app:none`, always, signal), code('not-found'));
  assert.deepEqual([to.images.list(), (await to.reopen()).layersBytes() <= 2], [[], true]);
});

test('skopeo copies from and to our registry, in OCI and Docker form', { skip: skipSkopeo }, async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  await using store = await openTestImageStore({ registry: client });
  const folder = mkdtempSync(join(tmpdir(), 'gantry-skopeo-'));
  try {
    const name = `${registry.host}/app:1`;
    const id = await createTestImage(store.images, name, [[{ path: 'a', content: 'hello' }], [{ path: 'b', content: randomBytes(500_000) }]], { Env: ['A=b'] });
    await store.images.push(name, {}, signal);
    const skopeo = (...args: string[]) => run('skopeo', ['--insecure-policy', ...args]);
    await skopeo('copy', '--src-tls-verify=false', `docker://${name}`, `dir:${folder}/copied`);
    const manifest = JSON.parse(readFileSync(join(folder, 'copied/manifest.json'), 'utf8')) as { config: { digest: string } };
    assert.equal(manifest.config.digest, id);
    await skopeo('copy', '--dest-tls-verify=false', `dir:${folder}/copied`, `docker://${registry.host}/again:oci`);
    await skopeo('copy', '--dest-tls-verify=false', '--format', 'v2s2', `dir:${folder}/copied`, `docker://${registry.host}/again:docker`);
    const { stdout } = await skopeo('list-tags', '--tls-verify=false', `docker://${registry.host}/again`);
    assert.deepEqual((JSON.parse(stdout) as { Tags: string[] }).Tags, ['docker', 'oci']);
    await store.images.remove(id, { isForced: true }, signal);
    for (const tag of ['oci', 'docker']) {
      const image = await store.images.pull(`${registry.host}/again:${tag}`, always, signal);
      assert.deepEqual([image.layers.length, image.config.config?.Env, image.sizeBytes], [2, ['A=b'], 500_005]);
    }
    await skopeo('delete', '--tls-verify=false', `docker://${registry.host}/again:docker`);
    await assert.rejects(store.images.pull(`${registry.host}/again:docker`, always, signal), code('not-found'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('skopeo reads what save() writes, and load() what skopeo writes', { skip: skipSkopeo }, async () => {
  await using store = await openTestImageStore();
  await using other = await openTestImageStore();
  const folder = mkdtempSync(join(tmpdir(), 'gantry-archive-'));
  try {
    const id = await createTestImage(store.images, 'app:1', [[{ path: 'a', content: 'hello' }], [{ path: 'b', content: randomBytes(100_000) }]]);
    const { createWriteStream, createReadStream } = await import('node:fs');
    await store.images.save(['app:1'], createWriteStream(join(folder, 'saved.tar')), signal);
    for (const [from, to] of [['docker-archive:saved.tar', 'oci-archive:oci.tar:docker.io/library/app:2'], ['oci-archive:saved.tar', 'docker-archive:docker.tar:app:3']] as const) {
      await run('skopeo', ['--insecure-policy', 'copy', from, to], { cwd: folder });
    }
    writeFileSync(join(folder, 'empty'), '');
    for (const file of ['saved.tar', 'docker.tar', 'oci.tar']) {
      const [loaded] = await other.images.load(createReadStream(join(folder, file)), {}, signal);
      assert.deepEqual(loaded?.image.layers, store.images.get(id).layers satisfies readonly Digest[], file);
    }
    assert.ok(other.images.find('app:1') !== undefined && other.images.find('app:3') !== undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
