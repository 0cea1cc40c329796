import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { resources } from '../api/mod.ts';
import { type ErrorCode, GantryError, isError } from '../kernel/mod.ts';
import { decodeRemoteFrame, encodeRemoteData, encodeRemoteResult, remoteCommandProtocol } from '../wire/mod.ts';
import type { KubeClient } from './client.ts';
import { openKubeClient } from './kube-client.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A client for an HTTP server whose answers the test writes: what is tested is the protocol on the wire. */
async function clientOf(context: TestContext, handler: Handler, onExec?: (socket: WebSocket, url: string) => void): Promise<KubeClient> {
  const server = createServer((request, response) => void text(request).then((body) => handler(request, response, body)));
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => remoteCommandProtocol });
  if (onExec !== undefined) {
    server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, (webSocket) => onExec(webSocket, request.url ?? '')));
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = openKubeClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`, token: 't0p' });
  context.after(async () => {
    await client[Symbol.asyncDispose]();
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

function answer(response: ServerResponse, code: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

const never = new AbortController().signal;

test('KubeClient calls the right path with the right body', async (context) => {
  const seen: unknown[] = [];
  const client = await clientOf(context, (request, response, body) => {
    seen.push([request.method, request.url, request.headers['content-type'], body === '' ? undefined : (JSON.parse(body) as unknown)]);
    assert.equal(request.headers.authorization, 'Bearer t0p');
    answer(response, 200, { metadata: { resourceVersion: '1' }, items: [{ metadata: { name: 'a' } }] });
  });
  const pod = { namespace: 'n', name: 'p' };
  await client.get(resources.deployments, pod, never);
  const list = await client.list(resources.pods, { labelSelector: 'a=b,c!=d' }, never);
  await client.create(resources.namespaces, { metadata: { name: 'x' } }, never);
  await client.updateStatus(resources.pods, { metadata: pod, status: { phase: 'Running' } }, never);
  await client.patch(resources.deployments, pod, { type: 'strategic', body: { a: 1 }, subresource: 'scale', fieldManager: 'me' }, never);
  await client.delete(resources.pods, pod, { gracePeriodSeconds: 0 }, never);
  assert.deepEqual(seen, [
    ['GET', '/base/apis/apps/v1/namespaces/n/deployments/p', undefined, undefined],
    ['GET', '/base/api/v1/pods?labelSelector=a%3Db%2Cc%21%3Dd', undefined, undefined],
    ['POST', '/base/api/v1/namespaces', 'application/json', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } }],
    ['PUT', '/base/api/v1/namespaces/n/pods/p/status', 'application/json', { apiVersion: 'v1', kind: 'Pod', metadata: pod, status: { phase: 'Running' } }],
    ['PATCH', '/base/apis/apps/v1/namespaces/n/deployments/p/scale?fieldManager=me', 'application/strategic-merge-patch+json', { a: 1 }],
    ['DELETE', '/base/api/v1/namespaces/n/pods/p', 'application/json', { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 }],
  ]);
  assert.deepEqual([list.items[0]?.apiVersion, list.items[0]?.kind], ['v1', 'Pod']);
});

test('KubeClient refuses what has no name or namespace before asking the server', async (context) => {
  const client = await clientOf(context, () => assert.fail('no request expected'));
  await assert.rejects(client.get(resources.pods, { name: 'p' }, never), (error) => isError(error, 'invalid'));
  await assert.rejects(client.create(resources.pods, { metadata: { name: 'p' } }, never), (error) => isError(error, 'invalid'));
  await assert.rejects(client.get(resources.nodes, { name: '' }, never), (error) => isError(error, 'invalid'));
});

test('KubeClient maps failed answers to error codes', async (context) => {
  const cases: [number, object, Record<string, string>, ErrorCode][] = [
    [404, { kind: 'Status', reason: 'NotFound', message: 'pods "p" not found' }, {}, 'not-found'],
    [409, { kind: 'Status', reason: 'AlreadyExists' }, {}, 'already-exists'],
    [409, { kind: 'Status', reason: 'Conflict' }, {}, 'conflict'],
    [410, { kind: 'Status', reason: 'Expired' }, {}, 'conflict'],
    [422, { kind: 'Status', reason: 'Invalid', details: { causes: [{ field: 'spec.x', message: 'bad', reason: 'FieldValueInvalid' }] } }, {}, 'invalid'],
    [429, { kind: 'Status', reason: 'TooManyRequests' }, { 'retry-after': '7' }, 'exhausted'],
    [403, { kind: 'Status', reason: 'Forbidden' }, {}, 'forbidden'],
    [503, {}, {}, 'unavailable'],
    [500, {}, {}, 'internal'],
  ];
  let current = cases[0];
  const client = await clientOf(context, (_request, response) => {
    if (current !== undefined) answer(response, current[0], current[1], current[2]);
  });
  for (current of cases) {
    const error = await client.get(resources.pods, { namespace: 'n', name: 'p' }, never).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof GantryError, 'a GantryError is thrown');
    assert.equal(error.code, current[3], JSON.stringify(current));
    if (current[0] === 422) assert.deepEqual(error.places, [{ field: 'spec.x', message: 'bad', reason: 'FieldValueInvalid' }]);
    if (current[0] === 429) assert.equal(error.retryAfterMs, 7000);
  }
  current = [404, {}, {}, 'not-found'];
  await client.delete(resources.pods, { namespace: 'n', name: 'p' }, {}, never);
});

test('KubeClient calls an unreachable server unavailable and an abort cancelled', async (context) => {
  await using closed = openKubeClient({ server: 'http://127.0.0.1:1' });
  await assert.rejects(closed.list(resources.pods, {}, never), (error) => isError(error, 'unavailable'));
  const client = await clientOf(context, () => undefined);
  const controller = new AbortController();
  const pending = client.list(resources.pods, {}, controller.signal);
  controller.abort();
  await assert.rejects(pending, (error) => isError(error, 'cancelled'));
});

test('watch() yields events as their lines complete and throws ERROR events', async (context) => {
  const lines = [
    '{"type":"ADDED","object":{"metadata":{"name":"å","resourceVersion":"1"}}}\n',
    '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}\n',
    '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
  ];
  const bytes = Buffer.from(lines.join(''));
  const cut = bytes.indexOf(Buffer.from('å')) + 1;
  const client = await clientOf(context, (request, response) => {
    assert.match(request.url ?? '', /watch=true&allowWatchBookmarks=true&resourceVersion=9/);
    response.write(bytes.subarray(0, cut), () => response.end(bytes.subarray(cut)));
  });
  const seen: unknown[] = [];
  const error = await (async () => {
    for await (const event of client.watch(resources.pods, { resourceVersion: '9' }, never)) seen.push(event);
  })().catch((thrown: unknown) => thrown);
  assert.deepEqual(seen, [
    { type: 'ADDED', object: { metadata: { name: 'å', resourceVersion: '1' } } },
    { type: 'BOOKMARK', resourceVersion: '5' },
  ]);
  assert.ok(isError(error, 'conflict') && error.details['reason'] === 'Expired');
});

test('watch() closes its connection when aborted and when left early', async (context) => {
  const closed: Promise<unknown>[] = [];
  const client = await clientOf(context, (_request, response) => {
    closed.push(once(response, 'close'));
    response.write('{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}\n');
  });
  const controller = new AbortController();
  await assert.rejects(
    (async () => {
      for await (const event of client.watch(resources.pods, { resourceVersion: '1' }, controller.signal)) controller.abort(event);
    })(),
    (error) => isError(error, 'cancelled'),
  );
  for await (const event of client.watch(resources.pods, { resourceVersion: '1' }, never)) if (event.type === 'ADDED') break;
  await Promise.all(closed);
  assert.equal(closed.length, 2);
});

test('logs() streams what the server sends', async (context) => {
  const client = await clientOf(context, (request, response) => response.end(request.url));
  const body = await client.logs({ namespace: 'n', name: 'p' }, { container: 'c', follow: true, tailLines: 3 }, never);
  assert.equal(await text(body), '/base/api/v1/namespaces/n/pods/p/log?container=c&follow=true&tailLines=3');
});

test('exec() feeds stdin, delivers output under backpressure and reads the exit code', async (context) => {
  const received: Buffer[] = [];
  const client = await clientOf(context, () => undefined, (socket, url) => {
    assert.equal(url, '/base/api/v1/namespaces/n/pods/p/exec?container=c&command=cat&command=-&stdin=true&stdout=true&stderr=true');
    socket.on('message', (message: Buffer) => {
      const frame = decodeRemoteFrame(message);
      if (frame.type === 'data') return void received.push(frame.payload);
      const all = Buffer.concat(received);
      for (let start = 0; start < all.length; start += 100_000) socket.send(encodeRemoteData('stdout', all.subarray(start, start + 100_000)));
      socket.send(encodeRemoteData('stderr', Buffer.from('warned')));
      socket.send(encodeRemoteResult({ exitCode: 3 }));
      socket.close();
    });
  });
  const sent = Buffer.alloc(3_000_000, 'abcdefg');
  const output: Buffer[] = [];
  const slow = new Writable({ highWaterMark: 1, write: (chunk: Buffer, _encoding, done) => setImmediate(() => { output.push(chunk); done(); }) });
  const stderr = new PassThrough();
  const result = await client.exec({ namespace: 'n', name: 'p' }, { container: 'c', command: ['cat', '-'], stdin: Readable.from([sent.subarray(0, 1_000_000), sent.subarray(1_000_000)]), stdout: slow, stderr }, never);
  await new Promise<void>((resolve) => slow.end(resolve));
  assert.deepEqual(result, { exitCode: 3 });
  assert.ok(Buffer.concat(output).equals(sent), 'all bytes came back');
  assert.equal(String(stderr.read()), 'warned');
});

test('exec() reports a refusal, a broken connection and an abort by their codes', async (context) => {
  const refusing = await clientOf(context, (_request, response) => answer(response, 404, { kind: 'Status', reason: 'NotFound', message: 'no pod p' }));
  const options = { container: 'c', command: ['true'] };
  const pod = { namespace: 'n', name: 'p' };
  await assert.rejects(refusing.exec(pod, options, never), (error) => isError(error, 'not-found'));
  const breaking = await clientOf(context, () => undefined, (socket) => socket.terminate());
  await assert.rejects(breaking.exec(pod, options, never), (error) => isError(error, 'unavailable'));
  const controller = new AbortController();
  const hanging = await clientOf(context, () => undefined, () => controller.abort());
  await assert.rejects(hanging.exec(pod, options, controller.signal), (error) => isError(error, 'cancelled'));
});
