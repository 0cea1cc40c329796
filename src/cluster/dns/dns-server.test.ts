import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { decode, encode } from 'dns-packet';
import type { k8s, KubeObject, ResourceType, Stored } from '../../api/mod.ts';
import { Informers, type KubeClient } from '../../client/mod.ts';
import { pollUntil, silentLogger } from '../../kernel/mod.ts';
import { DnsServer } from './dns-server.ts';
import { withLength } from './forwarder.ts';

const stored = (name: string, namespace?: string) => ({ name, namespace, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
const many = Array.from({ length: 200 }, (_, index) => ({ addresses: [`10.1.${Math.floor(index / 250)}.${(index % 250) + 1}`], conditions: { ready: true } }));
const objects: Record<string, Stored<KubeObject>[]> = {
  namespaces: [{ metadata: stored('shop') }],
  services: [
    { metadata: stored('web', 'shop'), spec: { clusterIP: '10.2.0.9', clusterIPs: ['10.2.0.9'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] } } as Stored<k8s.Service>,
    { metadata: stored('away', 'shop'), spec: { type: 'ExternalName', externalName: 'example.org' } } as Stored<k8s.Service>,
    { metadata: stored('alias', 'shop'), spec: { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' } } as Stored<k8s.Service>,
    { metadata: stored('ghost', 'shop'), spec: { type: 'ExternalName', externalName: 'nobody.shop.svc.cluster.local' } } as Stored<k8s.Service>,
    { metadata: stored('circle', 'shop'), spec: { type: 'ExternalName', externalName: 'circle.shop.svc.cluster.local' } } as Stored<k8s.Service>,
    { metadata: stored('crowd', 'shop'), spec: { clusterIP: 'None', clusterIPs: ['None'] } } as Stored<k8s.Service>,
  ],
  endpointslices: [{ metadata: { ...stored('crowd-1', 'shop'), labels: { 'kubernetes.io/service-name': 'crowd' } }, addressType: 'IPv4', endpoints: many } as Stored<k8s.EndpointSlice>],
};

/** Lists what is above and never changes. */
const client = {
  list: (type: ResourceType) => Promise.resolve({ apiVersion: 'v1', kind: `${type.kind}List`, metadata: { resourceVersion: '1' }, items: objects[type.plural] ?? [] }),
  watch: async function* (_type: ResourceType, _options: object, signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    yield* [];
  },
} as unknown as KubeClient;

/** A server on a free port of loopback, over real sockets, and a stub resolver asking it. */
async function start(t: TestContext, upstreams: { address: string; port: number }[] = []): Promise<{ resolver: Resolver; port: number }> {
  const informers = new Informers(client, silentLogger());
  const server = new DnsServer(informers, { address: '127.0.0.1', port: 0, clusterDomain: 'cluster.local', upstreams }, silentLogger());
  const stop = new AbortController();
  const running = [informers.run(stop.signal), server.run(stop.signal)];
  t.after(async () => {
    stop.abort();
    await Promise.all(running);
  });
  await Promise.all([informers.ready(t.signal), server.ready()]);
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  return { resolver, port: server.port };
}

/** An upstream that answers every A question with one address, by UDP and TCP. */
async function startUpstream(t: TestContext): Promise<{ address: string; port: number }> {
  const answer = (query: Buffer): Buffer => {
    const { id, questions } = decode(query);
    return encode({ id: id ?? 0, type: 'response', questions: questions ?? [], answers: [{ type: 'A', name: questions?.[0]?.name ?? '', ttl: 1, data: '192.0.2.80' }] });
  };
  const tcp = createServer((socket) => socket.once('data', (data) => socket.end(withLength(answer(data.subarray(2))))));
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const address = tcp.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const udp = createSocket('udp4').bind(port, '127.0.0.1');
  udp.on('message', (query, from) => udp.send(answer(query), from.port, from.address));
  t.after(() => {
    udp.close();
    tcp.close();
  });
  return { address: '127.0.0.1', port };
}

test('DnsServer answers for the cluster by UDP, and by TCP what is too long for UDP', async (t) => {
  const { resolver } = await start(t);
  assert.deepEqual(await resolver.resolve4('web.shop.svc.cluster.local'), ['10.2.0.9']);
  assert.deepEqual((await resolver.resolveSrv('_http._tcp.web.shop.svc.cluster.local')).map(({ name, port }) => [name, port]), [['web.shop.svc.cluster.local', 80]]);
  assert.equal((await resolver.resolve4('crowd.shop.svc.cluster.local')).length, 200);
  await assert.rejects(resolver.resolve4('nobody.shop.svc.cluster.local'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolve6('web.shop.svc.cluster.local'), { code: 'ENODATA' });
});

test('DnsServer forwards other names, past a resolver that is down', async (t) => {
  const upstream = await startUpstream(t);
  const { resolver } = await start(t, [{ address: '127.0.0.1', port: 1 }, upstream]);
  assert.deepEqual(await resolver.resolve4('example.org'), ['192.0.2.80']);
});

test('DnsServer answers with what an external name stands for', async (t) => {
  const { resolver } = await start(t, [await startUpstream(t)]);
  assert.deepEqual(await resolver.resolveCname('away.shop.svc.cluster.local'), ['example.org']);
  assert.deepEqual(await resolver.resolve4('away.shop.svc.cluster.local'), ['192.0.2.80'], 'asked upstream');
  assert.deepEqual(await resolver.resolve4('alias.shop.svc.cluster.local'), ['10.2.0.9'], 'a name of the cluster');
  await assert.rejects(resolver.resolve4('ghost.shop.svc.cluster.local'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolve4('circle.shop.svc.cluster.local'), { code: 'ESERVFAIL' });
});

test('DnsServer says SERVFAIL when no resolver answers', async (t) => {
  const { resolver } = await start(t, [{ address: '127.0.0.1', port: 1 }]);
  await assert.rejects(resolver.resolve4('example.org'), { code: 'ESERVFAIL' });
});

test('DnsServer survives garbage and goes on answering', async (t) => {
  const { resolver, port } = await start(t);
  const socket = createSocket('udp4');
  const answers: Buffer[] = [];
  socket.on('message', (message) => answers.push(message));
  t.after(() => socket.close());
  for (const garbage of [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(11), Buffer.from('000100000001000000000000c00c', 'hex'), Buffer.alloc(600, 0xff)]) socket.send(garbage, port, '127.0.0.1');
  await pollUntil('the malformed question to be refused', () => (answers.length > 0 ? true : undefined), { timeoutMs: 30_000 }, t.signal);
  assert.equal((answers[0]?.readUInt16BE(2) ?? 0) & 0xf, 1, 'the response code is FORMERR');
  assert.deepEqual(await resolver.resolve4('web.shop.svc.cluster.local'), ['10.2.0.9']);
});
