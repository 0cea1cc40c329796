import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { type Descriptor, type Digest, type ImageReference, mediaTypes, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { openTestRegistry } from '../testing/test-registry.ts';
import { parseChallenges } from './challenge.ts';
import { openRegistryClient } from './client.ts';
import { RegistryHosts, type RegistryHostsConfig } from './hosts.ts';

const signal = new AbortController().signal;
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
const blobOf = (bytes: Uint8Array): Descriptor => ({ mediaType: mediaTypes.ociLayerGzip, digest: digestOf(bytes), size: bytes.length });
const code = (expected: string) => (error: unknown) => isError(error) && error.code === expected;

async function serve(listener: RequestListener): Promise<AsyncDisposable & { host: string }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

async function pushTestImage(client: ReturnType<typeof openRegistryClient>, reference: ImageReference, layer: Buffer): Promise<Digest> {
  const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
  for (const bytes of [config, layer]) await client.pushBlob(reference, blobOf(bytes), () => Readable.from([bytes]), undefined, signal);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: { ...blobOf(config), mediaType: mediaTypes.ociConfig }, layers: [blobOf(layer)] };
  return client.pushManifest(reference, mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)), undefined, signal);
}

test('RegistryHttpClient pushes to and pulls from our registry', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const reference = parseImageReference(`${registry.host}/team/app:v1`);
  const layer = randomBytes(1_500_000);
  assert.equal(await client.hasBlob(reference, digestOf(layer), undefined, signal), false);
  const digest = await pushTestImage(client, reference, layer);
  assert.equal(await client.hasBlob(reference, digestOf(layer), undefined, signal), true);
  const byTag = await client.fetchManifest(reference, undefined, signal);
  assert.deepEqual([byTag.digest, byTag.mediaType], [digest, mediaTypes.ociManifest]);
  assert.equal((await client.fetchManifest({ ...reference, digest }, undefined, signal)).digest, digest);
  for (const offset of [0, 1, 1_400_000]) {
    assert.deepEqual(await buffer(await client.fetchBlob(reference, blobOf(layer), offset, undefined, signal)), layer.subarray(offset));
  }
  await assert.rejects(client.fetchManifest(parseImageReference(`${registry.host}/team/app:none`), undefined, signal), (error) => isError(error, 'not-found') && error.message.includes('manifest unknown'));
  await assert.rejects(client.pushBlob(reference, blobOf(Buffer.from('x')), () => Readable.from([Buffer.from('y')]), undefined, signal), code('invalid'));
});

test('RegistryHttpClient mounts a blob it has seen in another repository', async () => {
  await using registry = await openTestRegistry();
  await using client = openRegistryClient();
  const layer = randomBytes(1000);
  await pushTestImage(client, parseImageReference(`${registry.host}/one:1`), layer);
  const other = parseImageReference(`${registry.host}/two:1`);
  await client.pushBlob(other, blobOf(layer), () => assert.fail('the blob was uploaded again'), undefined, signal);
  assert.equal(await client.hasBlob(other, digestOf(layer), undefined, signal), true);
});

for (const scheme of ['basic', 'token'] as const) {
  test(`RegistryHttpClient answers ${scheme} challenges`, async () => {
    let questions = 0;
    await using registry = await openTestRegistry({
      authorizer: {
        scheme,
        authenticate: async ({ username, password }) => ((questions += 1), password === 'right' ? username : undefined),
        isAllowed: async (user, repository, verb) => user === 'admin' || (user === 'reader' && verb === 'pull') || repository === 'open',
      },
    });
    await using client = openRegistryClient({ credentials: async (host) => (host === registry.host ? { username: 'admin', password: 'right' } : undefined) });
    await using stranger = openRegistryClient();
    const reference = parseImageReference(`${registry.host}/app:1`);
    await pushTestImage(client, reference, randomBytes(1000));
    if (scheme === 'token') assert.equal(questions, 1);
    await client.fetchManifest(reference, { username: 'reader', password: 'right' }, signal);
    await assert.rejects(stranger.fetchManifest(reference, undefined, signal), code('unauthenticated'));
    await assert.rejects(stranger.fetchManifest(reference, { username: 'reader', password: 'wrong' }, signal), code('unauthenticated'));
    await assert.rejects(stranger.pushBlob(reference, blobOf(Buffer.from('x')), () => Readable.from(['x']), { username: 'reader', password: 'right' }, signal), code('forbidden'));
    await assert.rejects(stranger.fetchManifest(parseImageReference(`${registry.host}/open:1`), undefined, signal), code('not-found'));
  });
}

test('RegistryHttpClient asks mirrors first, without credentials, and falls back', async () => {
  await using upstream = await openTestRegistry();
  await using pusher = openRegistryClient();
  const digest = await pushTestImage(pusher, parseImageReference(`${upstream.host}/library/app:1`), randomBytes(10));
  const asked: string[] = [];
  await using empty = await serve((request, response) => {
    asked.push(`${request.url ?? ''} ${request.headers.authorization ?? 'nobody'}`);
    response.writeHead(404).end();
  });
  const mirrors = { 'registry.invalid': [`http://127.0.0.1:1/`, `http://${empty.host}/base/`, upstream.url] };
  await using client = openRegistryClient({ mirrors, credentials: async () => ({ username: 'u', password: 'p' }) });
  const pulled = await client.fetchManifest(parseImageReference('registry.invalid/library/app:1'), { username: 'u', password: 'p' }, signal);
  assert.deepEqual([pulled.digest, asked], [digest, ['/base/v2/library/app/manifests/1?ns=registry.invalid nobody']]);
});

test('RegistryHttpClient keeps the password at the registry when it is redirected', async () => {
  const layer = randomBytes(100);
  const seen: (string | undefined)[] = [];
  await using storage = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.end(layer);
  });
  await using registry = await serve((request, response) => {
    if (request.headers.authorization === undefined) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else response.writeHead(307, { location: `http://${storage.host}/somewhere` }).end();
  });
  await using client = openRegistryClient();
  const body = await client.fetchBlob(parseImageReference(`${registry.host}/app:1`), blobOf(layer), 40, { username: 'u', password: 'p' }, signal);
  assert.deepEqual(await buffer(body), layer.subarray(40));
  assert.deepEqual(seen, [undefined]);
});

test('RegistryHttpClient reports what goes wrong as errors of this program', async () => {
  await using broken = await serve((request, response) => {
    if (request.url?.includes('/busy/') === true) return void response.writeHead(429, { 'retry-after': '7' }).end('slow down');
    if (request.url?.includes('/cut/') === true) {
      response.writeHead(200, { 'content-length': '1000' });
      return void response.write('x', () => response.destroy());
    }
    if (request.url?.includes('/loop/') === true) return void response.writeHead(302, { location: request.url }).end();
    response.writeHead(200, { 'content-type': mediaTypes.ociManifest }).end('{}');
  });
  await using client = openRegistryClient();
  const fetch = (name: string) => client.fetchManifest(parseImageReference(name), undefined, signal);
  await assert.rejects(fetch(`${broken.host}/busy/x:1`), (error) => isError(error, 'unavailable') && error.retryAfterMs === 7000);
  await assert.rejects(fetch(`${broken.host}/cut/x:1`), code('unavailable'));
  await assert.rejects(fetch(`${broken.host}/loop/x:1`), code('unavailable'));
  await assert.rejects(fetch(`127.0.0.1:1/x:1`), code('unavailable'));
  await assert.rejects(fetch(`${broken.host}/x@${digestOf(Buffer.from('other'))}`), code('invalid'));
  await assert.rejects(client.fetchManifest(parseImageReference(`${broken.host}/x:1`), undefined, AbortSignal.abort()), code('cancelled'));
});

test('RegistryHosts chooses scheme, host and mirrors', async () => {
  const [checked, open] = ['checked', 'insecure'];
  const cases: [host: string, config: RegistryHostsConfig, purpose: 'pull' | 'push', origins: string[]][] = [
    ['docker.io', {}, 'pull', [`https://registry-1.docker.io ${checked}`]],
    ['registry.example', {}, 'pull', [`https://registry.example ${checked}`]],
    ['127.0.0.1:5000', {}, 'push', [`https://127.0.0.1:5000 ${open}`]],
    ['[::1]:5000', {}, 'push', [`https://[::1]:5000 ${open}`]],
    ['localhost:5000', {}, 'push', [`https://localhost:5000 ${open}`]],
    ['127.0.0.1:5000', { tls: ['127.0.0.1:5000'] }, 'push', [`https://127.0.0.1:5000 ${checked}`]],
    ['10.0.0.5:5000', { insecure: ['10.0.0.5:5000'] }, 'push', [`https://10.0.0.5:5000 ${open}`]],
    ['10.0.0.5:5001', { insecure: ['10.0.0.5:5000'] }, 'push', [`https://10.0.0.5:5001 ${checked}`]],
    ['reg.lan:8080', { insecure: ['reg.lan'] }, 'push', [`https://reg.lan:8080 ${open}`]],
    ['reg.lan:8080', { insecure: ['10.0.0.0/8'] }, 'push', [`https://reg.lan:8080 ${open}`]],
    ['other.lan', { insecure: ['10.0.0.0/8'] }, 'push', [`https://other.lan ${checked}`]],
    ['unknown.lan', { insecure: ['10.0.0.0/8'] }, 'push', [`https://unknown.lan ${checked}`]],
    ['10.9.8.7', { insecure: ['10.0.0.0/8'] }, 'push', [`https://10.9.8.7 ${open}`]],
    ['11.9.8.7', { insecure: ['10.0.0.0/8'] }, 'push', [`https://11.9.8.7 ${checked}`]],
    ['[fd00::5]:5000', { insecure: ['fd00::/8'] }, 'push', [`https://[fd00::5]:5000 ${open}`]],
    ['docker.io', { mirrors: { 'docker.io': ['https://m.example/a/'] } }, 'pull', [`https://m.example/a ${checked}`, `https://registry-1.docker.io ${checked}`]],
    ['docker.io', { mirrors: { 'docker.io': ['https://m.example'] }, insecure: ['m.example'] }, 'pull', [`https://m.example ${open}`, `https://registry-1.docker.io ${checked}`]],
    ['docker.io', { mirrors: { 'docker.io': ['https://m.example'] } }, 'push', [`https://registry-1.docker.io ${checked}`]],
  ];
  const names: Record<string, string> = { 'reg.lan': '10.1.2.3', 'other.lan': '192.0.2.1' };
  const lookup = async (name: string): Promise<string[]> => (names[name] === undefined ? Promise.reject(new Error('no such name')) : [names[name]]);
  for (const [host, config, purpose, expected] of cases) {
    const endpoints = await new RegistryHosts(config).endpointsOf(host, purpose, lookup);
    assert.deepEqual(endpoints.map(({ origin, isInsecure }) => `${origin} ${isInsecure ? open : checked}`), expected, `${host} ${JSON.stringify(config)}`);
  }
  assert.throws(() => openRegistryClient({ mirrors: { 'docker.io': ['ftp://x'] } }), code('invalid'));
  for (const network of ['10.0.0.0/33', 'a/8', '10.0.0/8', '10.0.0.0/']) assert.throws(() => openRegistryClient({ insecure: [network] }), code('invalid'), network);
});

test('parseChallenges() reads the schemes and their parameters', () => {
  const cases: [header: string, expected: [string, Record<string, string>][]][] = [
    ['Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"', [['bearer', { realm: 'https://a/token', service: 's', scope: 'repository:x:pull,push' }]]],
    ['Basic realm="a \\"b\\""', [['basic', { realm: 'a "b"' }]]],
    ['Negotiate, Basic Realm=x , Bearer realm="y"', [['negotiate', {}], ['basic', { realm: 'x' }], ['bearer', { realm: 'y' }]]],
    ['', []],
    ['=', []],
  ];
  for (const [header, expected] of cases) {
    assert.deepEqual(parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]), expected, header);
  }
});

test('login() asks the registry, or its token server, whether it takes the credentials', async () => {
  const somebody = { username: 'somebody', password: 'secret' };
  await using client = openRegistryClient();
  for (const scheme of ['basic', 'token'] as const) {
    await using registry = await openTestRegistry({ authorizer: { scheme, authenticate: async ({ username, password }) => (password === 'secret' ? username : undefined), isAllowed: async () => true } });
    assert.deepEqual(await client.login(registry.host, somebody, signal), {});
    await assert.rejects(client.login(registry.host, { ...somebody, password: 'other' }, signal), (error) => isError(error, 'unauthenticated') && error.message.includes(`http://${registry.host}/v2/`));
  }
  await assert.rejects(client.login('127.0.0.1:1', somebody, signal), (error) => isError(error, 'unavailable'));
});

test('login() brings back the refresh token of a token server, and takes it instead of the password', async () => {
  const asked: string[] = [];
  await using server = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const answer = (status: number, headers: Record<string, string>, body = ''): void => void response.writeHead(status, headers).end(body);
    if (url.pathname === '/v2/') return request.headers.authorization === 'Bearer right' ? answer(200, {}) : answer(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host ?? ''}/token",service="here"` });
    let form = '';
    request.on('data', (chunk: Buffer) => (form += chunk.toString()));
    request.on('end', () => {
      asked.push(`${request.method} ${url.search}${form}`);
      answer(200, {}, JSON.stringify(form.includes('refresh_token=kept') ? { access_token: 'right' } : { token: 'right', refresh_token: 'kept' }));
    });
  });
  await using client = openRegistryClient();
  const { host } = server;
  assert.deepEqual(await client.login(host, { username: 'a', password: 'b' }, signal), { identityToken: 'kept' });
  assert.deepEqual(await client.login(host, { username: 'a', password: '', identityToken: 'kept' }, signal), {});
  assert.deepEqual(asked, ['GET ?service=here&client_id=gantry&offline_token=true&account=a', 'POST grant_type=refresh_token&client_id=gantry&refresh_token=kept&service=here']);
});
