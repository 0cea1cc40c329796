import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { k8s, KubeObject, ResourceType, Stored, WatchEvent } from '../../api/mod.ts';
import { Informers, type KubeClient } from '../../client/mod.ts';
import { openNftables, writeSysctl } from '../../host/mod.ts';
import { rootNeeds } from '../../host/testing/root.ts';
import { isError, pollUntil, randomHex, runCommand, silentLogger } from '../../kernel/mod.ts';
import { ServiceProxy } from './service-proxy.ts';

const skip = rootNeeds('ip', 'nft');
const meta = (name: string, version: number, labels: Record<string, string> = {}) => ({ namespace: 'shop', name, labels, uid: name, resourceVersion: String(version), creationTimestamp: '2026-01-01T00:00:00Z' });

/** Services and slices that a test changes; informers follow them as they would follow an API server. */
class Objects {
  readonly #listeners = new Set<(type: string, event: WatchEvent<KubeObject>) => void>();
  readonly #objects = new Map<string, { type: string; object: Stored<KubeObject> }>();
  #version = 1;

  put(type: 'services' | 'endpointslices', name: string, rest: object, labels: Record<string, string> = {}): void {
    const object: Stored<KubeObject> = { metadata: meta(name, ++this.#version, labels), ...rest };
    const isKnown = this.#objects.has(type + name);
    this.#objects.set(type + name, { type, object });
    for (const listener of this.#listeners) listener(type, { type: isKnown ? 'MODIFIED' : 'ADDED', object });
  }

  readonly client = {
    list: ({ plural, kind }: ResourceType) =>
      Promise.resolve({ apiVersion: 'v1', kind: `${kind}List`, metadata: { resourceVersion: String(this.#version) }, items: [...this.#objects.values()].filter(({ type }) => type === plural).map(({ object }) => object) }),
    watch: ({ plural }: ResourceType, _options: object, signal: AbortSignal) => this.#watch(plural, signal),
  } as unknown as KubeClient;

  async *#watch(plural: string, signal: AbortSignal): AsyncGenerator<WatchEvent<KubeObject>> {
    const events: WatchEvent<KubeObject>[] = [];
    let wake: () => void = () => undefined;
    const listener = (type: string, event: WatchEvent<KubeObject>): void => {
      if (type === plural) events.push(event);
      wake();
    };
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => wake(), { once: true });
    while (!signal.aborted) {
      yield* events.splice(0);
      if (!signal.aborted && events.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    }
    this.#listeners.delete(listener);
  }
}

const server = `
  const { createServer } = require('node:net');
  createServer((socket) => socket.on('error', () => 0).end(process.argv[1] + ' ' + socket.remoteAddress)).listen(8080, () => console.log('up'));`;
const client = `
  const { connect } = require('node:net');
  const socket = connect(Number(process.argv[2]), process.argv[1], () => socket.pipe(process.stdout));
  socket.on('error', (error) => console.log(error.code));`;

/** A bridge with two namespaces on it, each with a server on port 8080 that says its name and whom it sees. */
async function openNetwork(t: TestContext): Promise<{ bridge: string; ask: (from: 'a' | 'b', host: string, port: number) => Promise<string> }> {
  const id = randomHex(3);
  const bridge = `gt${id}`;
  const ip = (...args: string[]): Promise<unknown> => runCommand('ip', args, {}, t.signal);
  const servers: ChildProcess[] = [];
  t.after(async () => {
    for (const child of servers) child.kill('SIGKILL');
    for (const args of [['netns', 'del', `${id}a`], ['netns', 'del', `${id}b`], ['link', 'del', bridge]]) await runCommand('ip', args, { okCodes: [0, 1] }, AbortSignal.timeout(5_000));
  });
  await ip('link', 'add', bridge, 'type', 'bridge');
  await ip('addr', 'add', '10.231.0.1/24', 'dev', bridge);
  await ip('link', 'set', bridge, 'up');
  writeSysctl('net.ipv4.ip_forward', '1');
  for (const [index, name] of ['a', 'b'].entries()) {
    const [netns, veth] = [`${id}${name}`, `v${id}${name}`];
    await ip('netns', 'add', netns);
    await ip('link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
    await ip('link', 'set', veth, 'master', bridge, 'up');
    await ip('link', 'set', veth, 'type', 'bridge_slave', 'hairpin', 'on');
    await ip('-n', netns, 'addr', 'add', `10.231.0.${index + 2}/32`, 'dev', 'eth0');
    await ip('-n', netns, 'link', 'set', 'eth0', 'up');
    await ip('-n', netns, 'link', 'set', 'lo', 'up');
    await ip('-n', netns, 'route', 'add', 'default', 'via', '10.231.0.1', 'dev', 'eth0', 'onlink');
    const child = spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', server, name], { stdio: ['ignore', 'pipe', 'inherit'] });
    servers.push(child);
    if (child.stdout !== null) await once(child.stdout, 'data');
  }
  const ask = async (from: 'a' | 'b', host: string, port: number): Promise<string> =>
    (await runCommand('ip', ['netns', 'exec', `${id}${from}`, process.execPath, '-e', client, host, String(port)], {}, t.signal)).stdout.trim();
  return { bridge, ask };
}

function askFromHost(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, host);
    socket.on('data', (data) => (text += data.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('end', () => resolve(text));
  });
}

const slice = (...addresses: string[]) => ({
  addressType: 'IPv4',
  ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  endpoints: addresses.map((address): k8s.Endpoint => ({ addresses: [address], nodeName: 'one', conditions: { ready: true, serving: true, terminating: false } })),
});
const label = { 'kubernetes.io/service-name': 'web' };

test('ServiceProxy sends connections to ready endpoints from pods, from the host and by node port, and follows changes', { skip }, async (t) => {
  const { bridge, ask } = await openNetwork(t);
  const table = `gantry-test-${randomHex(4)}`;
  const nodePort = 30_000 + (process.pid % 2_000);
  using nftables = openNftables();
  t.after(() => ServiceProxy.purge(openNftables(), table));
  const objects = new Objects();
  const spec = { type: 'NodePort', clusterIP: '10.232.0.9', clusterIPs: ['10.232.0.9'], ports: [{ port: 80, nodePort, protocol: 'TCP' }] };
  objects.put('services', 'web', { spec });
  objects.put('endpointslices', 'web-1', slice('10.231.0.2', '10.231.0.3'), label);
  const informers = new Informers(objects.client, silentLogger());
  const proxy = new ServiceProxy(informers, nftables, { nodeName: 'one', table, serviceCidr: '10.232.0.0/24', podBridge: bridge }, silentLogger());
  const stop = new AbortController();
  const running = [informers.run(stop.signal), proxy.run(stop.signal)];
  t.after(async () => {
    stop.abort();
    await Promise.all(running);
  });
  await proxy.ready();

  const answers = new Set<string>();
  for (let index = 0; index < 16; index += 1) answers.add((await askFromHost('10.232.0.9', 80)).split(' ')[0] ?? '');
  assert.deepEqual([...answers].toSorted(), ['a', 'b'], 'both endpoints get connections');
  assert.match(await askFromHost('127.0.0.1', nodePort), /^[ab] /);

  objects.put('endpointslices', 'web-1', slice('10.231.0.2'), label);
  await proxy.drained('10.231.0.3', t.signal);
  assert.match(await ask('b', '10.232.0.9', 80), /^a /, 'a pod reaches another on its bridge');
  assert.match(await ask('a', '10.232.0.9', 80), /^a /, 'a pod reaches itself through its service');
  assert.match(await ask('b', '10.231.0.1', nodePort), /^a /, 'a pod reaches a node port');

  objects.put('services', 'web', { spec: { ...spec, sessionAffinity: 'ClientIP' } });
  objects.put('endpointslices', 'web-1', slice('10.231.0.2', '10.231.0.3'), label);
  await pollUntil('sticky rules', () => (JSON.stringify(nftables.list(`list table ip ${table}`)).includes('aff-') ? true : undefined), { timeoutMs: 30_000 }, t.signal);
  const sticky = new Set<string>();
  for (let index = 0; index < 8; index += 1) sticky.add(await askFromHost('10.232.0.9', 80));
  assert.equal(sticky.size, 1, 'a client stays with its endpoint');

  objects.put('endpointslices', 'web-1', slice(), label);
  await Promise.all(['10.231.0.2', '10.231.0.3'].map((address) => proxy.drained(address, t.signal)));
  assert.equal(await askFromHost('10.232.0.9', 80), 'ECONNREFUSED', 'a service without endpoints refuses at once');
  assert.equal(await ask('b', '10.232.0.9', 80), 'ECONNREFUSED');
});

test('ServiceProxy.drained() waits until the address has left the rules, or for the signal', { skip }, async (t) => {
  const { bridge } = await openNetwork(t);
  const table = `gantry-test-${randomHex(4)}`;
  using nftables = openNftables();
  t.after(() => ServiceProxy.purge(openNftables(), table));
  const objects = new Objects();
  objects.put('services', 'web', { spec: { clusterIP: '10.232.0.9', clusterIPs: ['10.232.0.9'], ports: [{ port: 80 }] } });
  objects.put('endpointslices', 'web-1', slice('10.231.0.2'), label);
  const informers = new Informers(objects.client, silentLogger());
  const proxy = new ServiceProxy(informers, nftables, { nodeName: 'one', table, serviceCidr: '10.232.0.0/24', podBridge: bridge }, silentLogger());
  const stop = new AbortController();
  const running = [informers.run(stop.signal), proxy.run(stop.signal)];
  await proxy.ready();
  await proxy.drained('10.231.0.99', t.signal);
  await assert.rejects(proxy.drained('10.231.0.2', AbortSignal.timeout(50)), (error) => isError(error, 'timeout'));
  stop.abort();
  await Promise.all(running);
  assert.equal(nftables.list(`list table ip ${table}`).length > 0, true, 'the rules stay when the proxy stops');
});
