import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../api/mod.ts';
import { Informers, type KubeClient } from '../../client/mod.ts';
import { controllerServices } from '../../cluster/controllers/mod.ts';
import { DnsServer } from '../../cluster/dns/mod.ts';
import { ServiceProxy } from '../../cluster/proxy/mod.ts';
import { openNftables } from '../../host/mod.ts';
import { GantryError, pollUntil, randomHex, runServices, silentLogger } from '../../kernel/mod.ts';
import { applicationPod, clientCommand, greeting, OpenConnection, openOutsideClient, type OutsideClient, SteadySender } from '../testing/pod-network.ts';
import { openRealNode, type RealNode } from '../testing/real-node.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: containers and packet rules';
const signal = AbortSignal.timeout(240_000);
const patience = { timeoutMs: 60_000, intervalMs: 10 };
const place = { namespace: 'default' };

/** Ports below those that the kernel gives away, others in each run. */
const firstPort = 20_000 + randomInt(1_000) * 10;
const balancedPort = firstPort + 9;
const serviceCidr = `10.${200 + randomInt(50)}.${randomInt(256)}.0/24`;

interface Cluster { readonly real: RealNode; readonly client: KubeClient; readonly outside: OutsideClient; readonly gateway: string }

/** A node with real pods, controllers, service rules and DNS, and a client beside the machine. */
async function openCluster(cleanup: AsyncDisposableStack): Promise<Cluster> {
  let proxy: ServiceProxy | undefined;
  const drain = { drained: (ip: string, stop: AbortSignal) => proxy?.drained(ip, stop) ?? Promise.reject(new GantryError('internal', 'no proxy yet')) };
  const real = cleanup.use(
    await openRealNode({
      api: { serviceCidr, nodePortRange: { from: firstPort, to: firstPort + 8 } },
      drain,
      agent: ({ engine }) => ({ nodeIp: engine.networks.get('pods').gateway, dns: { clusterServers: [engine.networks.get('pods').gateway], clusterDomain: 'cluster.local', host: { servers: ['192.0.2.1'], searches: ['example.org'], options: [] } } }),
    }),
  );
  const { client } = real.node;
  const { gateway, bridgeName } = real.engine.engine.networks.get('pods');
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const table = `gantry-test-${randomHex(4)}`;
  const nftables = cleanup.use(openNftables());
  cleanup.defer(() => ServiceProxy.purge(nftables, table));
  proxy = new ServiceProxy(informers, nftables, { nodeName: 'node-1', table, serviceCidr, podBridge: bridgeName }, silentLogger());
  const dns = new DnsServer(informers, { address: gateway, port: 53, clusterDomain: 'cluster.local', upstreams: [] }, silentLogger());
  const run = runServices([[informers, proxy, dns, ...controllerServices(client, informers, {}, silentLogger())]], silentLogger(), stop.signal);
  cleanup.defer(async () => {
    stop.abort();
    await run;
  });
  await Promise.all([proxy.ready(), dns.ready()]);
  return { real, client, outside: cleanup.use(await openOutsideClient(signal)), gateway };
}

const isReady = ({ status }: Stored<k8s.Pod>): boolean => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
const never: k8s.Probe = { exec: { command: ['sh', '-c', 'exit 1'] } };

test('Services and their names, with real pods and packets', { skip }, async (t) => {
  await using cleanup = new AsyncDisposableStack();
  const { real, client, outside, gateway } = await openCluster(cleanup);
  const { node } = real;
  await Promise.all([
    node.createPod('a', applicationPod('a', 8080, { hostname: 'first', subdomain: 'heads' }), { labels: { app: 'web', only: 'a' } }),
    node.createPod('b', applicationPod('b', 9090), { labels: { app: 'web', only: 'b' } }),
    node.createPod('c', applicationPod('c', 8080, { dnsPolicy: 'None', dnsConfig: { nameservers: [gateway], searches: ['svc.cluster.local'], options: [{ name: 'ndots', value: '2' }] } }, never), { labels: { app: 'late' } }),
  ]);
  const [a, b, c] = await Promise.all([...['a', 'b'].map((name) => pollUntil(`${name} to be ready`, async () => [await node.pod(name)].find((pod) => pod !== undefined && isReady(pod)), patience, signal)), pollUntil('c to run', async () => [await node.pod('c')].find((pod) => pod?.status?.phase === 'Running'), patience, signal)]);
  const [ipA = '', ipB = '', ipC = ''] = [a, b, c].map((pod) => pod?.status?.podIP);
  const make = async (name: string, spec: k8s.ServiceSpec): Promise<Stored<k8s.Service>> => client.create<k8s.Service>(resources.services, { metadata: { ...place, name }, spec: { ports: [{ port: 80, targetPort: 'app' }], ...spec } }, signal);
  const ports = [{ name: 'web', port: 80, targetPort: 'app' }, { name: 'say', port: 81, targetPort: 'app-udp', protocol: 'UDP' }];
  const web = await make('web', { selector: { app: 'web' }, ports });
  const alone = await make('alone', { selector: { only: 'a' } });
  const open = await make('open', { type: 'NodePort', selector: { only: 'b' }, ports: ports.map((port) => ({ ...port })), externalTrafficPolicy: 'Local' });
  const balanced = await make('balanced', { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: balancedPort, targetPort: 'app' }] });
  const late = await make('late', { selector: { app: 'late' }, publishNotReadyAddresses: true });
  const closed = await make('closed', { selector: { app: 'late' } });
  await make('heads', { clusterIP: 'None', selector: { app: 'web' }, ports: [{ name: 'web', port: 80, targetPort: 'app' }] });
  await make('away', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local', ports: [] });
  const ip = (service: Stored<k8s.Service>): string => service.spec?.clusterIP ?? '';
  const fromPod = async (pod: string, host: string, port: number, protocol?: 'tcp' | 'udp'): Promise<string> => (await real.exec(pod, ...clientCommand('/node/node', host, port, protocol))).output;
  const until = (what: string, expected: RegExp, ask: () => Promise<string>): Promise<unknown> => pollUntil(what, async () => (expected.test(await ask()) ? true : undefined), patience, signal);
  const names = async (count: number, ask: () => Promise<string>): Promise<string[]> => [...new Set(await Promise.all(Array.from({ length: count }, async () => (await ask()).split(' ')[0] ?? '')))].toSorted();

  await t.test('ClusterIP: from the host, from pods, to the pod itself, by TCP and UDP, target ports by name', async () => {
    await until('the first answer', /^[ab] /, () => greeting(ip(web), 80));
    await pollUntil('both pods', async () => ((await names(20, () => greeting(ip(web), 80))).join() === 'a,b' ? true : undefined), patience, signal);
    await until('the Service of one', /^a /, () => greeting(ip(alone), 80));
    assert.equal(await fromPod('b', ip(alone), 80), `a ${ipB}`, 'a pod is seen with its own address');
    assert.match(await fromPod('a', ip(alone), 80), /^a /, 'a pod reaches itself through its Service');
    assert.match(await fromPod('a', ip(web), 81, 'udp'), /^[ab] /);
    assert.equal(await greeting(ip(web), 82), 'ECONNREFUSED', 'what is no port of the Service is refused at once');
  });

  await t.test('not ready: published when asked, otherwise refused', async () => {
    await until('the pod that is never ready', /^c /, () => greeting(ip(late), 80));
    assert.equal(await greeting(ip(closed), 80), 'ECONNREFUSED');
  });

  await t.test('NodePort: from another machine with its own address, and from loopback', async () => {
    const [tcp, udp] = (open.spec?.ports ?? []).map(({ nodePort }) => nodePort ?? 0);
    await until('the node port', /^b /, () => outside.ask(outside.host, tcp ?? 0));
    assert.equal(await outside.ask(outside.host, tcp ?? 0), `b ${outside.address}`);
    assert.equal(await outside.ask(outside.host, udp ?? 0, 'udp'), `b ${outside.address}`);
    assert.match(await greeting('127.0.0.1', tcp ?? 0), /^b /);
    assert.match(await fromPod('a', gateway, tcp ?? 0), /^b /);
  });

  await t.test('LoadBalancer: a port of the machine, that a second Service does not get', async () => {
    const given = await pollUntil('the address', async () => (await client.get(resources.services, { ...place, name: 'balanced' }, signal)).status?.loadBalancer?.ingress, patience, signal);
    assert.deepEqual(given, [{ ip: gateway, ipMode: 'VIP', ports: [{ port: balancedPort, protocol: 'TCP' }] }]);
    await until('the balanced port', new RegExp(`^[ab] ${outside.address}$`), () => outside.ask(outside.host, balancedPort));
    assert.match(await greeting(ip(balanced), balancedPort), /^[ab] /);
    await make('second', { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: balancedPort, targetPort: 'app' }] });
    const told = await pollUntil('the event', async () => (await client.list(resources.events, place, signal)).items.find(({ involvedObject }) => involvedObject.name === 'second'), patience, signal);
    assert.deepEqual([told.reason, told.message], ['PortsTaken', `host ports are taken: tcp/${balancedPort} (balanced)`]);
  });

  await t.test('session affinity: a client stays for as long as is said', async () => {
    const near = await make('near', { selector: { app: 'web' }, sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 3_600 } } });
    await until('the answer', /^[ab] /, () => greeting(ip(near), 80));
    const [first] = await names(1, () => greeting(ip(near), 80));
    assert.deepEqual(await names(12, () => greeting(ip(near), 80)), [first]);
    await client.patch(resources.services, { ...place, name: 'near' }, { type: 'merge', body: { spec: { sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } } } } }, signal);
    await pollUntil('the other pod', async () => ((await names(1, () => greeting(ip(near), 80)))[0] === first ? undefined : true), { timeoutMs: 60_000, intervalMs: 1_200 }, signal);
  });

  await t.test('names: as pods resolve them, by search path and in full', async () => {
    const resolve = async (pod: string, call: string): Promise<unknown> => {
      const script = `const dns = require('node:dns/promises'); (async () => ${call})().then((is) => console.log(JSON.stringify(is)), (error) => console.log(JSON.stringify(error.code)));`;
      return JSON.parse((await real.exec(pod, '/node/node', '-e', script)).output);
    };
    const all = `.then((list) => list.map(({ address }) => address).sort())`;
    assert.deepEqual(await resolve('b', `dns.lookup('web', { all: true })${all}`), [ip(web)]);
    assert.deepEqual(await resolve('b', `dns.lookup('away.default', { all: true })${all}`), [ip(web)], 'an external name leads on');
    assert.deepEqual(await resolve('b', `dns.lookup('heads.default.svc', { all: true })${all}`), [ipA, ipB].toSorted());
    assert.deepEqual(await resolve('b', `dns.lookup('first.heads', { all: true })${all}`), [ipA]);
    assert.deepEqual(await resolve('b', `dns.lookup('nobody.default.svc.cluster.local.')`), 'ENOTFOUND');
    assert.deepEqual(await resolve('b', `dns.resolveSrv('_web._tcp.heads.default.svc.cluster.local').then((list) => list.map(({ name, port }) => name + ' ' + port).sort())`), [`${ipB.replaceAll('.', '-')}.heads.default.svc.cluster.local 9090`, 'first.heads.default.svc.cluster.local 8080']);
    assert.deepEqual(await resolve('b', `dns.reverse('${ipA}')`), ['first.heads.default.svc.cluster.local']);
    assert.deepEqual(await resolve('b', `dns.resolveTxt('dns-version.cluster.local')`), [['1.1.0']]);
    assert.equal((await real.exec('b', 'cat', '/etc/resolv.conf')).output, `nameserver ${gateway}\nsearch default.svc.cluster.local svc.cluster.local cluster.local example.org\noptions ndots:5`);
    assert.equal((await real.exec('c', 'cat', '/etc/resolv.conf')).output, `nameserver ${gateway}\nsearch svc.cluster.local\noptions ndots:2`);
    assert.deepEqual(await resolve('c', `dns.lookup('web.default')`).then((is) => (is as { address?: string }).address), ip(web));
    assert.deepEqual(await resolve('c', `dns.lookup('web.svc.cluster.local')`), 'ENOTFOUND');
    assert.match(await fromPod('c', 'web.default', 80), new RegExp(`^[ab] ${ipC}$`));
  });

  await t.test('a pod is asked to stop only when nobody is sent to it any more, and ends what it began', async () => {
    const connections = await pollUntil('a connection to each pod', async () => {
      const opened = [new OpenConnection(ip(web), 80), new OpenConnection(ip(web), 80)];
      await pollUntil('the greetings', () => (opened.every(({ text }) => text.includes('\n')) ? true : undefined), patience, signal);
      if (opened.some(({ text }) => text.startsWith('a ')) && opened.some(({ text }) => text.startsWith('b '))) return opened;
      for (const one of opened) one[Symbol.dispose]();
      return undefined;
    }, patience, signal);
    for (const one of connections) cleanup.use(one);
    const old = connections.find(({ text }) => text.startsWith('a '));
    const sender = cleanup.use(await pollUntil('a sender whose packets go to a', async () => {
      const one = new SteadySender(ip(web), 81);
      await pollUntil('an answer', () => (one.send(), one.answer === '' ? undefined : true), patience, signal);
      if (one.answer === 'a') return one;
      one[Symbol.dispose]();
      return undefined;
    }, patience, signal));
    const answers: { name: string; isAfter: boolean }[] = [];
    const stop = new AbortController();
    const load = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const isAfter = old?.text.includes('stopping') === true;
        answers.push({ name: (await greeting(ip(web), 80)).split(' ')[0] ?? '', isAfter });
      }
    };
    const runs = [load(), load()];
    await pollUntil('both pods under load', () => (['a', 'b'].every((name) => answers.some((one) => one.name === name)) ? true : undefined), patience, signal);
    await client.delete(resources.pods, { ...place, name: 'a' }, {}, signal);
    await pollUntil('the pod to be asked to stop', () => (old?.text.includes('stopping') === true ? true : undefined), patience, signal);
    await pollUntil('more answers', () => (answers.filter(({ isAfter }) => isAfter).length >= 50 ? true : undefined), patience, signal);
    stop.abort();
    await Promise.all(runs);
    assert.deepEqual([...new Set(answers.map(({ name }) => name))].toSorted(), ['a', 'b'], 'every connection was answered by a pod');
    assert.deepEqual([...new Set(answers.filter(({ isAfter }) => isAfter).map(({ name }) => name))], ['b'], 'nobody came after the pod was asked to stop');
    await pollUntil('the sender of UDP to be answered by b', () => (sender.send(), sender.answer === 'b' ? true : undefined), patience, signal);
    old?.say('still here\n');
    await pollUntil('the connection to be served in the time of grace', () => (old?.text.endsWith('still here\n') === true ? true : undefined), patience, signal);
    assert.equal((await node.pod('a'))?.metadata.name, 'a');
    old?.[Symbol.dispose]();
    await pollUntil('the pod to be gone', async () => ((await node.pod('a')) === undefined ? true : undefined), patience, signal);
  });
});
