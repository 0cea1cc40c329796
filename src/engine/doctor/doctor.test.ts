import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { identifyProcess, LinkTable, mount, openNftables, pinNamespaces, readMounts, readSysctl, tablesWithPrefix, unpinNamespace, writeSysctl } from '../../host/mod.ts';
import { rootNeeds } from '../../host/testing/root.ts';
import { pollUntil, randomHex } from '../../kernel/mod.ts';
import { Cgroups } from '../cgroups/cgroups.ts';
import { readCgroupLayout } from '../cgroups/layout.ts';
import type { EngineFinding } from '../engine.ts';
import { examineClosedStore } from '../images/store-doctor.ts';
import { EnginePaths } from '../paths.ts';
import { busyboxSpec } from '../testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from '../testing/test-engine.ts';
import { examineClosed } from './examine.ts';
import { checkHost, type HostLookups } from './host-checks.ts';

const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox');
const signal = AbortSignal.timeout(120_000);
const hostKinds = ['program', 'disk', 'kernel'];

/** Garbage of one kind on the machine: `isThere` says whether it still is. */
interface Garbage extends AsyncDisposable { readonly kinds: readonly string[]; readonly isThere: () => boolean }

type Maker = (opened: TestEngine) => Garbage | Promise<Garbage>;

const paths = ({ options }: TestEngine): EnginePaths => new EnginePaths(options.rootFolder, options.runFolder);
const prefix = ({ options }: TestEngine): string => `g${options.instanceId.slice(0, 6)}`;
const nothing = { [Symbol.asyncDispose]: async () => undefined };

function folder(kind: string, at: (all: EnginePaths) => string): Maker {
  return (opened) => {
    const path = at(paths(opened));
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'left'), '');
    return { kinds: [kind], isThere: () => existsSync(path), ...nothing };
  };
}

const makers: Readonly<Record<string, Maker>> = {
  'a mount in a run folder': (opened) => {
    const path = join(opened.options.runFolder, 'c', randomHex(8));
    mkdirSync(path, { recursive: true });
    mount('tmpfs', path, 'tmpfs', 0);
    return { kinds: ['mount', 'run-folder'], isThere: () => readMounts().some(({ target }) => target === path) || existsSync(path), ...nothing };
  },
  'a pinned namespace': (opened) => {
    const path = join(paths(opened).namespaces, `net-${randomHex(8)}`);
    pinNamespaces({ net: path });
    return { kinds: ['namespace', 'namespace'], isThere: () => existsSync(path), ...nothing };
  },
  'a bridge': (opened) => {
    using links = LinkTable.open();
    const name = `${prefix(opened)}b${randomHex(3)}`;
    links.createBridge(name);
    return { kinds: ['link'], isThere: () => hasLink(name), ...nothing };
  },
  'a veth whose namespace somebody keeps': (opened) => {
    using links = LinkTable.open();
    const elsewhere = mkdtempSync(join(tmpdir(), 'gantry-kept-'));
    pinNamespaces({ net: join(elsewhere, 'net') });
    const fd = openSync(join(elsewhere, 'net'), 'r');
    const name = `${prefix(opened)}v${randomHex(3)}`;
    links.createVeth(name, links.find(`${prefix(opened)}br`)?.index ?? 0, { name: 'eth0', macAddress: '02:00:00:00:00:09', namespaceFd: fd });
    closeSync(fd);
    const dispose = async (): Promise<void> => {
      unpinNamespace(join(elsewhere, 'net'));
      rmSync(elsewhere, { recursive: true });
    };
    return { kinds: ['veth'], isThere: () => hasLink(name), [Symbol.asyncDispose]: dispose };
  },
  'an address on a bridge': (opened) => {
    using links = LinkTable.open();
    const index = links.find(`${prefix(opened)}br`)?.index ?? 0;
    links.addAddress(index, '198.51.100.77', 32);
    const isThere = (): boolean => {
      using table = LinkTable.open();
      return table.addresses(index).some(({ address }) => address === '198.51.100.77');
    };
    return { kinds: ['address'], isThere, ...nothing };
  },
  'a packet filter table': (opened) => {
    const name = `gantry-${opened.options.instanceId}-engine`;
    using nftables = openNftables();
    nftables.apply(`add table ip6 ${name}`);
    const isThere = (): boolean => {
      using again = openNftables();
      return tablesWithPrefix(again, name).some(({ family }) => family === 'ip6');
    };
    return { kinds: ['table'], isThere, ...nothing };
  },
  'a control group with a process': async (opened) => {
    const cgroups = new Cgroups(readCgroupLayout(), opened.options.instanceId);
    const path = cgroups.pathOf('user', randomHex(32));
    cgroups.createParent(path, { memoryLimitBytes: 64 << 20, cpuShares: 100 });
    const sleeper = spawn('sleep', ['600'], { stdio: 'ignore' });
    assert.ok(sleeper.pid);
    cgroups.write(path, 'memory', 'cgroup.procs', String(sleeper.pid));
    return { kinds: ['cgroup'], isThere: () => cgroups.children(cgroups.pathOf('user')).some((name) => path.endsWith(name)), [Symbol.asyncDispose]: async () => void sleeper.kill('SIGKILL') };
  },
  'a monitor of nobody': async (opened) => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'gantry-conmon-'));
    const program = join(elsewhere, 'conmon');
    writeFileSync(program, '#!/bin/sh\nread line\n');
    chmodSync(program, 0o755);
    const child = spawn(program, ['--exit-dir', paths(opened).exits, '--cid', randomHex(32)], { stdio: ['pipe', 'ignore', 'ignore'] });
    const exited = once(child, 'exit');
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const dispose = async (): Promise<void> => {
      child.kill('SIGKILL');
      await exited;
      rmSync(elsewhere, { recursive: true });
    };
    return { kinds: ['process'], isThere: () => identifyProcess(pid) !== undefined, [Symbol.asyncDispose]: dispose };
  },
  'a container folder without a record': folder('container-folder', ({ containers }) => join(containers, randomHex(32))),
  'a folder of a build': folder('container-folder', ({ trees }) => join(trees, randomHex(16))),
  'a run folder of a pod': folder('run-folder', ({ run }) => join(run, 's', randomHex(8))),
  'state of the runtime': folder('runtime-state', ({ runtimeState }) => join(runtimeState, randomHex(32))),
  'an exit file': (opened) => {
    const path = join(paths(opened).exits, randomHex(32));
    writeFileSync(path, '0');
    return { kinds: ['exit-file'], isThere: () => existsSync(path), ...nothing };
  },
};

function hasLink(name: string): boolean {
  using links = LinkTable.open();
  return links.find(name) !== undefined;
}

async function withoutHost(findings: Promise<EngineFinding[]>): Promise<EngineFinding[]> {
  return (await findings).filter(({ kind }) => !hostKinds.includes(kind));
}

for (const isOpen of [true, false]) {
  test(`${isOpen ? 'examine() of a running engine' : 'examineClosed()'} lists and repairs each kind of garbage, and touches nothing else`, { skip }, async () => {
    await using other = await openTestEngine();
    await using opened = await openTestEngine();
    const start = async ({ engine }: TestEngine): Promise<string> => {
      const { id } = await engine.containers.create(busyboxSpec('sleep 600', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] }), signal);
      await engine.containers.start(id, signal);
      return id;
    };
    const [own, foreign] = [await start(opened), await start(other)];
    if (!isOpen) await opened.engine[Symbol.asyncDispose]();
    const { instanceId, rootFolder, runFolder } = opened.options;
    const look = (isRepaired: boolean): Promise<EngineFinding[]> => withoutHost(isOpen ? opened.engine.examine(isRepaired, signal) : examineClosed({ instanceId, rootFolder, runFolder }, isRepaired, signal));
    assert.deepEqual(await look(false), []);
    for (const [what, make] of Object.entries(makers)) {
      await using garbage = await make(opened);
      const kinds = (findings: EngineFinding[]): string[] => findings.map(({ kind }) => kind);
      assert.deepEqual(kinds(await look(false)), garbage.kinds, what);
      assert.equal(garbage.isThere(), true, `${what} is there after a mere look`);
      const repaired = await look(true);
      assert.deepEqual([kinds(repaired), repaired.every(({ isRepaired }) => isRepaired)], [garbage.kinds, true], what);
      await pollUntil(`${what} to go`, () => !garbage.isThere() || undefined, { timeoutMs: 30_000 }, signal);
      assert.deepEqual(await look(false), [], what);
    }
    const engine = isOpen ? opened.engine : await opened.reopen();
    for (const [{ engine: each }, id] of [[{ engine }, own], [other, foreign]] as const) {
      assert.equal(each.containers.get(id).status.state, 'running');
      assert.deepEqual(await withoutHost(each.examine(false, signal)), []);
    }
  });
}

test('examine() makes what somebody else took away', { skip }, async () => {
  await using opened = await openTestEngine();
  const bridge = `${prefix(opened)}br`;
  const { gateway } = opened.engine.networks.get('bridge');
  const setting = `net.ipv4.conf.${bridge}.route_localnet`;
  writeSysctl(setting, '0');
  using links = LinkTable.open();
  links.removeAddress(links.find(bridge)?.index ?? 0, gateway, 25);
  using nftables = openNftables();
  nftables.apply(`delete table ip gantry-${opened.options.instanceId}-engine`);
  const kinds = async (isRepaired: boolean): Promise<string[]> => (await withoutHost(opened.engine.examine(isRepaired, signal))).map(({ kind }) => kind);
  assert.deepEqual(await kinds(false), ['address', 'table', 'sysctl']);
  assert.deepEqual(await kinds(true), ['address', 'table', 'sysctl']);
  assert.deepEqual(await kinds(false), []);
  assert.equal(readSysctl(setting), '1');
});

test('a published port that another program took while no engine ran is told', { skip }, async () => {
  await using opened = await openTestEngine();
  const { id } = await opened.engine.containers.create(busyboxSpec('sleep 600', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] }), signal);
  await opened.engine.containers.start(id, signal);
  const [port] = opened.engine.containers.get(id).status.ports;
  await opened.engine[Symbol.asyncDispose]();
  const { createServer } = await import('node:net');
  const thief = createServer().listen(port?.hostPort, '127.0.0.1');
  await once(thief, 'listening');
  const engine = await opened.reopen();
  const found = await withoutHost(engine.examine(true, signal));
  thief.close();
  assert.deepEqual(found, [{ kind: 'port', name: `127.0.0.1:${port?.hostPort ?? 0}/tcp`, problem: `published by ${id.slice(0, 12)}, but held by another program`, isRepaired: false }]);
});

test('examineClosedStore() finds snapshots without a record, unfinished ones, and records without a snapshot', async () => {
  const store = mkdtempSync(join(tmpdir(), 'gantry-store-'));
  for (const path of ['snapshots/kept', 'snapshots/orphan', 'temporary/half', 'layers']) mkdirSync(join(store, path), { recursive: true });
  for (const name of ['kept', 'broken']) writeFileSync(join(store, 'layers', `${name}.json`), '{}');
  const names = async (isRepaired: boolean): Promise<string[]> => (await examineClosedStore(store, isRepaired)).map(({ name }) => name.slice(store.length + 1));
  assert.deepEqual(await names(false), ['snapshots/orphan', 'temporary/half', 'layers/broken.json']);
  await names(true);
  assert.deepEqual(await names(false), []);
  assert.ok(existsSync(join(store, 'snapshots/kept')) && existsSync(join(store, 'layers/kept.json')));
  rmSync(store, { recursive: true });
});

test('checkHost() names programs, disks and kernel settings that keep containers from working', async () => {
  const files: Record<string, string> = { '/proc/filesystems': 'nodev\tcgroup2\nnodev\toverlay\n', '/proc/self/status': 'Seccomp:\t0\n', '/proc/sys/net/ipv4/ip_forward': '1\n' };
  const well: HostLookups = { find: async (name) => `/usr/bin/${name}`, read: (path) => files[path], free: () => ({ freeBytes: 2 ** 40, totalBytes: 2 ** 41, freeFiles: 900, totalFiles: 1000 }) };
  const names = async (host: HostLookups): Promise<string[]> => (await checkHost('/x', host)).map(({ kind, name }) => `${kind} ${name}`);
  assert.deepEqual(await names(well), []);
  assert.deepEqual(await names({ ...well, find: async (name) => (name === 'runc' || name === 'conmon' ? undefined : name) }), ['program conmon']);
  assert.deepEqual(await names({ ...well, find: async (name) => (/^(runc|crun)$/.test(name) ? undefined : name) }), ['program runc or crun']);
  assert.deepEqual(await names({ ...well, free: () => ({ freeBytes: 2 ** 30, totalBytes: 2 ** 40, freeFiles: 3, totalFiles: 1000 }) }), ['disk /x', 'disk /x']);
  const bare = { ...well, read: (path: string) => ({ '/proc/sys/net/ipv4/ip_forward': '0\n', '/proc/sys/user/max_net_namespaces': '0\n' })[path] };
  assert.deepEqual(await names(bare), ['kernel overlay', 'kernel seccomp', 'kernel net.ipv4.ip_forward', 'kernel user.max_net_namespaces', 'kernel cgroup']);
});
