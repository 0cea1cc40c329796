import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { isError } from '../kernel/mod.ts';
import { grantableCapabilities } from './bundle/capabilities.ts';
import type { Engine } from './engine.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';
import type { ContainerId, ContainerSpec } from './types.ts';

const signal = AbortSignal.timeout(120_000);
const plain = busyboxSpec('');

/** Each option of a container, and what a program inside sees of it. */
suite('options of a container', { skip: rootNeeds('runc', 'conmon', 'nft', 'busybox'), concurrency: 2 }, () => {
  let opened: TestEngine;
  let engine: Engine;
  let neighbour: ContainerId;
  before(async () => {
    opened = await openTestEngine();
    engine = opened.engine;
    const namespaces: ContainerSpec['namespaces'] = { ...plain.namespaces, ipc: { mode: 'shareable' } };
    neighbour = (await engine.containers.create(busyboxSpec('echo from the neighbour > /dev/shm/x; sleep 600', { hostname: 'neighbour', namespaces }), signal)).id;
    await engine.containers.start(neighbour, signal);
  });
  after(() => opened[Symbol.asyncDispose]());

  const namespace = (change: Partial<ContainerSpec['namespaces']>): Partial<ContainerSpec> => ({ namespaces: { ...plain.namespaces, ...change } });
  const security = (change: Partial<ContainerSpec['security']>): Partial<ContainerSpec> => ({ security: { ...plain.security, ...change } });
  const hostNamespace = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`);
  const ownNamespace = (kind: string): string => `readlink /proc/self/ns/${kind}`;

  const cases: [what: string, change: () => Partial<ContainerSpec>, script: string, expected: string | RegExp | (() => string)][] = [
    ['ipc host', () => namespace({ ipc: { mode: 'host' } }), ownNamespace('ipc'), () => hostNamespace('ipc')],
    ['ipc of a container', () => namespace({ ipc: { mode: 'container', containerId: neighbour } }), 'cat /dev/shm/x', 'from the neighbour'],
    ['pid host', () => namespace({ pid: { mode: 'host' } }), ownNamespace('pid'), () => hostNamespace('pid')],
    ['pid of a container', () => namespace({ pid: { mode: 'container', containerId: neighbour } }), 'tr "\\0" " " < /proc/1/cmdline', /^(sh -c .*|sleep 600)$/],
    ['uts host', () => namespace({ uts: { mode: 'host' } }), 'hostname', () => hostname()],
    ['cgroup host', () => namespace({ cgroup: { mode: 'host' } }), ownNamespace('cgroup'), () => hostNamespace('cgroup')],
    ['cgroup private', () => ({}), 'grep memory /proc/self/cgroup || cat /proc/self/cgroup', /:\/$/],
    ['network host', () => ({ network: { mode: 'host' } }), ownNamespace('net'), () => hostNamespace('net')],
    ['network none', () => ({ network: { mode: 'none' } }), 'ls /sys/class/net', 'lo'],
    ['network of a container', () => ({ network: { mode: 'container', containerId: neighbour } }), 'grep -c neighbour /etc/hosts; ls /sys/class/net', '1\neth0\nlo'],
    ['privileged', () => security({ isPrivileged: true }), 'grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted; test -b /dev/vda && echo disk; test -w /proc/sys/kernel/hostname && echo writable', /^CapEff:\t[0-9a-f]+\nSeccomp:\t0\nmounted\n(disk\n)?writable$/],
    ['read-only root', () => security({ isReadOnlyRoot: true }), '(echo x > /file) 2>&1; echo y > /dev/shm/z && echo shm', 'sh: can\'t create /file: Read-only file system\nshm'],
    ['a capability more', () => security({ addCapabilities: ['SYS_ADMIN'] }), 'mount -t tmpfs x /tmp && echo mounted', 'mounted'],
    ['no capabilities', () => security({ dropCapabilities: ['ALL'] }), 'grep CapBnd /proc/self/status; chown app /tmp 2>&1', 'CapBnd:\t0000000000000000\nchown: /tmp: Operation not permitted'],
    ['seccomp unconfined', () => security({ seccomp: { kind: 'unconfined' } }), 'grep Seccomp: /proc/self/status', 'Seccomp:\t0'],
    [
      'a seccomp profile of its own',
      () => security({ seccomp: { kind: 'custom', profile: JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }] }) } }),
      'mkdir /tmp/x 2>&1; touch /tmp/y && echo touched',
      "mkdir: can't create directory '/tmp/x': Operation not permitted\ntouched",
    ],
    ['masked paths of its own', () => security({ maskedPaths: ['/proc/version'] }), 'wc -c < /proc/version', '0'],
    ['a device', () => ({ devices: [{ hostPath: '/dev/kmsg', containerPath: '/dev/messages', permissions: 'r' }] }), 'test -c /dev/messages && echo there; (echo x > /dev/messages) 2>&1', 'there\nsh: can\'t create /dev/messages: Operation not permitted'],
    [
      'a device rule',
      () => ({ deviceRules: [{ type: 'b', major: 7, minor: 0, access: 'rw' }] }),
      'mknod /tmp/allowed b 7 0; mknod /tmp/closed b 7 1; for name in allowed closed; do (cat < /tmp/$name > /dev/null) 2>&1 | grep -c "not permitted"; done',
      '0\n1',
    ],
    ['ulimits', () => ({ resources: { ulimits: [{ name: 'nofile', soft: 100, hard: 200 }, { name: 'core', soft: 0, hard: 0 }] } }), 'ulimit -n; ulimit -Hn; ulimit -c', '100\n200\n0'],
    ['an OOM score', () => ({ resources: { oomScoreAdj: 500 } }), 'cat /proc/self/oom_score_adj', '500'],
    ['sysctls', () => ({ sysctls: { 'net.ipv4.ip_unprivileged_port_start': '80', 'kernel.shmmax': '123456' } }), 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax', '80\n123456'],
    ['supplemental groups', () => ({ user: 'nobody', supplementalGroups: ['staff', '4242'] }), 'id -G', '65534 50 4242'],
    ['extra hosts and resolvers', () => ({ extraHosts: [{ ip: '192.0.2.9', names: ['nine', 'neun'] }], dns: { servers: ['192.0.2.53'], searches: ['a.test'], options: ['ndots:3'] } }), 'grep nine /etc/hosts; cat /etc/resolv.conf', '192.0.2.9\tnine neun\nnameserver 192.0.2.53\nsearch a.test\noptions ndots:3'],
    ['a size of /dev/shm', () => ({ shmSizeBytes: 8 << 20 }), 'grep " /dev/shm " /proc/mounts | grep -o "size=[0-9]*k"', 'size=8192k'],
    ['a CPU share and quota', () => ({ resources: { cpuShares: 512, cpuQuotaMicros: 20_000, cpuPeriodMicros: 100_000 } }), 'cd /sys/fs/cgroup; cat cpu/cpu.shares cpu/cpu.cfs_quota_us 2>/dev/null || cat cpu.weight cpu.max', /^(512\n20000|20\n20000 100000)$/],
    ['a cpuset', () => ({ resources: { cpusetCpus: '0' } }), 'grep Cpus_allowed_list /proc/self/status', 'Cpus_allowed_list:\t0'],
    ['environment', () => ({ env: ['PATH=/bin', 'EMPTY=', 'MULTI=a=b'], tty: false }), 'env | sort', /^EMPTY=\nHOME=\/\w*\nHOSTNAME=\w+\nMULTI=a=b\nPATH=\/bin\nPWD=\/\nSHLVL=1$/],
    ['a mount that others below see', () => ({ mounts: [{ type: 'tmpfs', target: '/a/b', isReadOnly: true, options: [] }, { type: 'tmpfs', target: '/a', isReadOnly: false, options: [], mode: 0o700 }] }), 'stat -c %a /a; (touch /a/b/c) 2>&1; touch /a/d && echo ok', '700\ntouch: /a/b/c: Read-only file system\nok'],
  ];

  for (const [what, change, script, expected] of cases) {
    test(`with ${what}`, async () => {
      const { stdout, stderr } = await runToEnd(engine, busyboxSpec(script, change()), signal);
      const text = stdout.trimEnd();
      if (expected instanceof RegExp) assert.match(text, expected, stderr);
      else assert.equal(text, typeof expected === 'function' ? expected() : expected, stderr);
    });
  }

  test('limits that the host cannot raise are clamped, and the record warns', { skip: grantableCapabilities().has('CAP_SYS_RESOURCE') && 'needs a host without CAP_SYS_RESOURCE' }, async () => {
    const { id } = await engine.containers.create(busyboxSpec('ulimit -Hn; sleep 60', { resources: { ulimits: [{ name: 'nofile', soft: 100, hard: 2 ** 40 }], oomScoreAdj: -999 } }), signal);
    await engine.containers.start(id, signal);
    assert.equal(engine.containers.get(id).status.warnings.length, 2);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('rates of block devices are set by device', { skip: existsSync('/dev/loop0') ? false : 'needs a block device' }, async () => {
    const { stdout } = await runToEnd(engine, busyboxSpec('cd /sys/fs/cgroup; cat blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_iops_device 2>/dev/null || cat io.max', { resources: { blockDevices: [{ kind: 'read-bytes', path: '/dev/loop0', value: 1 << 20 }, { kind: 'write-operations', path: '/dev/loop0', value: 100 }] } }), signal);
    assert.match(stdout, /^7:0 (1048576\n7:0 100\n|rbps=1048576 wbps=max riops=max wiops=100\n)$/);
    const notBlock = await engine.containers.create(busyboxSpec('true', { resources: { blockDevices: [{ kind: 'read-bytes', path: '/dev/null', value: 1 }] } }), signal);
    await assert.rejects(engine.containers.start(notBlock.id, signal), (error) => isError(error, 'invalid'));
  });

  test('a volume may be a folder of the host, and a container may have a part of a volume', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-bound-'));
    mkdirSync(join(folder, 'part'));
    writeFileSync(join(folder, 'part/file'), 'of the host\n');
    await engine.volumes.create({ name: 'bound', labels: {}, options: { type: 'none', o: 'bind', device: folder } }, signal);
    const mounts: ContainerSpec['mounts'] = [{ type: 'volume', volume: 'bound', target: '/whole', isReadOnly: false, copyUp: true }, { type: 'volume', volume: 'bound', target: '/part', isReadOnly: true, copyUp: true, subpath: 'part' }];
    const { stdout } = await runToEnd(engine, busyboxSpec('cat /part/file; ls /part /whole; echo new > /whole/part/new; cat /part/new; (echo x > /part/x) 2>&1', { mounts }), signal);
    assert.equal(stdout, "of the host\n/part:\nfile\n\n/whole:\npart\nnew\nsh: can't create /part/x: Read-only file system\n");
    const missing = await engine.containers.create(busyboxSpec('true', { mounts: [{ type: 'volume', volume: 'bound', target: '/x', isReadOnly: false, copyUp: true, subpath: 'none' }] }), signal);
    await assert.rejects(engine.containers.start(missing.id, signal), (error) => isError(error, 'invalid') && error.message.includes('no such file'));
    rmSync(folder, { recursive: true });
  });

  test('a range of host ports gives the first that is free', async () => {
    const first = await freePort();
    const start = async (): Promise<number | undefined> => {
      const { id } = await engine.containers.create(busyboxSpec('sleep 60', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: first, hostPortLast: first + 1 }] }), signal);
      await engine.containers.start(id, signal);
      return engine.containers.get(id).status.ports[0]?.hostPort;
    };
    assert.equal(await start(), first);
    assert.equal(await start(), first + 1);
    await assert.rejects(start(), (error) => isError(error, 'conflict'));
  });

  test('update() changes the limits of a running container', async () => {
    const { id } = await engine.containers.create(busyboxSpec('sleep 60', { resources: { memoryLimitBytes: 64 << 20 } }), signal);
    await engine.containers.start(id, signal);
    await engine.containers.update(id, { resources: { memoryLimitBytes: 32 << 20, memorySwapBytes: 48 << 20, pidsLimit: 7 }, restart: { name: 'always' } }, signal);
    const { memoryLimitBytes, pidsLimit } = await engine.containers.usage(id, signal);
    assert.deepEqual([memoryLimitBytes, pidsLimit, engine.containers.get(id).spec.restart.name], [32 << 20, 7, 'always']);
    await assert.rejects(engine.containers.update(id, { resources: { memoryLimitBytes: 1 } }, signal), (error) => isError(error, 'invalid'));
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('what is not supported is refused when the container is created', async () => {
    await assert.rejects(engine.containers.create(busyboxSpec('true', { ...namespace({ user: { mode: 'shared' } }), network: { mode: 'host' } }), signal), (error) => isError(error, 'invalid', 'unsupported'));
    await assert.rejects(engine.containers.create(busyboxSpec('true', { image: { ...plain.image, id: `sha256:${'0'.repeat(64)}` as typeof plain.image.id } }), signal), (error) => isError(error, 'not-found'));
    const missing = await engine.containers.create(busyboxSpec('true', { mounts: [{ type: 'bind', source: '/no/such/folder', target: '/x', isReadOnly: false, propagation: 'rprivate', isRecursive: true, createSource: false }] }), signal);
    await assert.rejects(engine.containers.start(missing.id, signal), (error) => isError(error, 'invalid'));
    await assert.rejects(engine.containers.create(busyboxSpec('true', { network: { mode: 'bridge', endpoints: [{ network: 'no-such', aliases: [] }] } }), signal), (error) => isError(error, 'not-found'));
  });

  test('the host keeps its own settings', () => {
    assert.notEqual(readFileSync('/proc/sys/kernel/shmmax', 'utf8'), '123456\n');
  });
});

/** The first of two neighbours that nobody has. */
async function freePort(): Promise<number> {
  for (;;) {
    await using one = createServer();
    await using other = createServer();
    const port = await new Promise<number>((resolve) => void one.listen(0, '127.0.0.1', () => resolve((one.address() as { port: number }).port)));
    const isFree = port < 65_535 && await new Promise<boolean>((resolve) => void other.once('error', () => resolve(false)).listen(port + 1, '127.0.0.1', () => resolve(true)));
    if (isFree) return port;
  }
}
