import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { pollUntil, runCommand, silentLogger } from '../../kernel/mod.ts';
import { HaproxyProcess } from './haproxy-process.ts';
import type { Certificate, HttpRoute, RoutingModel, Target } from './model.ts';
import { ownLoopback } from './testing/own-loopback.ts';

const hasHaproxy = await runCommand('haproxy', ['-v'], {}, AbortSignal.timeout(10_000)).then(() => true, () => false);
const hasOpenssl = await runCommand('openssl', ['version'], {}, AbortSignal.timeout(10_000)).then(() => true, () => false);
const skip = hasHaproxy ? false : 'haproxy is not installed';
const signal = AbortSignal.timeout(300_000);

interface Reply { readonly status: number; readonly body: string; readonly headers: Record<string, string | string[] | undefined> }
interface Application extends AsyncDisposable { readonly port: number; readonly target: (weight?: number) => Target }

/** An HTTP server that says who it is and what it was asked; `Upgrade: echo` makes it an echo. */
async function openApplication(name: string): Promise<Application> {
  const server = createServer((incoming, response) => {
    response.setHeader('x-app', name);
    response.end(JSON.stringify({ name, url: incoming.url, headers: incoming.headers }));
  });
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    target: (weight = 1) => ({ service: name, weight, endpoints: [{ address: '127.0.0.1', port }] }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const address = ownLoopback();
let lastPort = 8_000;
const nextPort = (): number => ++lastPort;

function ask(port: number, path: string, headers: Record<string, string> = {}, method = 'GET', agent?: Agent): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: address, port, path, method, headers: { host: 'a.example', ...headers }, agent: agent ?? false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
      response.once('error', reject);
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

const nameIn = ({ body, status }: Reply): string => (status === 200 ? (JSON.parse(body) as { name: string }).name : String(status));
const route = (key: string, targets: Target[], more: Partial<HttpRoute> = {}): HttpRoute => ({ key, path: { type: 'Prefix', value: '/' }, targets, ...more });

let folder: string;
let haproxy: HaproxyProcess;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-haproxy-'));
  haproxy = new HaproxyProcess({ folder: join(folder, 'run'), address }, silentLogger());
});
after(async () => {
  await haproxy.stop(signal);
  await rm(folder, { recursive: true, force: true });
});

test('HAProxy routes by host, path, header and method, and rewrites', { skip }, async () => {
  await using one = await openApplication('one');
  await using two = await openApplication('two');
  const port = nextPort();
  const routes: HttpRoute[] = [
    route('exact', [two.target()], { host: 'a.example', path: { type: 'Exact', value: '/exact' } }),
    route('header', [two.target()], { host: 'a.example', headers: [{ name: 'x-version', value: 'two words' }] }),
    route('post', [two.target()], { host: 'a.example', method: 'POST' }),
    route('prefix', [two.target()], { host: 'a.example', path: { type: 'Prefix', value: '/api' }, filters: { rewritePath: { type: 'prefix', value: '/v2' }, setHeaders: [{ name: 'x-set', value: "it's 100%" }], responseSetHeaders: [{ name: 'x-answer', value: 'yes' }], removeHeaders: ['x-secret'] } }),
    route('redirect', [], { host: 'old.example', redirect: { scheme: 'https', host: 'a.example', code: 301 } }),
    route('wild', [two.target()], { host: '*.wild.example' }),
    route('rest', [one.target()], { host: 'a.example' }),
    route('empty', [{ service: 'none', weight: 1, endpoints: [] }], { host: 'empty.example' }),
    route('nobody', [], { host: 'nobody.example' }),
  ];
  await haproxy.apply({ listeners: [{ port, routes }] }, signal);
  const cases: [path: string, headers: Record<string, string>, expected: string, method?: string][] = [
    ['/', {}, 'one'],
    ['/exact', {}, 'two'],
    ['/exact/more', {}, 'one'],
    ['/api', {}, 'two'],
    ['/api/x?y=1', {}, 'two'],
    ['/apix', {}, 'one'],
    ['/', { 'x-version': 'two words' }, 'two'],
    ['/', {}, 'two', 'POST'],
    ['/', { host: 'A.EXAMPLE:80' }, 'one'],
    ['/', { host: 'x.wild.example' }, 'two'],
    ['/', { host: 'x.y.wild.example' }, '404'],
    ['/', { host: 'unknown.example' }, '404'],
    ['/', { host: 'empty.example' }, '503'],
    ['/', { host: 'nobody.example' }, '500'],
  ];
  for (const [path, headers, expected, method] of cases) assert.equal(nameIn(await ask(port, path, headers, method)), expected, `${method ?? 'GET'} ${path} ${JSON.stringify(headers)}`);
  const rewritten = await ask(port, '/api/x?y=1', { 'x-secret': '1' });
  const seen = JSON.parse(rewritten.body) as { url: string; headers: Record<string, string> };
  assert.deepEqual([seen.url, seen.headers['x-set'], seen.headers['x-secret'], seen.headers['x-forwarded-proto'], rewritten.headers['x-answer']], ['/v2/x?y=1', "it's 100%", undefined, 'http', 'yes']);
  const redirected = await ask(port, '/p/q?r=s', { host: 'old.example' });
  assert.deepEqual([redirected.status, redirected.headers['location']], [301, 'https://a.example/p/q?r=s']);
});

test('HAProxy changes endpoints and configuration without a lost request, and drains', { skip }, async () => {
  await using one = await openApplication('one');
  await using two = await openApplication('two');
  const port = nextPort();
  const model = (targets: Target[], more: HttpRoute[] = []): RoutingModel => ({ listeners: [{ port, routes: [...more, route('r', targets, { host: 'a.example' })] }] });
  await haproxy.apply(model([one.target()]), signal);
  const stop = new AbortController();
  const answers = new Map<string, number>();
  const failures: unknown[] = [];
  const agent = new Agent({ keepAlive: true });
  const load = async (own: Agent | undefined): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        const name = nameIn(await ask(port, '/', {}, 'GET', own));
        answers.set(name, (answers.get(name) ?? 0) + 1);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const runs = [load(agent), load(undefined), load(undefined)];
  const socket = connect(port, address);
  socket.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  let echoed = '';
  socket.on('data', (chunk) => (echoed += chunk.toString()));
  await pollUntil('the upgrade', () => (echoed.includes('101') ? true : undefined), { timeoutMs: 30_000 }, signal);
  const more = (count: number) => pollUntil('more answers', () => ([...answers.values()].reduce((sum, each) => sum + each, 0) >= count ? true : undefined), { timeoutMs: 30_000, intervalMs: 1 }, signal);
  for (let round = 0; round < 3; round += 1) {
    const target = [...answers.values()].reduce((sum, each) => sum + each, 0) + 50;
    await haproxy.apply(model([one.target(), two.target()]), signal);
    await haproxy.apply(model([two.target()], [route(`new-${round}`, [one.target()], { host: 'new.example' })]), signal);
    await more(target);
    await haproxy.apply(model([one.target()]), signal);
  }
  await haproxy.apply(model([two.target()]), signal);
  // Once `apply` has answered, nobody asks the old endpoint any more.
  assert.equal(nameIn(await ask(port, '/')), 'two');
  socket.write('still here');
  await pollUntil('the old connection to be served', () => (echoed.endsWith('still here') ? true : undefined), { timeoutMs: 30_000 }, signal);
  socket.destroy();
  stop.abort();
  await Promise.all(runs);
  agent.destroy();
  assert.deepEqual(failures, []);
  assert.deepEqual([...answers.keys()].toSorted(), ['one', 'two'], `nothing but answers of the applications: ${JSON.stringify([...answers])}`);
});

test('HAProxy gives each Service its share, and a later agent takes it over', { skip }, async () => {
  await using one = await openApplication('one');
  await using two = await openApplication('two');
  const port = nextPort();
  const model = (first: number, second: number): RoutingModel => ({ listeners: [{ port, routes: [route('r', [one.target(first), two.target(second)])] }] });
  const shares = async (): Promise<string> => {
    const names = await Promise.all(Array.from({ length: 40 }, async () => nameIn(await ask(port, '/'))));
    return `${names.filter((name) => name === 'one').length}/${names.filter((name) => name === 'two').length}`;
  };
  await haproxy.apply(model(75, 25), signal);
  const first = Number((await shares()).split('/')[0]);
  assert.ok(first >= 27 && first <= 33, `three quarters of 40: ${first}`);
  await haproxy.apply(model(0, 1), signal);
  assert.equal(await shares(), '0/40');
  const successor = new HaproxyProcess({ folder: join(folder, 'run'), address }, silentLogger());
  await successor.apply(model(1, 0), signal);
  assert.equal(await shares(), '40/0');
  await successor.apply({ listeners: [] }, signal);
  await assert.rejects(ask(port, '/'), 'nothing listens when there is nothing to serve');
  haproxy = new HaproxyProcess({ folder: join(folder, 'run'), address }, silentLogger());
});

test('HAProxy ends TLS by server name, and speaks HTTP/2', { skip: skip === false && hasOpenssl ? false : 'haproxy or openssl is not installed' }, async () => {
  await using one = await openApplication('one');
  const [port, tlsPort] = [nextPort(), nextPort()];
  const certificate = async (host: string): Promise<Certificate> => {
    const [key, cert] = [join(folder, `${host}.key`), join(folder, `${host}.crt`)];
    await runCommand('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`, '-days', '30', '-keyout', key, '-out', cert], {}, signal);
    const { stdout } = await runCommand('cat', [cert, key], {}, signal);
    return { key: `ns/${host}`, pem: stdout, hosts: [host] };
  };
  const routes = [route('r', [one.target()])];
  await haproxy.apply({ listeners: [{ port, routes }, { port: tlsPort, routes, certificates: [await certificate('a.example'), await certificate('b.example')] }] }, signal);
  const subject = (servername: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ host: address, port: tlsPort, servername, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.once('error', reject);
    });
  assert.deepEqual([await subject('a.example'), await subject('b.example')], ['a.example', 'b.example']);
  const session = connectHttp2(`https://${address}:${tlsPort}`, { rejectUnauthorized: false, servername: 'b.example' });
  const stream = session.request({ ':path': '/h2', ':authority': 'b.example' });
  let body = '';
  for await (const chunk of stream) body += String(chunk);
  session.close();
  const { url, headers } = JSON.parse(body) as { url: string; headers: Record<string, string> };
  assert.deepEqual([url, headers['x-forwarded-proto'], headers['host']], ['/h2', 'https', 'b.example']);
});

test('HAProxy carries HTTP/2 to applications that speak it, trailers included, and a stream through changes', { skip }, async () => {
  const streams: ServerHttp2Stream[] = [];
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
    streams.push(stream);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  await using one = await openApplication('one');
  const port = nextPort();
  const grpc: Target = { service: 'grpc', weight: 1, endpoints: [{ address: '127.0.0.1', port: (server.address() as AddressInfo).port }], isHttp2: true };
  const model = (...more: HttpRoute[]): RoutingModel => ({ listeners: [{ port, routes: [route('grpc', [grpc], { host: 'grpc.example' }), ...more] }] });
  await haproxy.apply(model(), signal);
  const session = connectHttp2(`http://${address}:${port}`);
  cleanup.defer(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': '/shop.Cart/Watch', ':authority': 'grpc.example', te: 'trailers' });
  let received = '';
  let trailers: Record<string, unknown> | undefined;
  stream.on('data', (chunk: Buffer) => (received += chunk.toString()));
  stream.on('trailers', (headers: Record<string, unknown>) => (trailers = headers));
  const echo = async (text: string): Promise<void> => {
    stream.write(text);
    await pollUntil(`the echo of ${text}`, () => (received.endsWith(text) ? true : undefined), { timeoutMs: 30_000, intervalMs: 5 }, signal);
  };
  await echo('before');
  for (let round = 0; round < 3; round += 1) {
    await haproxy.apply(model(route(`more-${round}`, [one.target()], { host: 'more.example' })), signal);
    await echo(`after ${round}`);
  }
  assert.equal(nameIn(await ask(port, '/', { host: 'more.example' })), 'one');
  stream.end();
  await pollUntil('the trailers', () => trailers, { timeoutMs: 30_000 }, signal);
  assert.deepEqual([trailers?.['grpc-status'], streams.length], ['0', 1]);
});
