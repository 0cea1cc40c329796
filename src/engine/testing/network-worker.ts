/** Networks of the engine on a host of its own. Run by network-setups.test.ts in a network namespace; the argument names the group of checks. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LinkTable, openNftables, pinNamespaces, readSysctl, unpinNamespace, withinNamespaces, writeSysctl } from '../../host/mod.ts';
import { isError, pollUntil, runCommand } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ContainerSpec, EndpointSpec, PortBinding } from '../types.ts';
import { busyboxSpec, runToEnd } from './run-to-end.ts';
import { openTestEngine } from './test-engine.ts';

const signal = AbortSignal.timeout(140_000);
const group = process.argv[2] ?? '';
const folder = mkdtempSync(join(tmpdir(), 'gantry-lan-'));
/** Another machine on the host's network: 203.0.113.2 and 2001:db8:1::2; the host has .1 and ::1 there. */
const lan = join(folder, 'net');
const groups: Readonly<Record<string, () => Promise<void>>> = { ipv6, ports, changes, plain };
if (group === 'plain') for (const scope of ['all', 'default']) writeSysctl(`net.ipv6.conf.${scope}.disable_ipv6`, '1');
makeLan();
try {
  await groups[group]?.();
} finally {
  unpinNamespace(lan);
  rmSync(folder, { recursive: true });
}

function makeLan(): void {
  using links = LinkTable.open();
  pinNamespaces({ net: lan });
  links.createBridge('lan0');
  const bridge = links.find('lan0');
  assert.ok(bridge);
  const namespaceFd = openSync(lan, 'r');
  links.createVeth('lanv', bridge.index, { name: 'eth0', macAddress: '02:00:00:00:00:02', namespaceFd });
  closeSync(namespaceFd);
  links.setUp(bridge.index);
  links.addAddress(bridge.index, '203.0.113.1', 24);
  if (group !== 'plain') links.addAddress(bridge.index, '2001:db8:1::1', 64);
  withinNamespaces({ net: lan }, () => {
    using inside = LinkTable.open();
    const link = inside.find('eth0');
    assert.ok(link);
    inside.setUp(1);
    inside.setUp(link.index);
    inside.addAddress(link.index, '203.0.113.2', 24);
    inside.setDefaultRoute(link.index, '203.0.113.1', false);
    if (group === 'plain') return;
    inside.addAddress(link.index, '2001:db8:1::2', 64);
    inside.setDefaultRoute(link.index, '2001:db8:1::1', false);
  });
}

function on(network: string, change: Partial<EndpointSpec> = {}): Partial<ContainerSpec> {
  return { network: { mode: 'bridge', endpoints: [{ network, aliases: [], ...change }] } };
}

function port(containerPort: number, change: Partial<PortBinding> = {}): PortBinding {
  return { protocol: 'tcp', containerPort, hostIp: '', hostPort: 0, ...change };
}

/** Says its word to everyone who connects to port 80 by either family. */
function server(word: string): string {
  return `while true; do nc -ll -p 80 -e echo ${word}; done`;
}

async function start(engine: Engine, script: string, change: Partial<ContainerSpec>): Promise<string> {
  const { id } = await engine.containers.create(busyboxSpec(script, change), signal);
  await engine.containers.start(id, signal);
  return id;
}

async function inside(engine: Engine, id: string, script: string): Promise<string> {
  const session = await engine.containers.exec(id, { args: ['sh', '-c', script], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
  let text = '';
  session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  session.stderr?.on('data', () => undefined);
  await session.exit;
  return text;
}

/** What a client is told by the address; empty when it cannot connect. From the host itself, or from the machine on its network. */
async function ask(from: 'host' | 'lan', address: string, port_: number): Promise<string> {
  const nc = ['busybox', 'nc', '-w', '1', address, String(port_)];
  const [program = '', ...args] = from === 'host' ? nc : ['nsenter', `--net=${lan}`, ...nc];
  try {
    return (await runCommand(program, args, {}, signal)).stdout.trim();
  } catch (error) {
    if (isError(error, 'internal')) return '';
    throw error;
  }
}

function answers(from: 'host' | 'lan', address: string, port_: number, word: string): Promise<true> {
  return pollUntil(`${word} at ${address} ${port_} from ${from}`, async () => ((await ask(from, address, port_)) === word ? true : undefined), { timeoutMs: 30_000, intervalMs: 50 }, signal);
}

async function ipv6(): Promise<void> {
  await using opened = await openTestEngine();
  const { engine } = opened;
  const network = await engine.networks.create({ name: 'dual', isInternal: false, labels: {}, options: {}, ipv6: { subnet: 'fd77:1::/64', gateway: 'fd77:1::1', addressRange: 'fd77:1::100/120' }, reservedAddresses: { router: 'fd77:1::101' } }, signal);
  assert.deepEqual(network.ipv6, { subnet: 'fd77:1::/64', gateway: 'fd77:1::1', addressRange: 'fd77:1::100/120' });
  await assert.rejects(engine.networks.create({ name: 'again', isInternal: false, labels: {}, options: {}, ipv6: { subnet: 'fd77:1::/48' } }, signal), (error) => isError(error, 'conflict'));
  const automatic = await engine.networks.create({ name: 'automatic', isInternal: false, labels: {}, options: {}, ipv6: {} }, signal);
  assert.match(automatic.ipv6?.subnet ?? '', /^fd[0-9a-f:]+\/64$/);
  assert.equal(readSysctl(`net.ipv6.conf.${network.bridgeName}.accept_ra`), '0');
  assert.equal(readSysctl(`net.ipv6.conf.${engine.networks.get('bridge').bridgeName}.disable_ipv6`), '1');

  const web = await start(engine, server('six'), { ...on('dual', { aliases: ['web'], ipv6Address: 'fd77:1::53' }), ports: [port(80, { hostIp: '2001:db8:1::1', hostPort: 8001 }), port(80, { hostIp: '::1', hostPort: 8002 }), port(80, { hostIp: '::', hostPort: 8003 }), port(80, { hostIp: '0.0.0.0', hostPort: 8003 })] });
  const { endpoints } = engine.containers.get(web).status;
  assert.deepEqual(endpoints[0]?.ipv6, { address: 'fd77:1::53', prefixLength: 64, gateway: 'fd77:1::1' });
  const client = await start(engine, 'sleep 600', on('dual'));
  // The first of the range, one further than what is reserved.
  const own = engine.containers.get(client).status.endpoints[0]?.ipv6?.address;
  assert.ok(own === 'fd77:1::100' || own === 'fd77:1::102', own);
  assert.match(await inside(engine, client, 'nslookup -type=aaaa web'), /Address: fd77:1::53\n/);
  assert.match(await inside(engine, client, 'cat /etc/hosts'), new RegExp(`${own}\t${client.slice(0, 12)}`));
  await pollUntil('the neighbour', async () => (await inside(engine, client, 'nc -w 1 fd77:1::53 80')) === 'six\n' || undefined, { timeoutMs: 30_000 }, signal);
  assert.match(await inside(engine, client, 'ip -6 route'), /default via fd77:1::1 dev eth0/);
  await assert.rejects(engine.containers.start((await engine.containers.create(busyboxSpec('true', on('dual', { ipv6Address: 'fd77:1::53' })), signal)).id, signal), (error) => isError(error, 'conflict'));
  await assert.rejects(engine.containers.start((await engine.containers.create(busyboxSpec('true', on('bridge', { ipv6Address: 'fd77:1::54' })), signal)).id, signal), (error) => isError(error, 'invalid'));

  await answers('lan', '2001:db8:1::1', 8001, 'six');
  await answers('host', '::1', 8002, 'six');
  await answers('host', '::1', 8003, 'six');
  await answers('lan', '2001:db8:1::1', 8003, 'six');
  await answers('lan', '203.0.113.1', 8003, 'six');
  // By its own address it is no machine's but the host's.
  assert.equal(await ask('lan', 'fd77:1::53', 80), '');
  assert.equal(await ask('lan', '2001:db8:1::1', 8002), '');

  // A container without IPv6 is reached by it all the same.
  await start(engine, server('four'), { ports: [port(80, { hostIp: '::1', hostPort: 8004 })] });
  await answers('host', '::1', 8004, 'four');

  const second = await opened.reopen();
  await answers('lan', '2001:db8:1::1', 8001, 'six');
  await answers('host', '::1', 8002, 'six');
  assert.match(await inside(second, client, 'nslookup -type=aaaa web'), /fd77:1::53\n/);
  using nftables = openNftables();
  assert.equal(nftables.list(`list table ip6 gantry-${opened.options.instanceId}-engine`).length > 0, true);
  assert.deepEqual(await second.examine(false, signal), []);
}

async function ports(): Promise<void> {
  await using opened = await openTestEngine();
  const { engine } = opened;
  const range = port(80, { hostPort: 8100, hostPortLast: 8101 });
  const first = await start(engine, server('first'), { ports: [range] });
  const second = await start(engine, server('second'), { ports: [range] });
  assert.deepEqual([first, second].map((id) => engine.containers.get(id).status.ports), [[port(80, { hostIp: '127.0.0.1', hostPort: 8100 })], [port(80, { hostIp: '127.0.0.1', hostPort: 8101 })]]);
  const third = await engine.containers.create(busyboxSpec('true', { ports: [range] }), signal);
  await assert.rejects(engine.containers.start(third.id, signal), (error) => isError(error, 'conflict'));
  await answers('host', '127.0.0.1', 8100, 'first');
  await answers('host', '127.0.0.1', 8101, 'second');
  // The default is the loopback: neither by the host's address nor by the container's own from elsewhere.
  assert.equal(await ask('host', '203.0.113.1', 8100), '');
  assert.equal(await ask('lan', '203.0.113.1', 8100), '');
  assert.equal(await ask('lan', engine.containers.get(first).status.endpoints[0]?.ipv4Address ?? '', 80), '');
  await answers('host', engine.containers.get(first).status.endpoints[0]?.ipv4Address ?? '', 80, 'first');

  // Two addresses, and a network with an address of its own to publish at.
  const two = await start(engine, server('two'), { ports: [port(80, { hostIp: '127.0.0.1', hostPort: 8110 }), port(80, { hostIp: '203.0.113.1', hostPort: 8111 })] });
  await answers('host', '127.0.0.1', 8110, 'two');
  await answers('lan', '203.0.113.1', 8111, 'two');
  assert.equal(await ask('lan', '203.0.113.1', 8110), '');
  await engine.networks.create({ name: 'outward', isInternal: false, labels: {}, options: { 'com.docker.network.bridge.host_binding_ipv4': '203.0.113.1', 'com.docker.network.driver.mtu': '1300', 'com.docker.network.container_iface_prefix': 'net', 'com.docker.network.bridge.enable_icc': 'false' } }, signal);
  const outward = await start(engine, server('outward'), { ...on('outward', { aliases: ['out'] }), ports: [port(80, { hostPort: 8120 })] });
  await answers('lan', '203.0.113.1', 8120, 'outward');
  assert.equal(await inside(engine, outward, 'cat /sys/class/net/net0/mtu'), '1300\n');
  // Kept apart on one bridge, but for what is published.
  const apart = await start(engine, 'sleep 600', on('outward'));
  assert.equal(await inside(engine, apart, 'nc -w 1 out 80'), '');
  assert.equal(await inside(engine, apart, 'nc -w 3 203.0.113.1 8120'), 'outward\n');
  await engine.networks.create({ name: 'inner', isInternal: true, labels: {}, options: {} }, signal);
  const inner = await start(engine, server('inner'), { ...on('inner'), ports: [port(80, { hostPort: 8130 })] });
  assert.deepEqual(engine.containers.get(inner).status.ports, []);
  for (const [name, value] of [['com.docker.network.bridge.name', 'br-x'], ['com.docker.network.bridge.gateway_mode_ipv4', 'routed'], ['com.example', 'x']] as const) {
    await assert.rejects(engine.networks.create({ name: 'refused', isInternal: false, labels: {}, options: { [name]: value } }, signal), (error) => isError(error, 'unsupported'), name);
  }

  // The administrator's own chains: what they drop is dropped, in whatever order they and the engine's were made.
  using nftables = openNftables();
  const admin = (rule: string): void => nftables.apply(`add table inet filter\ndelete table inet filter\ntable inet filter {\n chain forward { type filter hook forward priority filter; policy accept;\n ${rule}\n }\n }`);
  admin('meta l4proto tcp ct original proto-dst 8111 ip saddr 203.0.113.2 drop');
  assert.equal(await ask('lan', '203.0.113.1', 8111), '');
  await answers('lan', '203.0.113.1', 8120, 'outward');
  await engine.networks.create({ name: 'later', isInternal: false, labels: {}, options: {} }, signal);
  assert.equal(await ask('lan', '203.0.113.1', 8111), '');
  // A host that forwards nothing but what it names.
  nftables.apply('flush chain inet filter forward\nadd chain inet filter forward { policy drop; }\nadd rule inet filter forward ct state established,related accept\nadd rule inet filter forward ct status dnat meta l4proto tcp ct original proto-dst 8120 accept');
  assert.equal(await ask('lan', '203.0.113.1', 8111), '');
  await answers('lan', '203.0.113.1', 8120, 'outward');
  nftables.apply('delete table inet filter');
  await answers('lan', '203.0.113.1', 8111, 'two');
  await engine.containers.remove(two, { force: true, removeVolumes: false }, signal);
  assert.equal(await ask('lan', '203.0.113.1', 8111), '');
}

async function changes(): Promise<void> {
  await using opened = await openTestEngine();
  let { engine } = opened;
  for (const name of ['one', 'two']) await engine.networks.create({ name, isInternal: false, labels: {}, options: {} }, signal);
  await engine.networks.create({ name: 'closed', isInternal: true, labels: {}, options: {} }, signal);
  // The way out is the open network, wherever it stands; of open ones the one with the priority.
  const mixed = await runToEnd(engine, busyboxSpec('ip route | grep default', { network: { mode: 'bridge', endpoints: [{ network: 'closed', aliases: [] }, { network: 'one', aliases: [] }, { network: 'two', aliases: [], gatewayPriority: 5 }] } }), signal);
  assert.equal(mixed.stdout, `default via ${engine.networks.get('two').gateway} dev eth2 \n`);

  const web = await start(engine, server('web'), { ...on('one', { aliases: ['web'] }), ports: [port(80, { hostPort: 8200 })] });
  const sharer = await start(engine, 'sleep 600', { network: { mode: 'container', containerId: engine.containers.get(web).id } });
  const neighbour = await start(engine, 'sleep 600', on('two'));
  await answers('host', '127.0.0.1', 8200, 'web');
  assert.equal(await inside(engine, neighbour, 'nslookup web >/dev/null && echo found'), '');
  const hosts = await inside(engine, web, 'cat /etc/hosts');
  await engine.networks.connect('two', web, { aliases: ['api'] }, signal);
  const [, joined] = engine.containers.get(web).status.endpoints;
  assert.equal(await inside(engine, web, 'cat /etc/hosts'), `${hosts}${joined?.ipv4Address ?? ''}\t${web.slice(0, 12)}\n`);
  for (const name of ['api', web.slice(0, 12), engine.containers.get(web).spec.name]) assert.equal(await inside(engine, neighbour, `nc -w 3 ${name} 80`), 'web\n', name);
  assert.match(await inside(engine, web, 'ip route'), new RegExp(`default via ${engine.networks.get('one').gateway} dev eth0`));
  // Leaving the network of the way out moves it, and the ports with it.
  await engine.networks.disconnect('one', web, { force: false }, signal);
  assert.match(await inside(engine, web, 'ip route'), new RegExp(`default via ${engine.networks.get('two').gateway} dev eth1`));
  await answers('host', '127.0.0.1', 8200, 'web');
  assert.deepEqual(engine.containers.get(web).status.ports, [port(80, { hostIp: '127.0.0.1', hostPort: 8200 })]);
  await engine.networks.disconnect('two', web, { force: false }, signal);
  assert.equal(await ask('host', '127.0.0.1', 8200), '');
  assert.doesNotMatch(await inside(engine, web, 'ip route'), /default/);
  await engine.networks.connect('one', web, { aliases: ['web'] }, signal);
  await answers('host', '127.0.0.1', 8200, 'web');

  // What shares the namespace lives through the restart of its owner, and a killed agent.
  await engine.containers.restart(web, { timeoutSeconds: 0 }, signal);
  assert.match(await inside(engine, sharer, 'ip -4 -o addr'), new RegExp(`eth0 +inet ${engine.containers.get(web).status.endpoints[0]?.ipv4Address ?? ''}/`));
  await pollUntil('the server of the namespace', async () => (await inside(engine, sharer, 'nc -w 1 127.0.0.1 80')) === 'web\n' || undefined, { timeoutMs: 30_000 }, signal);
  await engine.containers.stop(web, { timeoutSeconds: 0 }, signal);
  assert.equal(await inside(engine, sharer, 'ls /sys/class/net'), 'lo\n');
  engine = await opened.reopen();
  await engine.containers.start(web, signal);
  assert.equal(await inside(engine, sharer, 'ls /sys/class/net'), 'eth0\nlo\n');
  assert.equal(await inside(engine, sharer, 'cat /etc/hosts'), await inside(engine, web, 'cat /etc/hosts'));

  // A container of the default network gets a name service with its first network that has one, and keeps what it wrote itself.
  const late = await start(engine, 'sleep 600', {});
  assert.doesNotMatch(await inside(engine, late, 'cat /etc/resolv.conf'), /127\.0\.0\.11/);
  await inside(engine, late, 'echo 192.0.2.1 mine >> /etc/hosts');
  await engine.networks.connect('one', late, { aliases: [] }, signal);
  assert.match(await inside(engine, late, 'cat /etc/resolv.conf'), /^nameserver 127\.0\.0\.11\n/);
  assert.equal(await inside(engine, late, 'nc -w 3 web 80'), 'web\n');
  await engine.networks.disconnect('one', late, { force: false }, signal);
  assert.doesNotMatch(await inside(engine, late, 'cat /etc/resolv.conf'), /127\.0\.0\.11/);
  assert.match(await inside(engine, late, 'cat /etc/hosts'), /192\.0\.2\.1 mine/);

  // A stop between a change and its record is put right by the next start.
  const paths = `${opened.options.runFolder}/ns/net-${late.slice(0, 16)}`;
  await engine.networks.connect('two', late, { aliases: [] }, signal);
  const record = `${opened.options.rootFolder}/containers/${late}/container.json`;
  const connected = readFileSync(record, 'utf8');
  await engine.networks.disconnect('two', late, { force: false }, signal);
  await engine[Symbol.asyncDispose]();
  writeFileSync(record, connected);
  engine = await opened.reopen();
  assert.match(await inside(engine, late, 'ls /sys/class/net'), /eth1/);
  assert.equal(withinNamespaces({ net: paths }, () => readFileSync('/proc/thread-self/net/dev', 'utf8').includes('eth1')), true);
}

async function plain(): Promise<void> {
  await using opened = await openTestEngine();
  const { engine } = opened;
  await assert.rejects(engine.networks.create({ name: 'dual', isInternal: false, labels: {}, options: {}, ipv6: {} }, signal), (error) => isError(error, 'unsupported') && /no IPv6/.test(error.message));
  await engine.networks.create({ name: 'one', isInternal: false, labels: {}, options: {} }, signal);
  await start(engine, server('web'), { ...on('one'), ports: [port(80, { hostPort: 8300, hostIp: '0.0.0.0' })] });
  await answers('lan', '203.0.113.1', 8300, 'web');
  const six = await engine.containers.create(busyboxSpec('true', { ports: [port(80, { hostIp: '::1' })] }), signal);
  await assert.rejects(engine.containers.start(six.id, signal), (error) => isError(error, 'unsupported', 'invalid'));
}
