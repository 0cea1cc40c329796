import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { mediaTypes } from '../api/mod.ts';
import { pollUntil } from '../kernel/mod.ts';
import { codeOf, digestOf, send } from './testing/requests.ts';
import { openTestRegistry } from './testing/test-registry.ts';

const signal = new AbortController().signal;
async function putBlob(url: string, repository: string, bytes: Uint8Array | string): Promise<string> {
  const digest = digestOf(bytes);
  const { status } = await send(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, 'POST', {}, bytes);
  assert.equal(status, 201);
  return digest;
}

async function putImage(url: string, repository: string, tag: string, extra: object = {}): Promise<{ digest: string; body: string; layer: string; config: string }> {
  const config = await putBlob(url, repository, JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }));
  const layer = await putBlob(url, repository, 'layer');
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: { mediaType: mediaTypes.ociConfig, digest: config, size: 78 }, layers: [{ mediaType: mediaTypes.ociLayerGzip, digest: layer, size: 5 }], ...extra };
  const body = JSON.stringify(manifest);
  const put = await send(`${url}/v2/${repository}/manifests/${tag}`, 'PUT', { 'content-type': mediaTypes.ociManifest }, body);
  assert.deepEqual([put.status, put.headers.get('docker-content-digest')], [201, digestOf(body)], put.text);
  return { digest: digestOf(body), body, layer, config };
}

test('GET /v2/ says that this is a registry', async () => {
  await using test = await openTestRegistry();
  const answer = await send(`${test.url}/v2/`);
  assert.deepEqual([answer.status, answer.headers.get('docker-distribution-api-version')], [200, 'registry/2.0']);
});

test('a monolithic upload is served whole, by range, and to HEAD', async () => {
  await using test = await openTestRegistry();
  const digest = await putBlob(test.url, 'team/app', 'hello, registry');
  const url = `${test.url}/v2/team/app/blobs/${digest}`;
  const whole = await send(url);
  assert.deepEqual([whole.status, whole.text, whole.headers.get('docker-content-digest')], [200, 'hello, registry', digest]);
  const head = await send(url, 'HEAD');
  assert.deepEqual([head.status, head.headers.get('content-length'), head.text], [200, '15', '']);
  const cases: [range: string, status: number, text: string, contentRange: string | null][] = [
    ['bytes=7-', 206, 'registry', 'bytes 7-14/15'], ['bytes=0-4', 206, 'hello', 'bytes 0-4/15'], ['bytes=-3', 206, 'try', 'bytes 12-14/15'],
    ['bytes=10-99', 206, 'istry', 'bytes 10-14/15'], ['bytes=0-0,2-3', 200, 'hello, registry', null], ['lines=1-2', 200, 'hello, registry', null], ['bytes=5-2', 200, 'hello, registry', null],
  ];
  for (const [range, status, text, contentRange] of cases) {
    const answer = await send(url, 'GET', { range });
    assert.deepEqual([answer.status, answer.text, answer.headers.get('content-range')], [status, text, contentRange], range);
  }
  const outside = await send(url, 'GET', { range: 'bytes=15-' });
  assert.deepEqual([...codeOf(outside), outside.headers.get('content-range')], [416, 'RANGE_INVALID', 'bytes */15']);
  assert.equal((await send(url, 'GET', { 'if-none-match': `"${digest}"` })).status, 304);
});

test('a chunked upload goes on across a restart and refuses gaps', async () => {
  await using test = await openTestRegistry();
  const bytes = randomBytes(200_000);
  const begun = await send(`${test.url}/v2/app/blobs/uploads/`, 'POST');
  assert.deepEqual([begun.status, begun.headers.get('range')], [202, '0-0']);
  const location = begun.headers.get('location') ?? '';
  const first = await send(test.url + location, 'PATCH', { 'content-range': '0-99999', 'content-type': 'application/octet-stream' }, bytes.subarray(0, 100_000));
  assert.deepEqual([first.status, first.headers.get('range'), first.headers.get('location')], [202, '0-99999', location]);
  await test.restart();
  const gap = await send(test.url + location, 'PATCH', { 'content-range': '100001-199999' }, bytes.subarray(100_001));
  assert.deepEqual([...codeOf(gap), gap.headers.get('range')], [416, 'BLOB_UPLOAD_INVALID', '0-99999']);
  const state = await send(test.url + location);
  assert.deepEqual([state.status, state.headers.get('range')], [204, '0-99999']);
  assert.equal((await send(test.url + location, 'PATCH', {}, bytes.subarray(100_000, 150_000))).headers.get('range'), '0-149999');
  const done = await send(`${test.url}${location}?digest=${digestOf(bytes)}`, 'PUT', {}, bytes.subarray(150_000));
  assert.deepEqual([done.status, done.headers.get('location')], [201, `/v2/app/blobs/${digestOf(bytes)}`]);
  assert.equal((await send(`${test.url}/v2/app/blobs/${digestOf(bytes)}`)).headers.get('content-length'), '200000');
  assert.deepEqual(codeOf(await send(test.url + location)), [404, 'BLOB_UPLOAD_UNKNOWN']);
});

test('a truncated or wrong upload leaves nothing visible', async () => {
  await using test = await openTestRegistry();
  const bytes = randomBytes(100_000);
  const digest = digestOf(bytes);
  const wrong = await send(`${test.url}/v2/app/blobs/uploads/?digest=${digest}`, 'POST', {}, bytes.subarray(1));
  assert.deepEqual(codeOf(wrong), [400, 'DIGEST_INVALID']);
  await new Promise<void>((resolve) => {
    const request = httpRequest(`${test.url}/v2/app/blobs/uploads/?digest=${digest}`, { method: 'POST', headers: { 'content-length': bytes.length } });
    request.on('error', () => resolve());
    request.write(bytes.subarray(0, 50_000), () => request.destroy());
  });
  const uploads = async (): Promise<number> => {
    let count = 0;
    for await (const upload of test.registry.blobs.listUploads()) count += upload.id === '' ? 0 : 1;
    return count;
  };
  await pollUntil('the upload to be dropped', async () => ((await uploads()) === 0 ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.deepEqual(codeOf(await send(`${test.url}/v2/app/blobs/${digest}`)), [404, 'BLOB_UNKNOWN']);
});

test('an upload belongs to its repository and can be given up', async () => {
  await using test = await openTestRegistry();
  const location = (await send(`${test.url}/v2/mine/blobs/uploads/`, 'POST')).headers.get('location') ?? '';
  assert.deepEqual(codeOf(await send(test.url + location.replace('/mine/', '/other/'), 'PATCH', {}, 'x')), [404, 'BLOB_UPLOAD_UNKNOWN']);
  assert.deepEqual(codeOf(await send(`${test.url}${location}`, 'PUT')), [400, 'DIGEST_INVALID']);
  assert.equal((await send(test.url + location, 'DELETE')).status, 204);
  assert.deepEqual(codeOf(await send(test.url + location)), [404, 'BLOB_UPLOAD_UNKNOWN']);
  assert.deepEqual(codeOf(await send(`${test.url}/v2/mine/blobs/uploads/..%2F..%2Fetc`)), [404, 'NAME_UNKNOWN']);
});

test('a blob of another repository is mounted, or uploaded when it is not there', async () => {
  await using test = await openTestRegistry();
  const digest = await putBlob(test.url, 'from', 'shared');
  assert.equal((await send(`${test.url}/v2/to/blobs/${digest}`)).status, 404);
  const mounted = await send(`${test.url}/v2/to/blobs/uploads/?mount=${digest}&from=from`, 'POST');
  assert.deepEqual([mounted.status, mounted.headers.get('location')], [201, `/v2/to/blobs/${digest}`]);
  assert.equal((await send(`${test.url}/v2/to/blobs/${digest}`)).text, 'shared');
  assert.equal((await send(`${test.url}/v2/to/blobs/uploads/?mount=${digestOf('none')}&from=from`, 'POST')).status, 202);
  assert.equal((await send(`${test.url}/v2/to/blobs/uploads/?mount=${digest}&from=nobody`, 'POST')).status, 202);
});

test('manifests are stored by digest and tag, and survive a restart', async () => {
  await using test = await openTestRegistry();
  const { digest, body } = await putImage(test.url, 'team/app', 'v1');
  await test.restart();
  for (const reference of ['v1', digest]) {
    const answer = await send(`${test.url}/v2/team/app/manifests/${reference}`);
    assert.deepEqual([answer.status, answer.text, answer.headers.get('content-type'), answer.headers.get('docker-content-digest')], [200, body, mediaTypes.ociManifest, digest]);
    assert.equal((await send(`${test.url}/v2/team/app/manifests/${reference}`, 'HEAD')).headers.get('content-length'), String(body.length));
  }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ mediaType: mediaTypes.ociManifest, digest, size: body.length }] });
  assert.equal((await send(`${test.url}/v2/team/app/manifests/multi`, 'PUT', { 'content-type': mediaTypes.ociIndex }, index)).status, 201);
  assert.equal((await send(`${test.url}/v2/team/app/manifests/multi`)).text, index);
});

test('PUT of a manifest refuses what is not valid, complete or of the digest', async () => {
  await using test = await openTestRegistry();
  const { body, layer, config } = await putImage(test.url, 'app', 'good');
  const parsed = JSON.parse(body) as { layers: object[] };
  const put = async (reference: string, type: string, content: string): Promise<[number, string]> =>
    codeOf(await send(`${test.url}/v2/app/manifests/${reference}`, 'PUT', { 'content-type': type }, content));
  const descriptor = (digest: string, size: number): object => ({ mediaType: mediaTypes.ociLayerGzip, digest, size });
  const cases: [what: string, reference: string, type: string, content: string, expected: [number, string]][] = [
    ['no JSON', 'x', mediaTypes.ociManifest, '{', [400, 'MANIFEST_INVALID']],
    ['no manifest', 'x', mediaTypes.ociManifest, '{"schemaVersion":2}', [400, 'MANIFEST_INVALID']],
    ['schema 1', 'x', 'application/vnd.docker.distribution.manifest.v1+prettyjws', '{"schemaVersion":1}', [400, 'MANIFEST_INVALID']],
    ['another type than it says', 'x', mediaTypes.dockerManifest, body, [400, 'MANIFEST_INVALID']],
    ['another digest', digestOf('other'), mediaTypes.ociManifest, body, [400, 'DIGEST_INVALID']],
    ['a missing layer', 'x', mediaTypes.ociManifest, JSON.stringify({ ...parsed, layers: [descriptor(digestOf('none'), 1)] }), [404, 'MANIFEST_BLOB_UNKNOWN']],
    ['a wrong size', 'x', mediaTypes.ociManifest, JSON.stringify({ ...parsed, layers: [descriptor(layer, 6)] }), [400, 'SIZE_INVALID']],
    ['an index of what is no manifest', 'x', mediaTypes.ociIndex, JSON.stringify({ schemaVersion: 2, manifests: [descriptor(config, 78)] }), [404, 'MANIFEST_BLOB_UNKNOWN']],
    ['too large', 'x', mediaTypes.ociManifest, JSON.stringify({ ...parsed, annotations: { a: 'x'.repeat(5 << 20) } }), [413, 'SIZE_INVALID']],
    ['a bad tag', '-x', mediaTypes.ociManifest, body, [400, 'TAG_INVALID']],
    ['a bad digest', 'sha512:00', mediaTypes.ociManifest, body, [400, 'DIGEST_INVALID']],
  ];
  for (const [what, reference, type, content, expected] of cases) assert.deepEqual(await put(reference, type, content), expected, what);
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/app/tags/list`)).text), { name: 'app', tags: ['good'] });
});

test('malformed names and unknown pages have the codes of the protocol', async () => {
  await using test = await openTestRegistry();
  const digest = digestOf('x');
  const cases: [path: string, method: string, expected: [number, string]][] = [
    ['/v2/Upper/tags/list', 'GET', [400, 'NAME_INVALID']],
    ['/v2/a//b/tags/list', 'GET', [400, 'NAME_INVALID']],
    ['/v2/_x/tags/list', 'GET', [400, 'NAME_INVALID']],
    [`/v2/${'a/'.repeat(130)}b/tags/list`, 'GET', [400, 'NAME_INVALID']],
    ['/v2/%2e%2e/%2e%2e/etc/manifests/x', 'GET', [404, 'NAME_UNKNOWN']],
    ['/v2/a/%2E%2E%2Fb/manifests/x', 'GET', [400, 'NAME_INVALID']],
    ['/v2/none/tags/list', 'GET', [404, 'NAME_UNKNOWN']],
    ['/v2/none/manifests/latest', 'GET', [404, 'MANIFEST_UNKNOWN']],
    [`/v2/none/blobs/${digest}`, 'GET', [404, 'BLOB_UNKNOWN']],
    ['/v2/none/blobs/sha256:zz', 'GET', [400, 'DIGEST_INVALID']],
    [`/v2/none/blobs/${digest}`, 'DELETE', [404, 'BLOB_UNKNOWN']],
    ['/v2/none/manifests/latest', 'DELETE', [404, 'MANIFEST_UNKNOWN']],
    [`/v2/none/blobs/${digest}`, 'PUT', [405, 'UNSUPPORTED']],
    ['/v2/_catalog?n=x', 'GET', [400, 'PAGINATION_NUMBER_INVALID']],
    ['/v2/a/nothing/here', 'GET', [404, 'NAME_UNKNOWN']],
    ['/elsewhere', 'GET', [404, 'NAME_UNKNOWN']],
  ];
  for (const [path, method, expected] of cases) assert.deepEqual(codeOf(await send(test.url + path, method)), expected, `${method} ${path}`);
});

test('tags and repositories are listed in order and in pages', async () => {
  await using test = await openTestRegistry();
  for (const tag of ['v10', 'v1', 'V2', 'latest', 'x.tmp-0123456789ab']) await putImage(test.url, 'app', tag);
  await putImage(test.url, 'a/b', 'x');
  const sorted = ['V2', 'latest', 'v1', 'v10', 'x.tmp-0123456789ab'];
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/app/tags/list`)).text), { name: 'app', tags: sorted });
  const seen: string[] = [];
  for (let path = '/v2/app/tags/list?n=2'; path !== ''; ) {
    const answer = await send(test.url + path);
    seen.push(...(JSON.parse(answer.text) as { tags: string[] }).tags);
    path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1] ?? '';
  }
  assert.deepEqual(seen, sorted);
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/app/tags/list?n=0`)).text), { name: 'app', tags: [] });
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/_catalog`)).text), { repositories: ['a/b', 'app'] });
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/_catalog?last=a/b`)).text), { repositories: ['app'] });
});

test('tags, manifests and blobs can be deleted', async () => {
  await using test = await openTestRegistry();
  const { digest, layer } = await putImage(test.url, 'app', 'v1');
  await putImage(test.url, 'app', 'v2');
  assert.equal((await send(`${test.url}/v2/app/manifests/v1`, 'DELETE')).status, 202);
  assert.equal((await send(`${test.url}/v2/app/manifests/${digest}`)).status, 200);
  assert.equal((await send(`${test.url}/v2/app/manifests/${digest}`, 'DELETE')).status, 202);
  assert.deepEqual([(await send(`${test.url}/v2/app/manifests/v2`)).status, (await send(`${test.url}/v2/app/manifests/${digest}`)).status], [404, 404]);
  assert.deepEqual(JSON.parse((await send(`${test.url}/v2/app/tags/list`)).text), { name: 'app', tags: [] });
  assert.equal((await send(`${test.url}/v2/app/blobs/${layer}`, 'DELETE')).status, 202);
  assert.equal((await send(`${test.url}/v2/app/blobs/${layer}`)).status, 404);
});

test('referrers of a manifest are listed and filtered by type', async () => {
  await using test = await openTestRegistry();
  const { digest, body } = await putImage(test.url, 'app', 'v1');
  const subject = { mediaType: mediaTypes.ociManifest, digest, size: body.length };
  const referrer = await putImage(test.url, 'app', 'sbom', { artifactType: 'application/x-sbom', subject, annotations: { a: 'b' } });
  await putImage(test.url, 'app', 'sig', { artifactType: 'application/x-signature', subject });
  const all = await send(`${test.url}/v2/app/referrers/${digest}`);
  const { manifests } = JSON.parse(all.text) as { manifests: object[] };
  assert.deepEqual([all.status, all.headers.get('content-type'), manifests.length], [200, mediaTypes.ociIndex, 2]);
  const some = await send(`${test.url}/v2/app/referrers/${digest}?artifactType=application/x-sbom`);
  assert.equal(some.headers.get('oci-filters-applied'), 'artifactType');
  assert.deepEqual((JSON.parse(some.text) as { manifests: object[] }).manifests, [
    { mediaType: mediaTypes.ociManifest, digest: referrer.digest, size: referrer.body.length, artifactType: 'application/x-sbom', annotations: { a: 'b' } },
  ]);
  await send(`${test.url}/v2/app/manifests/${referrer.digest}`, 'DELETE');
  assert.equal((JSON.parse((await send(`${test.url}/v2/app/referrers/${digest}`)).text) as { manifests: object[] }).manifests.length, 1);
  assert.deepEqual((JSON.parse((await send(`${test.url}/v2/nobody/referrers/${digest}`)).text) as { manifests: object[] }).manifests, []);
});

test('concurrent pushes of one blob store it once', async () => {
  await using test = await openTestRegistry();
  const bytes = randomBytes(300_000);
  await Promise.all(Array.from({ length: 8 }, (_, at) => putBlob(test.url, `app${at}`, bytes)));
  const files = readdirSync(join(test.folder, 'blobs/sha256'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.equal(files.length, 1);
});
