import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mediaTypes } from '../api/mod.ts';
import { isError } from '../kernel/mod.ts';
import type { RegistryAuthorizer } from './mod.ts';
import { type Answer, basic, codeOf, digestOf, send } from './testing/requests.ts';
import { openTestRegistry } from './testing/test-registry.ts';

const authorizer = (scheme: 'basic' | 'token'): RegistryAuthorizer => ({
  scheme,
  authenticate: async ({ username, password }) => (password === `${username}-secret` ? username : undefined),
  isAllowed: async (user, repository, verb) => user === 'admin' || (verb === 'pull' && (repository.startsWith('public/') || user === 'reader')),
});

for (const scheme of ['basic', 'token'] as const) {
  test(`${scheme} authentication: who may pull and push`, async () => {
    await using test = await openTestRegistry({ authorizer: authorizer(scheme) });
    const list = (repository: string, headers: Record<string, string> = {}): Promise<Answer> => send(`${test.url}/v2/${repository}/manifests/x`, 'GET', headers);
    assert.deepEqual(codeOf(await send(`${test.url}/v2/`)), [401, 'UNAUTHORIZED']);
    assert.equal((await send(`${test.url}/v2/`, 'GET', basic('reader'))).status, 200);
    assert.deepEqual(codeOf(await list('private')), [401, 'UNAUTHORIZED']);
    assert.deepEqual(codeOf(await list('private', basic('reader', 'wrong'))), [401, 'UNAUTHORIZED']);
    assert.deepEqual(codeOf(await list('public/x')), [404, 'MANIFEST_UNKNOWN']);
    assert.deepEqual(codeOf(await list('private', basic('reader'))), [404, 'MANIFEST_UNKNOWN']);
    assert.deepEqual(codeOf(await send(`${test.url}/v2/private/blobs/uploads/`, 'POST', basic('reader'))), [403, 'DENIED']);
    assert.equal((await send(`${test.url}/v2/private/blobs/uploads/`, 'POST', basic('admin'))).status, 202);
  });
}

const askToken = (test: { url: string; host: string }, scopes: readonly string[], headers: Record<string, string> = {}): Promise<Answer> =>
  send(`${test.url}/token?service=${test.host}${scopes.map((scope) => `&scope=${encodeURIComponent(scope)}`).join('')}`, 'GET', headers);
const bearer = (answer: Answer): Record<string, string> => ({ authorization: `Bearer ${(JSON.parse(answer.text) as { token: string }).token}` });

test('the token end point gives tokens for what was asked and may be had', async () => {
  await using test = await openTestRegistry({ authorizer: authorizer('token') });
  const begin = (repository: string, headers: Record<string, string>): Promise<Answer> => send(`${test.url}/v2/${repository}/blobs/uploads/`, 'POST', headers);
  const read = (repository: string, headers: Record<string, string>): Promise<Answer> => send(`${test.url}/v2/${repository}/manifests/x`, 'GET', headers);
  const refused = await begin('private', {});
  assert.equal(refused.headers.get('www-authenticate'), `Bearer realm="${test.url}/token",service="${test.host}",scope="repository:private:pull,push"`);
  assert.equal((await askToken(test, [], basic('admin', 'wrong'))).status, 401);
  assert.deepEqual(codeOf(await send(`${test.url}/token?service=elsewhere:5000`, 'GET', basic('admin'))), [400, 'DENIED']);
  const granted = await askToken(test, ['repository:private:pull,push repository:other/app:pull', 'registry:catalog:*'], basic('admin'));
  assert.equal((JSON.parse(granted.text) as { scope: string }).scope, 'repository:private:pull,push repository:other/app:pull');
  const cases: [answer: Answer, expected: [number, string]][] = [
    [await read('other/app', bearer(granted)), [404, 'MANIFEST_UNKNOWN']],
    [await begin('other/app', bearer(granted)), [401, 'UNAUTHORIZED']],
    [await send(`${test.url}/v2/private/manifests/x`, 'DELETE', bearer(granted)), [401, 'UNAUTHORIZED']],
    [await read('third', bearer(granted)), [401, 'UNAUTHORIZED']],
  ];
  for (const [answer, expected] of cases) assert.deepEqual(codeOf(answer), expected);
  assert.match((await read('third', bearer(granted))).headers.get('www-authenticate') ?? '', /scope="repository:third:pull",error="insufficient_scope"$/);
  assert.equal((await begin('private', bearer(granted))).status, 202);
  assert.equal((await send(`${test.url}/v2/`, 'GET', bearer(granted))).status, 200);
  const star = await askToken(test, ['repository:private:*'], basic('admin'));
  assert.deepEqual(codeOf(await send(`${test.url}/v2/private/manifests/x`, 'DELETE', bearer(star))), [404, 'MANIFEST_UNKNOWN']);
});

test('a token gives no more than the user has, and nobody gets what everybody has', async () => {
  await using test = await openTestRegistry({ authorizer: authorizer('token') });
  const reader = await askToken(test, ['repository:private:pull,push,delete'], basic('reader'));
  assert.equal((JSON.parse(reader.text) as { scope: string }).scope, 'repository:private:pull');
  assert.deepEqual(codeOf(await send(`${test.url}/v2/private/blobs/uploads/`, 'POST', bearer(reader))), [403, 'DENIED']);
  const anonymous = await askToken(test, ['repository:public/x:pull,push', 'repository:private:pull']);
  assert.equal((JSON.parse(anonymous.text) as { scope: string }).scope, 'repository:public/x:pull');
  assert.equal((await send(`${test.url}/v2/public/x/manifests/x`, 'GET', bearer(anonymous))).status, 404);
  assert.equal((await send(`${test.url}/v2/private/manifests/x`, 'GET', bearer(anonymous))).status, 401);
  assert.equal((await send(`${test.url}/v2/`, 'GET', bearer(anonymous))).status, 401);
});

test('tokens that were changed, made elsewhere, or not signed at all are refused; good ones outlive a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-registry-'));
  const options = { authorizer: authorizer('token'), folder };
  await using other = await openTestRegistry({ authorizer: authorizer('token') });
  // Both name themselves alike, so that only the key differs.
  const headers = { host: 'registry.example' };
  const ask = async (url: string): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    httpRequest(`${url}/token?scope=repository:private:pull`, { headers: { ...headers, ...basic('admin') } }, (response) => void response.toArray().then((chunks) => resolve((JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as { token: string }).token))).end();
    return promise;
  };
  const statusWith = async (url: string, token: string): Promise<number | undefined> => {
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    httpRequest(`${url}/v2/private/manifests/x`, { headers: { ...headers, authorization: `Bearer ${token}` } }, (response) => resolve(response.resume().statusCode)).end();
    return promise;
  };
  await using test = await openTestRegistry(options);
  const token = await ask(test.url);
  const [head = '', payload = '', signature = ''] = token.split('.');
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  const more = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('"private"', '"public"')).toString('base64url');
  for (const bad of [`${head}.${more}.${signature}`, `${none}.${payload}.`, `${none}.${payload}.${signature}`, `${head}.${payload}.`, 'x', `${token}.x`, await ask(other.url)]) assert.equal(await statusWith(test.url, bad), 401, bad);
  assert.equal(await statusWith(test.url, token), 404);
  await test.restart();
  assert.equal(await statusWith(test.url, token), 404);
});

test('the token end point also takes the form of OAuth 2; the catalog shows what the user may pull', async () => {
  await using test = await openTestRegistry({ authorizer: authorizer('token') });
  for (const name of ['public/app', 'secret/app']) await putAs('admin', test.url, name);
  const post = (form: Record<string, string>): Promise<Answer> => send(`${test.url}/token`, 'POST', { 'content-type': 'application/x-www-form-urlencoded' }, new URLSearchParams({ service: test.host, ...form }).toString());
  const token = await post({ grant_type: 'password', username: 'admin', password: 'admin-secret', scope: 'repository:secret/app:pull', client_id: 'test' });
  assert.equal((await send(`${test.url}/v2/secret/app/tags/list`, 'GET', bearer(token))).status, 200);
  assert.deepEqual(codeOf(await post({ grant_type: 'refresh_token', refresh_token: 'x' })), [400, 'UNSUPPORTED']);
  assert.equal((await post({ grant_type: 'password', username: 'admin', password: 'no' })).status, 401);
  const catalog = async (user: string): Promise<unknown> => JSON.parse((await send(`${test.url}/v2/_catalog`, 'GET', basic(user))).text);
  assert.deepEqual([await catalog('admin'), await catalog('guest')], [{ repositories: ['public/app', 'secret/app'] }, { repositories: ['public/app'] }]);
});

/** An image without layers, pushed by a user. */
async function putAs(user: string, url: string, repository: string): Promise<void> {
  const digest = digestOf('{}');
  assert.equal((await send(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, 'POST', basic(user), '{}')).status, 201);
  const body = JSON.stringify({ schemaVersion: 2, config: { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: 2 }, layers: [] });
  assert.equal((await send(`${url}/v2/${repository}/manifests/v1`, 'PUT', { ...basic(user), 'content-type': mediaTypes.ociManifest }, body)).status, 201);
}

test('without TLS the registry listens on loopback only; with it everywhere', async () => {
  await using test = await openTestRegistry({ authorizer: authorizer('token') });
  for (const host of ['0.0.0.0', '::', '192.0.2.1']) await assert.rejects(test.registry.listen({ host, port: 0 }), (error) => isError(error, 'forbidden'));
  await using listening = await test.registry.listen({ host: '127.0.0.1', port: 0, tls: selfSigned() });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  httpsRequest(`${listening.url}/v2/`, { rejectUnauthorized: false }, (response) => resolve(response.resume().headers['www-authenticate'])).end();
  assert.equal(await promise, `Bearer realm="${listening.url}/token",service="${listening.host}"`);
});

/** By openssl: made by another hand than the product's. */
function selfSigned(): { cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-registry-tls-'));
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '1', '-subj', '/CN=registry'], { cwd: folder, stdio: 'pipe' });
    return { cert: readFileSync(join(folder, 'cert.pem'), 'utf8'), key: readFileSync(join(folder, 'key.pem'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
