import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gatewayDefinitions, type gatewayApi, type k8s, resources } from '../../api/mod.ts';
import { Informers, openKubeClient } from '../../client/mod.ts';
import { pollUntil, runCommand, runServices, silentLogger } from '../../kernel/mod.ts';
import { openTestApiServer } from '../apiserver/testing/test-api-server.ts';
import { HaproxyProcess } from './haproxy-process.ts';
import { IngressProxy } from './ingress-proxy.ts';
import { ownLoopback } from './testing/own-loopback.ts';

const hasHaproxy = await runCommand('haproxy', ['-v'], {}, AbortSignal.timeout(10_000)).then(() => true, () => false);
const place = { namespace: 'default' };

async function listen(answer: string): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end(answer));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

test('an Ingress is served, follows its Service, drains, and is gone when it is deleted', { skip: hasHaproxy ? false : 'haproxy is not installed' }, async () => {
  await using cleanup = new AsyncDisposableStack();
  const signal = AbortSignal.timeout(120_000);
  const folder = await mkdtemp(join(tmpdir(), 'gantry-ingress-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  cleanup.defer(() => new HaproxyProcess({ folder: join(folder, 'run') }, silentLogger()).stop(signal));
  const [old, young, port] = [await listen('old'), await listen('young'), 8_080];
  cleanup.defer(() => [old, young].forEach(({ server }) => (server.closeAllConnections(), server.close())));
  const api = cleanup.use(await openTestApiServer());
  const client = cleanup.use(openKubeClient(api.connection));
  for (const definition of gatewayDefinitions) await client.create(resources.customResourceDefinitions, definition, signal);
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const proxy = new IngressProxy(client, informers, { folder: join(folder, 'run'), addresses: ['192.0.2.1'], ports: { http: port, https: 8_443 }, bindAddress: ownLoopback() }, silentLogger());
  const run = runServices([[informers, proxy]], silentLogger(), stop.signal);
  cleanup.defer(async () => {
    stop.abort();
    await run;
  });
  const sliceOf = (address: string, endpointPort: number): k8s.EndpointSlice => ({
    metadata: { ...place, name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: endpointPort, protocol: 'TCP' }],
    endpoints: [{ addresses: [address], conditions: { ready: true, serving: true, terminating: false } }],
  });
  await client.create<k8s.Service>(resources.services, { metadata: { ...place, name: 'web' }, spec: { ports: [{ port: 80 }] } }, signal);
  await client.create(resources.endpointSlices, sliceOf('127.0.0.1', old.port), signal);
  const created = await client.create<k8s.Ingress>(resources.ingresses, { metadata: { ...place, name: 'web' }, spec: { rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] } }, signal);
  assert.equal(created.spec?.ingressClassName, 'haproxy');
  const ask = async (): Promise<string> => fetch(`http://${ownLoopback()}:${port}/`).then((response) => response.text(), () => 'nobody');
  const until = (answer: string) => pollUntil(`the answer ${answer}`, async () => ((await ask()) === answer ? true : undefined), { timeoutMs: 30_000, intervalMs: 10 }, signal);
  await until('old');
  const served = await pollUntil('the status', async () => (await client.get(resources.ingresses, { ...place, name: 'web' }, signal)).status?.loadBalancer?.ingress, { timeoutMs: 30_000 }, signal);
  assert.deepEqual(served, [{ ip: '192.0.2.1' }]);
  const slice = await client.get(resources.endpointSlices, { ...place, name: 'web-1' }, signal);
  await client.update(resources.endpointSlices, { ...slice, ...sliceOf('127.0.0.2', young.port), metadata: slice.metadata }, signal);
  await proxy.drained('127.0.0.1', signal);
  assert.notEqual(await ask(), 'old', 'nobody asks a drained address');
  await client.update(resources.endpointSlices, { ...(await client.get(resources.endpointSlices, { ...place, name: 'web-1' }, signal)), ...sliceOf('127.0.0.1', young.port), metadata: { ...place, name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } } }, signal);
  await until('young');
  await client.delete(resources.ingresses, { ...place, name: 'web' }, {}, signal);
  await until('nobody');

  // The same through a Gateway: its class, a listener and a route of two rules.
  await client.create<gatewayApi.GatewayClass>(resources.gatewayClasses, { metadata: { name: 'haproxy' }, spec: { controllerName: 'gantry.dev/haproxy' } }, signal);
  await client.create<gatewayApi.Gateway>(resources.gateways, { metadata: { ...place, name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [{ name: 'web', port, protocol: 'HTTP' }] } }, signal);
  await client.create<gatewayApi.HTTPRoute>(resources.httpRoutes, { metadata: { ...place, name: 'web' }, spec: { parentRefs: [{ name: 'front' }], rules: [{ backendRefs: [{ name: 'web', port: 80 }] }, { matches: [{ path: { type: 'Exact', value: '/gone' } }], filters: [{ type: 'RequestRedirect', requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '/new' }, statusCode: 301 } }] }] } }, signal);
  await until('young');
  const redirected = await fetch(`http://${ownLoopback()}:${port}/gone`, { redirect: 'manual' });
  assert.deepEqual([redirected.status, redirected.headers.get('location')], [301, `http://${ownLoopback()}:${port}/new`]);
  const said = ({ conditions }: { conditions?: k8s.Condition[] }): string => (conditions ?? []).map(({ type, status }) => `${type}=${status}`).join();
  const gateway = await pollUntil('the gateway to say so', async () => {
    const { status } = await client.get(resources.gateways, { ...place, name: 'front' }, signal);
    return status?.listeners?.[0]?.attachedRoutes === 1 ? status : undefined;
  }, { timeoutMs: 30_000 }, signal);
  assert.deepEqual([said(gateway), gateway.addresses], ['Accepted=True,Programmed=True', [{ type: 'IPAddress', value: '192.0.2.1' }]]);
  const route = await pollUntil('the route to say so', async () => (await client.get(resources.httpRoutes, { ...place, name: 'web' }, signal)).status?.parents[0], { timeoutMs: 30_000 }, signal);
  assert.equal(said(route), 'Accepted=True,ResolvedRefs=True');
  await client.delete(resources.gateways, { ...place, name: 'front' }, {}, signal);
  await until('nobody');
});
