import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gatewayDefinitions, type gatewayApi, type k8s, resources } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { isError, pollUntil, runCommand, runServices, silentLogger } from '../../kernel/mod.ts';
import { openTestApiServer } from '../apiserver/testing/test-api-server.ts';
import { HaproxyProcess } from './haproxy-process.ts';
import { IngressProxy } from './ingress-proxy.ts';
import { ownLoopback } from './testing/own-loopback.ts';
import { openTestApplication, type Seen } from './testing/test-application.ts';

const programs = await Promise.all([['haproxy', '-v'], ['openssl', 'version']].map(([program = '', flag = '']) => runCommand(program, [flag], {}, AbortSignal.timeout(10_000)).then(() => true, () => false)));
const skip = programs.every(Boolean) ? false : 'haproxy or openssl is not installed';
const address = ownLoopback();
const [http, https] = [8_081, 8_444];
const waiting = { timeoutMs: 30_000, intervalMs: 10 };

interface Reply { readonly status: number; readonly headers: Record<string, string | string[] | undefined>; readonly seen?: Seen }

function ask(host: string, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: address, port: http, path, method, headers: { host, ...headers }, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, ...(response.headers['x-app'] === undefined || body === '' ? {} : { seen: JSON.parse(body) as Seen }) }));
      response.once('error', reject);
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** An API server with the Gateway API, the proxy, and Services `one`, `two` (in `shop`) and `far` (in `vault`) with an application each. */
async function openCluster(t: TestContext, cleanup: AsyncDisposableStack): Promise<{ client: KubeClient; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-gateway-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  cleanup.defer(() => new HaproxyProcess({ folder: join(folder, 'run') }, silentLogger()).stop(AbortSignal.timeout(30_000)));
  const api = cleanup.use(await openTestApiServer());
  const client = cleanup.use(openKubeClient(api.connection));
  for (const definition of gatewayDefinitions) await client.create(resources.customResourceDefinitions, definition, t.signal);
  for (const [namespace, team] of [['shop', 'blue'], ['vault', 'blue'], ['attic', 'red']] as const) await client.create<k8s.Namespace>(resources.namespaces, { metadata: { name: namespace, labels: { team } } }, t.signal);
  for (const [namespace, name] of [['shop', 'one'], ['shop', 'two'], ['vault', 'far']] as const) {
    const { port } = cleanup.use(await openTestApplication(name));
    await client.create<k8s.Service>(resources.services, { metadata: { namespace, name }, spec: { ports: [{ port: 80 }] } }, t.signal);
    const endpoints = [{ addresses: ['127.0.0.1'], conditions: { ready: true } }];
    await client.create<k8s.EndpointSlice>(resources.endpointSlices, { metadata: { namespace, name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } }, addressType: 'IPv4', ports: [{ name: '', port, protocol: 'TCP' }], endpoints }, t.signal);
  }
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const proxy = new IngressProxy(client, informers, { folder: join(folder, 'run'), addresses: [address], bindAddress: address }, silentLogger());
  const run = runServices([[informers, proxy]], silentLogger(), stop.signal);
  cleanup.defer(async () => {
    stop.abort();
    await run;
  });
  await client.create<gatewayApi.GatewayClass>(resources.gatewayClasses, { metadata: { name: 'haproxy' }, spec: { controllerName: 'gantry.dev/haproxy' } }, t.signal);
  return { client, folder };
}

type Rule = gatewayApi.HTTPRouteRule;
const to = (name: string, more: Partial<gatewayApi.BackendReference> = {}): gatewayApi.BackendReference => ({ name, port: 80, ...more });
const rewrite = (path: gatewayApi.PathModifier, hostname?: string): gatewayApi.HTTPRouteFilter => ({ type: 'URLRewrite', urlRewrite: { path, ...(hostname === undefined ? {} : { hostname }) } });
const prefix = (value: string): Rule['matches'] => [{ path: { type: 'PathPrefix', value } }];
const redirect = (requestRedirect: gatewayApi.HTTPRouteFilter['requestRedirect']): Rule['filters'] => [{ type: 'RequestRedirect', requestRedirect }];

const rules: Rule[] = [
  { matches: [{ headers: [{ name: 'X-Version', value: 'v1, v2' }] }, { headers: [{ type: 'RegularExpression', name: 'x-version', value: 'beta-[0-9]+' }] }], backendRefs: [to('two')] },
  { matches: [{ queryParams: [{ name: 'animal', value: 'blue whale' }] }, { queryParams: [{ type: 'RegularExpression', name: 'animal', value: 'cat|dog' }] }], backendRefs: [to('two')] },
  { matches: [{ path: { type: 'RegularExpression', value: '/v[0-9]+/items(/.*)?' } }], backendRefs: [to('two')] },
  { matches: [{ path: { type: 'PathPrefix', value: '/post' }, method: 'POST' }], backendRefs: [to('two')] },
  {
    matches: prefix('/headers'),
    filters: [
      { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'X-Set', value: "it's 100%" }], add: [{ name: 'X-Add', value: 'more' }], remove: ['X-Remove'] } },
      { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'X-App', value: 'hidden' }], add: [{ name: 'X-Added', value: '$HOME #1' }], remove: ['X-Internal'] } },
    ],
    backendRefs: [to('one')],
  },
  { matches: prefix('/rewrite'), filters: [rewrite({ type: 'ReplacePrefixMatch', replacePrefixMatch: '/new/' }, 'inner.example')], backendRefs: [to('one')] },
  { matches: prefix('/strip'), filters: [rewrite({ type: 'ReplacePrefixMatch', replacePrefixMatch: '/' })], backendRefs: [to('one')] },
  { matches: prefix('/full'), filters: [rewrite({ type: 'ReplaceFullPath', replaceFullPath: '/a%20b' })], backendRefs: [to('one')] },
  { matches: prefix('/slow'), timeouts: { request: '10s', backendRequest: '200ms' }, backendRefs: [to('one')] },
  { matches: prefix('/half'), backendRefs: [to('one', { weight: 1 }), to('nobody', { weight: 1 })] },
  { matches: prefix('/nothing'), backendRefs: [to('one', { weight: 0 })] },
  { matches: prefix('/far'), backendRefs: [to('far', { namespace: 'vault' })] },
  { backendRefs: [to('one')] },
];
const redirects: Rule[] = [
  { matches: prefix('/secure'), filters: redirect({ scheme: 'https' }) },
  { matches: prefix('/port'), filters: redirect({ scheme: 'http', port: 80, statusCode: 301 }) },
  { matches: prefix('/other'), filters: redirect({ hostname: 'b.example', port: 8_888, statusCode: 307 }) },
  { matches: prefix('/old'), filters: redirect({ path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' }, statusCode: 308 }) },
  { matches: prefix('/all'), filters: redirect({ path: { type: 'ReplaceFullPath', replaceFullPath: '/index.html' }, statusCode: 303 }) },
];

test('a Gateway does what its HTTPRoutes say, with real requests', { skip }, async (t) => {
  await using cleanup = new AsyncDisposableStack();
  const { client } = await openCluster(t, cleanup);
  const route = (name: string, hostnames: string[], own: Rule[], sectionName: string, namespace = 'shop'): Promise<unknown> =>
    client.create<gatewayApi.HTTPRoute>(resources.httpRoutes, { metadata: { namespace, name }, spec: { parentRefs: [{ name: 'front', namespace: 'shop', sectionName }], hostnames, rules: own } }, t.signal);
  await client.create<gatewayApi.Gateway>(resources.gateways, { metadata: { namespace: 'shop', name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [{ name: 'web', port: http, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { team: 'blue' } } } } }, { name: 'inner', port: http, protocol: 'HTTP', hostname: '*.inner.example' }] } }, t.signal);
  await route('main', ['a.example'], rules, 'web');
  await route('moved', ['b.example'], redirects, 'web');
  await route('wild', ['*.w.example', 'x.inner.example'], [{ backendRefs: [to('two')] }], 'web');
  await route('vault', ['vault.example'], [{ backendRefs: [to('far')] }], 'web', 'vault');
  await route('attic', ['attic.example'], [{ backendRefs: [to('far', { namespace: 'vault' })] }], 'web', 'attic');
  await route('inner', [], [{ matches: [{ path: { type: 'Exact', value: '/here' } }], backendRefs: [to('one')] }], 'inner');
  await pollUntil('every route to be answered', async () => ((await client.list(resources.httpRoutes, {}, t.signal)).items.every(({ status }) => status !== undefined) ? true : undefined), waiting, t.signal);

  const cases: [host: string, path: string, headers: Record<string, string>, expected: string, method?: string][] = [
    ['a.example', '/', {}, 'one /'],
    ['a.example', '/', { 'x-version': 'v1, v2' }, 'two /'],
    ['a.example', '/', { 'x-version': 'v1' }, 'one /'],
    ['a.example', '/', { 'x-version': 'beta-12' }, 'two /'],
    ['a.example', '/', { 'x-version': 'beta-12x' }, 'one /'],
    ['a.example', '/?animal=blue%20whale', {}, 'two /?animal=blue%20whale'],
    ['a.example', '/?size=1&animal=dog', {}, 'two /?size=1&animal=dog'],
    ['a.example', '/?animal=dogs', {}, 'one /?animal=dogs'],
    ['a.example', '/v12/items/3', {}, 'two /v12/items/3'],
    ['a.example', '/v12/itemsx', {}, 'one /v12/itemsx'],
    ['a.example', '/post', {}, 'two /post', 'POST'],
    ['a.example', '/post', {}, 'one /post'],
    ['a.example', '/rewrite/x?y=z', {}, 'one /new/x?y=z'],
    ['a.example', '/rewrite', {}, 'one /new'],
    ['a.example', '/rewrite/', {}, 'one /new/'],
    ['a.example', '/rewritten', {}, 'one /rewritten'],
    ['a.example', '/strip/x/y', {}, 'one /x/y'],
    ['a.example', '/strip', {}, 'one /'],
    ['a.example', '/full/x?y=z', {}, 'one /a%20b?y=z'],
    ['a.example', '/slow/0', {}, 'one /slow/0'],
    ['a.example', '/slow/20000', {}, '504'],
    ['a.example', '/nothing', {}, '500'],
    ['a.example', '/far', {}, '500'],
    ['x.y.w.example', '/', {}, 'two /'],
    ['w.example', '/', {}, '404'],
    ['vault.example', '/', {}, 'far /'],
    ['attic.example', '/', {}, '404'],
    ['x.inner.example', '/here', {}, 'one /here'],
    ['x.inner.example', '/', {}, '404'],
  ];
  for (const [host, path, headers, expected, method] of cases) {
    const { status, seen } = await ask(host, path, headers, method);
    assert.equal(seen === undefined ? String(status) : `${seen.name} ${seen.url}`, expected, `${method ?? 'GET'} ${host}${path} ${JSON.stringify(headers)}`);
  }
  const statuses = await Promise.all(Array.from({ length: 60 }, async () => (await ask('a.example', '/half')).status));
  const lost = statuses.filter((status) => status === 500).length;
  assert.equal(statuses.filter((status) => status === 200).length + lost, 60);
  assert.ok(lost > 5 && lost < 55, `half of the requests are for a Service that does not exist: ${lost} of 60`);
  assert.equal((await ask('a.example', '/rewrite')).seen?.host, 'inner.example');
  // The response says another name than the application did, so the request's headers are read from an echo of the body.
  const changed = await ask('a.example', '/headers', { 'x-add': 'some', 'x-remove': 'me' });
  const { 'x-set': set, 'x-add': added, 'x-remove': removed } = changed.seen?.headers ?? {};
  assert.deepEqual([set, added, removed], ["it's 100%", 'some, more', undefined]);
  assert.deepEqual([changed.headers['x-app'], changed.headers['x-added'], changed.headers['x-internal']], ['hidden', '$HOME #1', undefined]);

  const locations: [path: string, status: number, location: string][] = [
    ['/secure/x?y=z', 302, 'https://b.example/secure/x?y=z'],
    ['/port', 301, 'http://b.example/port'],
    ['/other', 307, 'http://b.example:8888/other'],
    ['/old/x', 308, `http://b.example:${http}/new/x`],
    ['/old', 308, `http://b.example:${http}/new`],
    ['/all/x?y', 303, `http://b.example:${http}/index.html?y`],
  ];
  for (const [path, status, location] of locations) {
    const reply = await ask('b.example', path);
    assert.deepEqual([reply.status, reply.headers.location], [status, location], path);
  }

  const told = async (name: string, namespace = 'shop'): Promise<string> => ((await client.get(resources.httpRoutes, { namespace, name }, t.signal)).status?.parents[0]?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`).join();
  assert.deepEqual([await told('attic', 'attic'), await told('vault', 'vault'), await told('main')], ['Accepted=False NotAllowedByListeners,ResolvedRefs=False RefNotPermitted', 'Accepted=True Accepted,ResolvedRefs=True ResolvedRefs', 'Accepted=True Accepted,ResolvedRefs=False BackendNotFound']);
  await client.create<gatewayApi.ReferenceGrant>(resources.referenceGrants, { metadata: { namespace: 'vault', name: 'shop' }, spec: { from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }], to: [{ group: '', kind: 'Service' }] } }, t.signal);
  await pollUntil('the granted Service', async () => ((await ask('a.example', '/far')).seen?.name === 'far' ? true : undefined), waiting, t.signal);
  await client.delete(resources.referenceGrants, { namespace: 'vault', name: 'shop' }, {}, t.signal);
  await pollUntil('the grant to be over', async () => ((await ask('a.example', '/far')).status === 500 ? true : undefined), waiting, t.signal);
});

test('an HTTPS listener has a certificate of another namespace when that grants it', { skip }, async (t) => {
  await using cleanup = new AsyncDisposableStack();
  const { client, folder } = await openCluster(t, cleanup);
  const secret = async (name: string, namespace: string): Promise<void> => {
    const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
    await runCommand('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`, '-days', '30', '-keyout', key, '-out', cert], {}, t.signal);
    const [crt, pem] = await Promise.all([readFile(cert), readFile(key)]);
    await client.create<k8s.Secret>(resources.secrets, { metadata: { namespace, name }, type: 'kubernetes.io/tls', data: { 'tls.crt': crt.toString('base64'), 'tls.key': pem.toString('base64') } }, t.signal);
  };
  await Promise.all([secret('a.example', 'shop'), secret('b.example', 'vault')]);
  const listener = (name: string, ref: gatewayApi.SecretReference): gatewayApi.GatewayListener => ({ name, hostname: `${name}.example`, port: https, protocol: 'HTTPS', tls: { certificateRefs: [ref] } });
  await client.create<gatewayApi.Gateway>(resources.gateways, { metadata: { namespace: 'shop', name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [listener('a', { name: 'a.example' }), listener('b', { name: 'b.example', namespace: 'vault' })] } }, t.signal);
  await client.create<gatewayApi.HTTPRoute>(resources.httpRoutes, { metadata: { namespace: 'shop', name: 'web' }, spec: { parentRefs: [{ name: 'front' }], rules: [{ backendRefs: [to('one')] }] } }, t.signal);
  const listeners = async (): Promise<string[]> => ((await client.get(resources.gateways, { namespace: 'shop', name: 'front' }, t.signal)).status?.listeners ?? []).map(({ name, attachedRoutes, conditions }) => `${name} ${attachedRoutes} ${conditions.filter(({ status }) => status === 'True').map(({ type }) => type).join()} ${conditions.find(({ type }) => type === 'ResolvedRefs')?.reason ?? ''}`);
  const become = (expected: string[]): Promise<unknown> => pollUntil(`the listeners ${expected.join('; ')}`, async () => ((await listeners()).join('; ') === expected.join('; ') ? true : undefined), waiting, t.signal);
  const subject = (servername: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connectTls({ host: address, port: https, servername, rejectUnauthorized: false }, () => {
        resolve(`${String(socket.getPeerCertificate().subject.CN)} ${String(socket.alpnProtocol)}`);
        socket.destroy();
      });
      socket.once('error', ({ message }) => resolve(message));
    });
  await become(['a 1 Accepted,ResolvedRefs,Programmed ResolvedRefs', 'b 1 Accepted RefNotPermitted']);
  assert.equal(await subject('a.example'), 'a.example false');
  await client.create<gatewayApi.ReferenceGrant>(resources.referenceGrants, { metadata: { namespace: 'vault', name: 'certificates' }, spec: { from: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'shop' }], to: [{ group: '', kind: 'Secret', name: 'b.example' }] } }, t.signal);
  await become(['a 1 Accepted,ResolvedRefs,Programmed ResolvedRefs', 'b 1 Accepted,ResolvedRefs,Programmed ResolvedRefs']);
  assert.deepEqual([await subject('a.example'), await subject('b.example')], ['a.example false', 'b.example false']);
});

test('what the Gateway API has and this cluster does not is refused when it is applied', { skip }, async (t) => {
  await using cleanup = new AsyncDisposableStack();
  const { client } = await openCluster(t, cleanup);
  const route = (rule: object): Promise<unknown> => client.create<gatewayApi.HTTPRoute>(resources.httpRoutes, { metadata: { namespace: 'shop', name: 'web' }, spec: { parentRefs: [{ name: 'front' }], rules: [rule] } }, t.signal);
  const gateway = (listener: object): Promise<unknown> => client.create<gatewayApi.Gateway>(resources.gateways, { metadata: { namespace: 'shop', name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [{ name: 'web', port: http, protocol: 'HTTP', ...listener }] } }, t.signal);
  const cases: [Promise<unknown>, string, RegExp][] = [
    [route({ filters: [{ type: 'RequestMirror', requestMirror: { backendRef: to('one') } }] }), 'spec.rules[0].filters[0].type', /Unsupported value: "RequestMirror"/],
    [route({ filters: [{ type: 'ExtensionRef' }] }), 'spec.rules[0].filters[0].type', /Unsupported value/],
    [route({ filters: [{ type: 'URLRewrite', requestRedirect: {} }] }), 'spec.rules[0].filters[0]', /urlRewrite is given exactly when the type is URLRewrite/],
    [route({ filters: redirect({}), backendRefs: [to('one')] }), 'spec.rules[0]', /a rule that redirects has no backendRefs/],
    [route({ matches: [{ path: { type: 'Exact', value: '/x' } }], filters: [rewrite({ type: 'ReplacePrefixMatch', replacePrefixMatch: '/y' })] }), 'spec.rules[0]', /ReplacePrefixMatch needs exactly one match/],
    [route({ matches: [{ path: { value: 'x' } }] }), 'spec.rules[0].matches[0].path', /the path has to be absolute/],
    [route({ backendRefs: [{ name: 'one' }] }), 'spec.rules[0].backendRefs[0]', /a Service needs a port/],
    [route({ timeouts: { request: '1s', backendRequest: '2s' } }), 'spec.rules[0].timeouts', /cannot be longer/],
    [gateway({ protocol: 'TLS' }), 'spec.listeners[0].protocol', /Unsupported value: "TLS"/],
    [gateway({ protocol: 'HTTPS' }), 'spec.listeners[0]', /needs tls.certificateRefs/],
    [gateway({ protocol: 'HTTPS', tls: { mode: 'Passthrough', certificateRefs: [{ name: 'x' }] } }), 'spec.listeners[0].tls.mode', /Unsupported value: "Passthrough"/],
  ];
  for (const [asked, field, message] of cases) {
    await assert.rejects(asked, (error) => {
      assert.ok(isError(error, 'invalid'));
      assert.match(error.message, message);
      assert.deepEqual(error.places?.map((place) => place.field).includes(field), true, `${field}: ${error.message}`);
      return true;
    });
  }
});
