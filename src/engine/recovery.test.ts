import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteTable, identifyProcess, LinkTable, mount, openNftables, readMounts, tablesWithPrefix } from '../host/mod.ts';
import { rootNeeds } from '../host/testing/root.ts';
import { isError, pollUntil } from '../kernel/mod.ts';
import { Cgroups } from './cgroups/cgroups.ts';
import { readCgroupLayout } from './cgroups/layout.ts';
import { EnginePaths } from './paths.ts';
import { readPidFile } from './runtime/monitor.ts';
import { findDebris } from './doctor/sweep.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { simulateReboot } from './testing/reboot.ts';
import { openTestEngine } from './testing/test-engine.ts';

const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox');
const signal = AbortSignal.timeout(120_000);

const podSpec = {
  podUid: 'uid-1',
  namespace: 'default',
  name: 'pod',
  hostname: 'pod',
  labels: {},
  hostNetwork: false,
  dns: { servers: [], searches: [], options: [] },
  extraHosts: [],
  ports: [],
  sysctls: {},
  cgroup: { workload: 'application' as const, cpuShares: 512 },
};

function inPod(sandboxId: string, script: string) {
  return busyboxSpec(script, {
    owner: { kind: 'pod', sandboxId, podUid: podSpec.podUid, containerName: 'main', attempt: 0 },
    network: { mode: 'sandbox' },
    namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } },
  });
}

test('a container outlives the engine, which takes it up again with its ports and log', { skip }, async () => {
  await using opened = await openTestEngine();
  const { engine } = opened;
  const spec = busyboxSpec('for i in 1 2 3; do echo early $i; done; until test -e /tmp/go; do usleep 5000; done; echo late; exit 5', {
    ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }],
  });
  const { id } = await engine.containers.create(spec, signal);
  await engine.containers.start(id, signal);
  const before = engine.containers.get(id);
  const second = await opened.reopen();
  assert.deepEqual(second.containers.get(id), before);
  const other = await second.containers.create(busyboxSpec('true'), signal);
  await second.containers.start(other.id, signal);
  assert.notEqual(second.containers.get(other.id).status.endpoints[0]?.ipv4Address, before.status.endpoints[0]?.ipv4Address);
  const go = await second.containers.exec(id, { args: ['touch', '/tmp/go'], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
  await go.exit;
  assert.equal((await second.containers.wait(id, 'not-running', signal)).exitCode, 5);
  const lines: string[] = [];
  for await (const { text } of second.containers.logs(id, { follow: false, stdout: true, stderr: true }, signal)) lines.push(text.toString());
  assert.deepEqual(lines, ['early 1', 'early 2', 'early 3', 'late']);
});

test('an exit while no engine looked is found with its code and its restart policy', { skip }, async () => {
  await using opened = await openTestEngine();
  // Both wait for a file that appears only when no engine looks any more.
  const gate = join(opened.options.rootFolder, 'gate');
  mkdirSync(gate);
  const mounts = [{ type: 'bind' as const, source: gate, target: '/gate', isReadOnly: true, propagation: 'rprivate' as const, isRecursive: true, createSource: false }];
  const atGate = 'until test -e /gate/open; do usleep 5000; done';
  const once = await opened.engine.containers.create(busyboxSpec(`${atGate}; exit 8`, { mounts }), signal);
  const again = await opened.engine.containers.create(busyboxSpec(`test -e /tmp/x && sleep 60; touch /tmp/x; ${atGate}; exit 9`, { mounts, restart: { name: 'always' } }), signal);
  await Promise.all([once, again].map(({ id }) => opened.engine.containers.start(id, signal)));
  await opened.engine[Symbol.asyncDispose]();
  await assert.rejects(opened.engine.purge(signal), (error) => isError(error, 'conflict'));
  writeFileSync(join(gate, 'open'), '');
  const exits = join(opened.options.runFolder, 'exits');
  await pollUntil('both exits', () => readdirSync(exits).filter((name) => name.length === 64).length === 2 || undefined, { timeoutMs: 30_000 }, signal);
  const engine = await opened.reopen();
  const { status } = engine.containers.get(once.id);
  assert.deepEqual([status.state, status.exitCode, status.endpoints], ['exited', 8, []]);
  await pollUntil('the restart', () => engine.containers.get(again.id).status.state === 'running' || undefined, { timeoutMs: 30_000 }, signal);
  assert.equal(engine.containers.get(again.id).status.restartCount, 1);
});

test('when its monitor is killed a container is ended and reported, whether an engine looks or not', { skip }, async () => {
  await using opened = await openTestEngine();
  const killMonitor = (id: string): void => {
    const pid = readPidFile(new EnginePaths(opened.options.rootFolder, opened.options.runFolder).container(id).monitorPidFile);
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
  };
  const watched = await opened.engine.containers.create(busyboxSpec('sleep 60'), signal);
  await opened.engine.containers.start(watched.id, signal);
  const { pid } = opened.engine.containers.get(watched.id).status;
  killMonitor(watched.id);
  const exit = await opened.engine.containers.wait(watched.id, 'not-running', signal);
  assert.equal(exit.exitCode, 137);
  assert.match(exit.error ?? '', /monitor/);
  await pollUntil('the process to end', () => identifyProcess(pid ?? 0) === undefined || undefined, { timeoutMs: 30_000 }, signal);

  const unwatched = await opened.engine.containers.create(busyboxSpec('sleep 60'), signal);
  await opened.engine.containers.start(unwatched.id, signal);
  await opened.engine[Symbol.asyncDispose]();
  killMonitor(unwatched.id);
  const engine = await opened.reopen();
  const { status } = engine.containers.get(unwatched.id);
  assert.deepEqual([status.state, status.exitCode], ['exited', 255]);
});

test('after a reboot everything is known, pods keep their address, and policies are honoured', { skip }, async () => {
  await using opened = await openTestEngine();
  const { containers, sandboxes, volumes } = opened.engine;
  const make = async (change: Parameters<typeof busyboxSpec>[1]) => {
    const { id } = await containers.create(busyboxSpec('sleep 60', change), signal);
    await containers.start(id, signal);
    return id;
  };
  const plain = await make({});
  const always = await make({ restart: { name: 'always' } });
  const stopped = await make({ restart: { name: 'unless-stopped' } });
  await containers.stop(stopped, { timeoutSeconds: 0 }, signal);
  const created = (await containers.create(busyboxSpec('true'), signal)).id;
  await volumes.create({ name: 'kept', labels: {}, options: {} }, signal);
  const sandbox = await sandboxes.create(podSpec, signal);
  const pod = (await containers.create(inPod(sandbox.id, 'sleep 60'), signal)).id;
  await containers.start(pod, signal);

  await simulateReboot(opened, signal);
  const engine = await opened.reopen();
  const stateOf = (id: string) => [engine.containers.get(id).status.state, engine.containers.get(id).status.exitCode];
  assert.deepEqual([plain, stopped, created, pod].map(stateOf), [['exited', 255], ['exited', 137], ['created', undefined], ['exited', 255]]);
  await pollUntil('the restart', () => engine.containers.get(always).status.state === 'running' || undefined, { timeoutMs: 30_000 }, signal);
  assert.deepEqual(engine.sandboxes.list(), [sandbox]);
  const inside = await runToEnd(engine, inPod(sandbox.id, 'ip -4 addr show eth0 | grep -o "inet [0-9.]*"; hostname'), signal);
  assert.equal(inside.stdout, `inet ${sandbox.endpoint?.ipv4Address ?? ''}\npod\n`);
  assert.deepEqual(engine.volumes.list().map(({ name }) => name), ['kept']);
});

test('examine() finds and repairs what somebody else broke', { skip }, async () => {
  await using opened = await openTestEngine();
  const { engine, options } = opened;
  const { id } = await engine.containers.create(busyboxSpec('sleep 60', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] }), signal);
  await engine.containers.start(id, signal);
  await engine.sandboxes.create(podSpec, signal);
  const { layerFolders } = await options.images.openRootfs(busyboxSpec('').image.id, signal);
  await using tree = await engine.trees.open(layerFolders, signal);
  assert.ok(tree.rootPath);
  assert.deepEqual(await engine.examine(false, signal), []);

  using nftables = openNftables();
  nftables.apply(deleteTable('ip', `gantry-${options.instanceId}-engine`));
  const stray = join(options.runFolder, 'c', 'stray');
  mkdirSync(stray);
  mount('tmpfs', stray, 'tmpfs', 0);
  const cgroups = new Cgroups(readCgroupLayout(), options.instanceId);
  cgroups.createParent(cgroups.pathOf('user', 'f'.repeat(64)), { memoryLimitBytes: 64 << 20 });
  using links = LinkTable.open();
  links.createBridge(`g${options.instanceId.slice(0, 6)}bstray`);

  const kinds = (findings: readonly { kind: string }[]): string[] => findings.map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b));
  assert.deepEqual(kinds(await engine.examine(true, signal)), ['cgroup', 'link', 'mount', 'run-folder', 'table']);
  assert.deepEqual(await engine.examine(false, signal), []);
  assert.equal(engine.containers.get(id).status.state, 'running');
});

test('purge() leaves nothing on the machine', { skip }, async () => {
  const opened = await openTestEngine();
  const { engine, options } = opened;
  const sandbox = await engine.sandboxes.create(podSpec, signal);
  const specs = [
    busyboxSpec('sleep 60', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] }),
    busyboxSpec('sleep 60', { namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'shareable' } } }),
    inPod(sandbox.id, 'sleep 60'),
  ];
  for (const spec of specs) {
    const { id } = await engine.containers.create(spec, signal);
    await engine.containers.start(id, signal);
  }
  await engine.networks.create({ name: 'extra', isInternal: false, labels: {}, options: {} }, signal);
  const { layerFolders } = await options.images.openRootfs(busyboxSpec('').image.id, signal);
  await engine.trees.open(layerFolders, signal);
  const debrisNow = () => {
    using nftables = openNftables();
    const cgroups = new Cgroups(readCgroupLayout(), options.instanceId);
    const paths = new EnginePaths(options.rootFolder, options.runFolder);
    return { ...findDebris({ instanceId: options.instanceId, paths, cgroups, nftables }), slices: cgroups.children(cgroups.rootPath) };
  };
  const found = debrisNow();
  for (const [kind, items] of Object.entries(found)) assert.ok(items.length > 0, `the search for ${kind} finds what is there`);
  await opened[Symbol.asyncDispose]();
  // The kernel takes veth pairs away a moment after their namespace.
  await pollUntil('the last interface', () => debrisNow().links.length === 0 || undefined, { timeoutMs: 30_000 }, signal);
  assert.deepEqual(debrisNow(), { mounts: [], links: [], tables: [], cgroups: [], slices: [] });
  assert.deepEqual(readMounts().filter(({ target }) => target.includes(options.instanceId)), []);
  using nftables = openNftables();
  assert.deepEqual(tablesWithPrefix(nftables, `gantry-${options.instanceId}`), []);
  using links = LinkTable.open();
  assert.deepEqual(links.list().filter(({ name }) => name.startsWith(`g${options.instanceId.slice(0, 6)}`)), []);
});
