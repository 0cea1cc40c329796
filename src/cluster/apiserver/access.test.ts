import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { request } from 'node:https';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { CertificateAuthenticator, parseTokenFile, TokenAuthenticator } from './access/authenticators.ts';
import { authenticated } from './access/user.ts';
import { openTestApiServer } from './testing/test-api-server.ts';
import { makeTestPki, type TestIdentity } from './testing/test-pki.ts';

const signal = AbortSignal.timeout(120_000);

function ask(url: string, ca: string, identity: TestIdentity | undefined, token?: string): Promise<{ code: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const asked = request(url, { ca, agent: false, headers, ...(identity === undefined ? {} : { key: identity.key, cert: identity.cert }) }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text } }));
    });
    asked.once('error', reject);
    asked.end();
  });
}

test('ApiServer lets in client certificates of its authority and known tokens, and nobody else', async () => {
  const [pki, foreign] = await Promise.all([makeTestPki(signal), makeTestPki(signal)]);
  await using server = await openTestApiServer({
    tls: { ...pki.server, clientCa: pki.ca },
    authenticators: [new CertificateAuthenticator(), new TokenAuthenticator(parseTokenFile('secret-1,alice,7,"dev,system:masters"\nsecret-2,bob,8\n', 'tokens.csv'))],
  });
  const namespaces = `${server.url}/api/v1/namespaces`;
  const mallory = await pki.issue('mallory', ['users']);
  const node = await pki.issue('system:node:n1', ['system:nodes']);
  const table: [title: string, identity: TestIdentity | undefined, token: string | undefined, code: number][] = [
    ['an administrator’s certificate', pki.admin, undefined, 200],
    ['a node’s certificate', node, undefined, 200],
    ['a certificate without rights', mallory, undefined, 403],
    ['a certificate of another authority', foreign.admin, undefined, 401],
    ['nothing', undefined, undefined, 401],
    ['a token', undefined, 'secret-1', 200],
    ['a token without rights', undefined, 'secret-2', 403],
    ['a wrong token', undefined, 'secret-3', 401],
  ];
  for (const [title, identity, token, code] of table) assert.equal((await ask(namespaces, pki.ca, identity, token)).code, code, title);
  const forbidden = await ask(namespaces, pki.ca, mallory);
  assert.equal(forbidden.body['message'], 'namespaces is forbidden: User "mallory" cannot list resource "namespaces" in API group "" at the cluster scope');
  for (const path of ['/livez', '/readyz', '/version', '/healthz']) assert.equal((await ask(server.url + path, pki.ca, undefined)).code, 200, path);
  for (const path of ['/metrics', '/api', '/openapi/v3', '/']) assert.equal((await ask(server.url + path, pki.ca, undefined)).code, 401, path);
});

test('ApiServer speaks HTTP/2 and knows the client on every stream', async () => {
  const pki = await makeTestPki(signal);
  await using server = await openTestApiServer({ tls: { ...pki.server, clientCa: pki.ca }, authenticators: [new CertificateAuthenticator()] });
  const session = connect(server.url, { ca: pki.ca, key: pki.admin.key, cert: pki.admin.cert });
  try {
    const get = (path: string): Promise<{ code: unknown; text: string }> =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': path });
        let [code, text] = [undefined as unknown, ''];
        stream.on('response', (headers) => (code = headers[':status']));
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
        stream.on('end', () => resolve({ code, text }));
        stream.on('error', reject);
      });
    const answers = await Promise.all(Array.from({ length: 20 }, () => get('/api/v1/namespaces')));
    assert.ok(answers.every(({ code, text }) => code === 200 && text.includes('NamespaceList')));
    assert.equal((await get('/api/v1/nothing')).code, 404);
  } finally {
    session.close();
  }
});

test('parseTokenFile() reads Kubernetes’ token file and names the line of a mistake', () => {
  assert.deepEqual(parseTokenFile('# comment\n\nt1,alice,1,"a,b"\nt2,bob,2,c\nt3,eve,3\n"t,4","quo""te",4\n', 'f'), [
    { token: 't1', user: authenticated('alice', '1', ['a', 'b']) },
    { token: 't2', user: authenticated('bob', '2', ['c']) },
    { token: 't3', user: authenticated('eve', '3', []) },
    { token: 't,4', user: authenticated('quo"te', '4', []) },
  ]);
  for (const [text, place] of [['t1,a,1,b,c', 'f:1:'], ['t1,a,1\n,b,2', 'f:2:'], ['t1', 'f:1:']] as const) {
    assert.throws(() => parseTokenFile(text, 'f'), (error) => isError(error, 'invalid') && error.message.startsWith(place), text);
  }
});
