import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { mediaTypes } from '../api/mod.ts';
import { pollUntil } from '../kernel/mod.ts';
import { ClientUpstreams, openRegistryClient, type UpstreamConfig } from './mod.ts';
import { type Answer, codeOf, digestOf, send } from './testing/requests.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-registry.ts';

const signal = AbortSignal.timeout(120_000);

interface Fixture extends AsyncDisposable {
  /** The registry that keeps copies; `up/<name>` is `<name>` of the upstream. */
  readonly cache: TestRegistry;
  readonly upstream: TestRegistry;
  /** What reached the upstream, as `METHOD path`. */
  readonly asked: string[];
  /** How the upstream answers instead of as it should. */
  fault: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  get(path: string, method?: string, headers?: Record<string, string>): Promise<Answer>;
}

/** A second registry as upstream, behind a listener at which it can be made to fail. */
async function openFixture(options: Partial<UpstreamConfig> = {}): Promise<Fixture> {
  const parts = new AsyncDisposableStack();
  const upstream = parts.use(await openTestRegistry());
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (fixture.fault?.(request, response) !== true) upstream.registry.handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  parts.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const client = parts.use(openRegistryClient());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const upstreams = new ClientUpstreams(client, () => [{ prefix: 'up', host, freshMs: 0, ...options }]);
  const cache = parts.use(await openTestRegistry({ upstreams }));
  const fixture: Fixture = {
    cache, upstream, asked, fault: undefined,
    get: (path, method = 'GET', headers = {}) => send(`${cache.url}/v2/up/${path}`, method, headers),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
  return fixture;
}

async function pushImage({ url }: TestRegistry, repository: string, tag: string, layer: Buffer): Promise<{ digest: string; layer: string; body: string }> {
  const put = async (content: Buffer): Promise<{ mediaType: string; digest: string; size: number }> => {
    const digest = digestOf(content);
    assert.equal((await send(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, 'POST', {}, content)).status, 201);
    return { mediaType: mediaTypes.ociLayerGzip, digest, size: content.length };
  };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: await put(Buffer.from('{}')), layers: [await put(layer)] });
  const answer = await send(`${url}/v2/${repository}/manifests/${tag}`, 'PUT', { 'content-type': mediaTypes.ociManifest }, body);
  assert.equal(answer.status, 201);
  return { digest: digestOf(body), layer: digestOf(layer), body };
}

const down = (request: IncomingMessage): boolean => (request.socket.destroy(), true);
const limited = (_: IncomingMessage, response: ServerResponse): boolean => (response.writeHead(429, { 'retry-after': '60' }).end(), true);

test('an image of another registry is fetched once, whole and as it is', async () => {
  await using fixture = await openFixture({ freshMs: 60_000 });
  const layer = randomBytes(3_000_000);
  const image = await pushImage(fixture.upstream, 'team/app', 'v1', layer);
  for (let round = 0; round < 2; round += 1) {
    const manifest = await fixture.get('team/app/manifests/v1');
    assert.deepEqual([manifest.status, manifest.text, manifest.headers.get('docker-content-digest'), manifest.headers.get('warning')], [200, image.body, image.digest, null]);
    assert.equal((await fixture.get(`team/app/blobs/${image.layer}`, 'HEAD')).headers.get('content-length'), '3000000');
    const blob = await fetch(`${fixture.cache.url}/v2/up/team/app/blobs/${image.layer}`);
    assert.equal(digestOf(new Uint8Array(await blob.arrayBuffer())), image.layer);
  }
  assert.deepEqual(fixture.asked, ['GET /v2/team/app/manifests/v1', `GET /v2/team/app/blobs/${image.layer}`]);
  assert.equal((await fixture.get(`team/app/blobs/${digestOf('unnamed')}`)).status, 404);
});

test('many clients that ask for the same blob at once cost one download', async () => {
  await using fixture = await openFixture();
  const image = await pushImage(fixture.upstream, 'app', 'v1', randomBytes(2_000_000));
  await fixture.get('app/manifests/v1');
  const answers = await Promise.all(Array.from({ length: 8 }, async () => digestOf(new Uint8Array(await (await fetch(`${fixture.cache.url}/v2/up/app/blobs/${image.layer}`)).arrayBuffer()))));
  assert.deepEqual(new Set(answers), new Set([image.layer]));
  assert.equal(fixture.asked.filter((line) => line.includes('/blobs/')).length, 1);
});

for (const [what, fault] of [['is down', down], ['limits its rate', limited]] as const) {
  test(`when the upstream ${what}, what is here is served with a warning`, async () => {
    await using fixture = await openFixture();
    const image = await pushImage(fixture.upstream, 'app', 'v1', Buffer.from('layer'));
    await pushImage(fixture.upstream, 'app', 'never-asked', Buffer.from('layer'));
    await fixture.get('app/manifests/v1');
    await fixture.get(`app/blobs/${image.layer}`);
    fixture.fault = fault;
    const manifest = await fixture.get('app/manifests/v1');
    assert.deepEqual([manifest.status, manifest.text], [200, image.body]);
    assert.match(manifest.headers.get('warning') ?? '', /^299 - ".*may be old"$/);
    assert.equal((await fixture.get(`app/manifests/${image.digest}`)).status, 200);
    assert.equal((await fixture.get(`app/blobs/${image.layer}`)).text, 'layer');
    const unknown = await fixture.get('app/manifests/never-asked');
    assert.deepEqual(codeOf(unknown), what === 'is down' ? [503, 'UNKNOWN'] : [429, 'TOOMANYREQUESTS']);
    assert.ok(Number(unknown.headers.get('retry-after')) >= (what === 'is down' ? 1 : 60));
    const count = fixture.asked.length;
    await fixture.get('app/manifests/v1');
    assert.equal(fixture.asked.length, count, 'an upstream that failed was asked again at once');
  });
}

test('a tag that moved or went upstream does so here, and one that did not costs no manifest', async () => {
  await using fixture = await openFixture();
  await pushImage(fixture.upstream, 'app', 'v1', Buffer.from('one'));
  await fixture.get('app/manifests/v1');
  await fixture.get('app/manifests/v1');
  assert.deepEqual(fixture.asked, ['GET /v2/app/manifests/v1', 'HEAD /v2/app/manifests/v1']);
  const moved = await pushImage(fixture.upstream, 'app', 'v1', Buffer.from('two'));
  assert.equal((await fixture.get('app/manifests/v1')).headers.get('docker-content-digest'), moved.digest);
  await send(`${fixture.upstream.url}/v2/app/manifests/v1`, 'DELETE');
  assert.deepEqual(codeOf(await fixture.get('app/manifests/v1')), [404, 'MANIFEST_UNKNOWN']);
  assert.equal((await fixture.get(`app/manifests/${moved.digest}`)).status, 200);
});

test('what an upstream sends broken or wrong never becomes a blob', async () => {
  await using fixture = await openFixture();
  const layer = randomBytes(1_000_000);
  const image = await pushImage(fixture.upstream, 'app', 'v1', layer);
  await fixture.get('app/manifests/v1');
  const isBlob = (request: IncomingMessage): boolean => request.url?.includes('/blobs/') === true;
  const faults: Fixture['fault'][] = [
    (request, response) => isBlob(request) && (response.writeHead(200, { 'content-length': layer.length }).write(layer.subarray(0, 300_000), () => response.destroy()), true),
    (request, response) => isBlob(request) && (response.writeHead(200, { 'content-length': layer.length }).end(randomBytes(layer.length)), true),
  ];
  for (const fault of faults) {
    fixture.fault = fault;
    await assert.rejects(async () => (await fetch(`${fixture.cache.url}/v2/up/app/blobs/${image.layer}`)).arrayBuffer());
    assert.equal(await fixture.cache.registry.blobs.stat(image.layer), undefined);
  }
  fixture.fault = undefined;
  const whole = await fetch(`${fixture.cache.url}/v2/up/app/blobs/${image.layer}`);
  assert.equal(digestOf(new Uint8Array(await whole.arrayBuffer())), image.layer);
});

test('a copy goes on when the client that began it leaves, and ranges wait for it', async () => {
  await using fixture = await openFixture();
  const layer = randomBytes(6_000_000);
  const image = await pushImage(fixture.upstream, 'app', 'v1', layer);
  await fixture.get('app/manifests/v1');
  const leave = new AbortController();
  const left = await fetch(`${fixture.cache.url}/v2/up/app/blobs/${image.layer}`, { signal: leave.signal });
  leave.abort();
  await assert.rejects(left.arrayBuffer());
  await pollUntil('the copy to be here', () => fixture.cache.registry.blobs.stat(image.layer), { timeoutMs: 60_000 }, signal);
  const other = await pushImage(fixture.upstream, 'app', 'v2', Buffer.from('0123456789'));
  await fixture.get('app/manifests/v2');
  const part = await fixture.get(`app/blobs/${other.layer}`, 'GET', { range: 'bytes=2-4' });
  assert.deepEqual([part.status, part.text], [206, '234']);
});

test('copies are read only; a mirror\'s `ns` leads to them; indexes are copied as their images are asked for', async () => {
  await using fixture = await openFixture({ prefix: 'up' });
  const image = await pushImage(fixture.upstream, 'app', 'v1', Buffer.from('layer'));
  const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.body.length }] });
  await send(`${fixture.upstream.url}/v2/app/manifests/multi`, 'PUT', { 'content-type': mediaTypes.ociIndex }, index);
  assert.equal((await fixture.get('app/manifests/multi')).text, index);
  assert.equal((await fixture.get(`app/manifests/${image.digest}`)).text, image.body);
  assert.deepEqual(codeOf(await fixture.get('app/blobs/uploads/', 'POST')), [405, 'UNSUPPORTED']);
  assert.deepEqual(codeOf(await send(`${fixture.cache.url}/v2/up/app/manifests/v2`, 'PUT', { 'content-type': mediaTypes.ociManifest }, image.body)), [405, 'UNSUPPORTED']);
  const mirrored = await send(`${fixture.cache.url}/v2/app/manifests/v1?ns=up`);
  assert.deepEqual([mirrored.text, mirrored.headers.get('oci-namespace')], [image.body, 'up']);
  assert.equal((await send(`${fixture.cache.url}/v2/app/manifests/v1?ns=elsewhere`)).status, 404);
});
