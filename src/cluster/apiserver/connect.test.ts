import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { GantryError } from '../../kernel/mod.ts';
import { CertificateAuthenticator } from './access/authenticators.ts';
import type { NodeDialer } from './ports.ts';
import { type ApiCaller, apiCaller, at } from './testing/api-caller.ts';
import { openTestApiServer, testToken } from './testing/test-api-server.ts';
import { makeTestPki } from './testing/test-pki.ts';

const pods = '/api/v1/namespaces/default/pods';

/** An agent that answers logs with what it was asked, and echoes what a WebSocket sends. */
class EchoAgent implements AsyncDisposable {
  readonly asked: IncomingMessage[] = [];
  readonly dialer: NodeDialer;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  isDown = false;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.asked.push(request);
      if (request.url?.includes('missing') === true) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('no such log\n');
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('line 1\n');
      response.end('line 2\n');
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.asked.push(request);
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
      });
    });
    this.dialer = {
      connect: async (nodeName) => {
        if (this.isDown || nodeName !== 'n1') throw new GantryError('unavailable', `the agent of node ${nodeName} does not answer`);
        return connect((this.#server.address() as AddressInfo).port, '127.0.0.1');
      },
    };
  }

  static async open(): Promise<EchoAgent> {
    const agent = new EchoAgent();
    await new Promise<void>((resolve) => agent.#server.listen(0, '127.0.0.1', resolve));
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function makePod(call: ApiCaller, name: string, containers: string[], node?: string): Promise<void> {
  await call('POST', pods, { metadata: { name }, spec: { containers: containers.map((container) => ({ name: container, image: 'x' })), ...(node === undefined ? {} : { nodeName: node }) } });
}

test('pods/log is streamed from the agent of the pod’s node', async () => {
  await using agent = await EchoAgent.open();
  await using server = await openTestApiServer({ dialer: agent.dialer });
  const call = apiCaller(server);
  await makePod(call, 'a', ['c'], 'n1');
  await makePod(call, 'two', ['x', 'y'], 'n1');
  await makePod(call, 'waiting', ['c']);
  await makePod(call, 'lost', ['c'], 'n2');
  const log = await call('GET', `${pods}/a/log?tailLines=5&follow=true`);
  assert.deepEqual([log.code, log.text, log.headers.get('content-type')], [200, 'line 1\nline 2\n', 'text/plain']);
  assert.equal(agent.asked[0]?.url, '/containerLogs/default/a/c?tailLines=5&follow=true');
  assert.equal(agent.asked[0]?.headers.authorization, undefined, 'the user’s token stays here');
  assert.equal((await call('GET', `${pods}/two/log?container=y`)).code, 200);
  assert.equal(agent.asked[1]?.url, '/containerLogs/default/two/y');
  const table: [path: string, code: number, message: RegExp][] = [
    [`${pods}/two/log`, 400, /a container name must be specified for pod two, choose one of: \[x y\]/],
    [`${pods}/two/log?container=z`, 400, /container z is not valid for pod two/],
    [`${pods}/waiting/log`, 400, /pod waiting does not have a host assigned/],
    [`${pods}/lost/log`, 503, /the agent of node n2 does not answer/],
    [`${pods}/none/log`, 404, /pods "none" not found/],
    [`${pods}/a/log?missing=1`, 404, /^no such log$/],
    [`${pods}/a/exec?command=x`, 400, /Upgrade request required/],
  ];
  for (const [path, code, message] of table) {
    const answer = await call('GET', path);
    assert.deepEqual([answer.code, message.test(String(answer.body['message']))], [code, true], `${path}: ${answer.text}`);
  }
});

test('pods/exec tunnels a WebSocket to the agent, also through TLS', async () => {
  const pki = await makeTestPki(AbortSignal.timeout(60_000));
  await using agent = await EchoAgent.open();
  await using server = await openTestApiServer({ dialer: agent.dialer, tls: { ...pki.server, clientCa: pki.ca }, authenticators: [new CertificateAuthenticator()] });
  const identity = { ca: pki.ca, key: pki.admin.key, cert: pki.admin.cert };
  const { machine } = server.server;
  const kind = machine.kinds.find('', 'v1', 'pods');
  assert.ok(kind);
  const { createObject } = await import('./operations/create.ts');
  await createObject(machine, kind, 'default', { metadata: { name: 'a' }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }] } }, { dryRun: false, fieldValidation: 'Strict', fieldManager: 'test', warnings: [] });
  const url = `${server.url.replace('https', 'wss')}${pods}/a/exec?command=sh&command=-c&stdin=true&container=c`;
  const socket = new WebSocket(url, ['v5.channel.k8s.io'], identity);
  const payload = Buffer.alloc(300_000, 7);
  const echoed = await new Promise<Buffer>((resolve, reject) => {
    socket.once('open', () => socket.send(payload));
    socket.once('message', (data: Buffer) => resolve(data));
    socket.once('error', reject);
  });
  assert.ok(echoed.equals(payload));
  assert.equal(agent.asked[0]?.url, '/exec/default/a/c?command=sh&command=-c&stdin=true');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.close();
  await closed;
  const code = await new Promise((resolve, reject) => {
    const refused = new WebSocket(url.replace('/a/', '/b/'), ['v5.channel.k8s.io'], identity);
    refused.once('unexpected-response', (_request, response) => resolve(response.statusCode));
    refused.once('error', reject);
  });
  assert.equal(code, 404);
});

test('an upgrade without a known user is refused', async () => {
  await using agent = await EchoAgent.open();
  await using server = await openTestApiServer({ dialer: agent.dialer });
  await makePod(apiCaller(server), 'a', ['c'], 'n1');
  const upgrade = (token: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(server.url + path, { headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', authorization: `Bearer ${token}` } });
      request.once('response', (response) => resolve(response.statusCode ?? 0));
      request.once('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode ?? 0);
      });
      request.once('error', reject);
      request.end();
    });
  assert.equal(await upgrade('wrong', `${pods}/a/exec?command=x`), 401);
  assert.equal(await upgrade(testToken, `${pods}/a/nothing`), 404);
  assert.equal(await upgrade(testToken, `${pods}/a/exec?command=x`), 101);
  agent.isDown = true;
  assert.equal(await upgrade(testToken, `${pods}/a/exec?command=x`), 503);
});

test('further subresources can be tunnelled by a table', async () => {
  await using agent = await EchoAgent.open();
  const connects = [{ group: '', plural: 'configmaps', name: 'log', optionsKind: 'ConfigMap', verbs: ['get'], target: ({ metadata }: { metadata: { name: string } }) => ({ nodeName: 'n1', path: `/mapLogs/${metadata.name}` }) }];
  await using server = await openTestApiServer({ dialer: agent.dialer, connects });
  const call = apiCaller(server);
  await call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' } });
  assert.equal((await call('GET', '/api/v1/namespaces/default/configmaps/a/log')).text, 'line 1\nline 2\n');
  assert.equal(agent.asked[0]?.url, '/mapLogs/a');
  const { body } = await call('GET', '/api/v1');
  assert.ok((body['resources'] as unknown[]).some((resource) => at(resource, 'name') === 'configmaps/log'));
});

test('metrics.k8s.io shows the use of what exists', async () => {
  const time = '2026-01-01T00:00:00Z';
  const metrics = {
    nodes: async () => [{ name: 'n1', time, windowMs: 15_000, cpuNanocores: 250_000_000n, memoryBytes: 2 << 20 }],
    pods: async () => ['a', 'gone'].map((name) => ({ namespace: 'default', name, time, windowMs: 15_000, containers: [{ name: 'c', cpuNanocores: 5n, memoryBytes: 1500 }] })),
  };
  await using server = await openTestApiServer({ metrics });
  const call = apiCaller(server);
  await makePod(call, 'a', ['c']);
  await call('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  const list = await call('GET', '/apis/metrics.k8s.io/v1beta1/pods');
  assert.deepEqual([list.body['kind'], (list.body['items'] as unknown[]).length], ['PodMetricsList', 1]);
  assert.deepEqual(at(list.body, 'items.0.containers'), [{ name: 'c', usage: { cpu: '5n', memory: '2Ki' } }]);
  const node = await call('GET', '/apis/metrics.k8s.io/v1beta1/nodes/n1');
  assert.deepEqual([node.body['usage'], node.body['window']], [{ cpu: '250000000n', memory: '2Mi' }, '15s']);
  assert.equal((await call('GET', '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/gone')).code, 404);
});
