import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { mediaTypes, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { RegistryCredentials } from '../ports.ts';
import { openRegistryClient } from './client.ts';
import { DockerConfigCredentials } from './docker-config.ts';

const signal = new AbortController().signal;
const base64 = (value: string): string => Buffer.from(value).toString('base64');

interface Setup extends Disposable { readonly folder: string; readonly credentials: DockerConfigCredentials }

/** A configuration file, and a helper `docker-credential-test` on PATH that knows some servers and notes what it is asked. */
function setUp(config: unknown): Setup {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-docker-config-'));
  writeFileSync(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  const helper = join(folder, 'docker-credential-test');
  writeFileSync(helper, `#!/bin/sh
read -r server
echo "$1 $server" >> ${folder}/asked
case "$server" in
  helper.example|https://index.docker.io/v1/) echo '{"ServerURL":"x","Username":"from-helper","Secret":"s1"}' ;;
  token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"refresh-1"}' ;;
  broken.example) echo 'vault is sealed'; exit 3 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`);
  chmodSync(helper, 0o755);
  const path = process.env['PATH'];
  process.env['PATH'] = `${folder}:${path ?? ''}`;
  return {
    folder,
    credentials: new DockerConfigCredentials(join(folder, 'config.json')),
    [Symbol.dispose]: () => {
      process.env['PATH'] = path;
      rmSync(folder, { recursive: true });
    },
  };
}

test('DockerConfigCredentials reads auths in every form clients write', async () => {
  using setup = setUp({
    auths: {
      'https://index.docker.io/v1/': { auth: base64('hub:pass:word') },
      'registry.example:5000': { username: 'u', password: 'p' },
      'https://other.example/v2/': { auth: base64('u2:p2') },
      'identity.example': { auth: base64('00000000-0000-0000-0000-000000000000:'), identitytoken: 'refresh' },
      'empty.example': {},
    },
  });
  const cases: [string, RegistryCredentials | undefined][] = [
    ['docker.io', { username: 'hub', password: 'pass:word' }],
    ['registry.example:5000', { username: 'u', password: 'p' }],
    ['registry.example', undefined],
    ['other.example', { username: 'u2', password: 'p2' }],
    ['identity.example', { username: '00000000-0000-0000-0000-000000000000', password: '', identityToken: 'refresh' }],
    ['empty.example', undefined],
  ];
  for (const [host, expected] of cases) assert.deepEqual(await setup.credentials.find(host, signal), expected, host);
});

test('DockerConfigCredentials asks the helper of the host, else the store, else reads auths', async () => {
  using setup = setUp({ auths: { 'plain.example': { auth: base64('u:p') } }, credHelpers: { 'helper.example': 'test', 'gone.example': 'is-not-there' }, credsStore: 'test' });
  const { credentials } = setup;
  assert.deepEqual(await credentials.find('helper.example', signal), { username: 'from-helper', password: 's1' });
  assert.deepEqual(await credentials.find('docker.io', signal), { username: 'from-helper', password: 's1' });
  assert.deepEqual(await credentials.find('token.example', signal), { username: '<token>', password: '', identityToken: 'refresh-1' });
  assert.deepEqual(await credentials.find('plain.example', signal), { username: 'u', password: 'p' });
  assert.equal(await credentials.find('nobody.example', signal), undefined);
  await assert.rejects(credentials.find('broken.example', signal), (error) => isError(error, 'unavailable') && error.message.includes('vault is sealed'));
  await assert.rejects(credentials.find('gone.example', signal), (error) => isError(error, 'unavailable'));
  assert.deepEqual(readFileSync(join(setup.folder, 'asked'), 'utf8').split('\n').slice(0, 2), ['get helper.example', 'get https://index.docker.io/v1/']);
});

test('DockerConfigCredentials: no file means nobody; a damaged one is an error that quotes nothing', async () => {
  assert.equal(await new DockerConfigCredentials('/nowhere/config.json').find('a.example', signal), undefined);
  using damaged = setUp('{"auths": secret');
  await assert.rejects(damaged.credentials.find('a.example', signal), (error) => isError(error, 'invalid') && !error.message.includes('secret'));
  using wrong = setUp({ credHelpers: { 'a.example': '../../bin/sh' } });
  await assert.rejects(wrong.credentials.find('a.example', signal), (error) => isError(error, 'invalid'));
});

test('an identity token is traded for an access token; a registry token is shown as it is', async () => {
  const forms: Record<string, string>[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const origin = `http://${request.headers.host ?? ''}`;
    if (request.url === '/token' && request.method === 'POST') {
      return void text(request).then((body) => {
        forms.push(Object.fromEntries(new URLSearchParams(body)));
        response.end(JSON.stringify({ access_token: 'access-1', expires_in: 300 }));
      });
    }
    if (!['Bearer access-1', 'Bearer given'].includes(request.headers.authorization ?? '')) return void response.writeHead(401, { 'www-authenticate': `Bearer realm="${origin}/token",service="reg"` }).end();
    response.writeHead(200, { 'content-type': mediaTypes.ociIndex }).end(JSON.stringify({ schemaVersion: 2, manifests: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await using client = openRegistryClient();
    const reference = parseImageReference(`127.0.0.1:${(server.address() as AddressInfo).port}/team/app:1`);
    await client.fetchManifest(reference, { username: '<token>', password: '', identityToken: 'refresh-9' }, signal);
    assert.deepEqual(forms, [{ grant_type: 'refresh_token', client_id: 'gantry', refresh_token: 'refresh-9', service: 'reg', scope: 'repository:team/app:pull' }]);
    await client.fetchManifest(reference, { username: '', password: '', registryToken: 'given' }, signal);
    await assert.rejects(client.fetchManifest(reference, { username: '', password: '', registryToken: 'wrong' }, signal), (error) => isError(error, 'unauthenticated'));
    assert.equal(forms.length, 1);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
