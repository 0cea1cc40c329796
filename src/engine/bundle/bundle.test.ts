import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { plainContainerSpec } from '../containers/plain-spec.ts';
import type { ContainerSpec } from '../types.ts';
import { type BundleFacts, planBundle, planEnvironment, serializeSpec } from './bundle.ts';
import { allCapabilities, defaultCapabilities, grantableCapabilities, normalizeCapability, planCapabilities, toOciCapabilities } from './capabilities.ts';
import { planDevices } from './devices.ts';
import { userMounts } from './mounts.ts';
import { checkResources, planResources } from './resources.ts';
import { planRlimits } from './rlimits.ts';
import { hardenProfile, parseSeccompProfile, toOciSeccomp } from './seccomp.ts';
import { resolveUser } from './user.ts';

const plain = plainContainerSpec({ name: 'x', image: { id: 'sha256:0', reference: 'x' }, args: ['true'] });
const ownNamespace = { kind: 'new' } as const;
const facts: BundleFacts = {
  containerId: 'a'.repeat(64),
  rootfsPath: '/run/r',
  cgroupVersion: 1,
  cgroupPath: '/gantry-0/user/a',
  hostname: 'host',
  user: { uid: 0, gid: 0, additionalGids: [], home: '/root', name: 'root' },
  capabilities: ['CAP_CHOWN'],
  seccomp: undefined,
  rlimits: [],
  resources: {},
  devices: planDevices([], false),
  mounts: [],
  namespaces: { network: { kind: 'join', path: '/run/ns/net' }, ipc: ownNamespace, uts: ownNamespace, pid: ownNamespace, cgroup: ownNamespace },
  sharedShmPath: undefined,
  oomScoreAdj: undefined,
  userNamespace: undefined,
};

test('planBundle() gives every container its own namespaces and joins the pinned network', () => {
  const { linux, hostname } = planBundle(plain, facts);
  assert.deepEqual(linux.namespaces, [{ type: 'mount' }, { type: 'pid' }, { type: 'network', path: '/run/ns/net' }, { type: 'ipc' }, { type: 'uts' }, { type: 'cgroup' }]);
  assert.equal(hostname, 'host');
  assert.ok(linux.maskedPaths.includes('/proc/kcore') && linux.readonlyPaths.includes('/proc/sys'));
});

test('planBundle() shows host namespaces by leaving them out, and names the host only in its own UTS namespace', () => {
  const host = { kind: 'host' } as const;
  const { linux, hostname } = planBundle(plain, { ...facts, namespaces: { network: host, ipc: host, uts: host, pid: host, cgroup: host } });
  assert.deepEqual([linux.namespaces, hostname], [[{ type: 'mount' }], undefined]);
});

test('planBundle() opens everything to a privileged container and nothing else', () => {
  const privileged: ContainerSpec = { ...plain, security: { ...plain.security, isPrivileged: true } };
  const { linux, mounts } = planBundle(privileged, facts);
  assert.deepEqual([linux.maskedPaths, linux.readonlyPaths], [[], []]);
  assert.deepEqual(mounts.filter(({ destination }) => destination.startsWith('/sys')).map(({ options }) => options.at(-1)), ['rw', 'rw']);
  const ordinary = planBundle(plain, facts);
  assert.deepEqual(ordinary.mounts.filter(({ destination }) => destination.startsWith('/sys')).map(({ options }) => options.at(-1)), ['ro', 'ro']);
});

test('planBundle() lets a mount of the caller take the place of a system mount', () => {
  const { mounts } = planBundle(plain, { ...facts, mounts: [{ type: 'tmpfs', target: '/dev/shm', isReadOnly: false, sizeBytes: 4096, options: [] }] });
  assert.deepEqual(mounts.filter(({ destination }) => destination === '/dev/shm').map(({ options }) => options.at(-1)), ['size=4096']);
});

test('planEnvironment() adds what is missing and keeps the last of repeated names', () => {
  const defaults = { home: '/root', hostname: 'h', tty: true };
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  assert.deepEqual(planEnvironment(['A=1', 'HOME=/h', 'A=2=3', 'BAD', '=x'], defaults), [path, 'HOSTNAME=h', 'TERM=xterm', 'HOME=/h', 'A=2=3']);
});

test('serializeSpec() writes no limit as the number the kernel means', () => {
  assert.equal(serializeSpec({ hard: 2 ** 64, soft: 3 }), '{"hard":18446744073709551615,"soft":3}');
});

test('planCapabilities() drops and adds over the default set', () => {
  const cases: [add: string[], drop: string[], expected: readonly string[]][] = [
    [[], [], defaultCapabilities],
    [[], ['ALL'], []],
    [['net_admin'], ['ALL'], ['CAP_NET_ADMIN']],
    [['ALL'], ['CAP_MKNOD'], allCapabilities.filter((name) => name !== 'CAP_MKNOD')],
    [['SYS_PTRACE'], ['KILL'], [...defaultCapabilities.filter((name) => name !== 'CAP_KILL'), 'CAP_SYS_PTRACE']],
  ];
  for (const [addCapabilities, dropCapabilities, expected] of cases) {
    assert.deepEqual(planCapabilities({ isPrivileged: false, addCapabilities, dropCapabilities }).toSorted(), [...expected].toSorted());
  }
  assert.deepEqual(planCapabilities({ isPrivileged: true, addCapabilities: [], dropCapabilities: ['ALL'] }), allCapabilities);
  assert.throws(() => normalizeCapability('CAP_NOTHING'), (error) => isError(error, 'invalid'));
});

test('toOciCapabilities() gives a non-root user none to begin with, and nobody inheritable ones', () => {
  assert.deepEqual(toOciCapabilities(['CAP_KILL'], 1000), { bounding: ['CAP_KILL'], effective: [], permitted: [], inheritable: [], ambient: [] });
  assert.deepEqual(toOciCapabilities(['CAP_KILL'], 0), { bounding: ['CAP_KILL'], effective: ['CAP_KILL'], permitted: ['CAP_KILL'], inheritable: [], ambient: [] });
});

test('grantableCapabilities() reads the bounding set', () => {
  assert.deepEqual([...grantableCapabilities('Name:\tx\nCapBnd:\t0000000000000021\n')], ['CAP_CHOWN', 'CAP_KILL']);
});

const profile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
  syscalls: [
    { names: ['read'], action: 'SCMP_ACT_ALLOW', args: [], includes: {}, excludes: {} },
    { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['unshare'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, excludes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64'] } },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
    { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 2114060288, op: 'SCMP_CMP_MASKED_EQ' }] },
  ],
};

test('toOciSeccomp() keeps the rules that hold for capabilities, architecture and kernel', () => {
  const names = (architecture: string, capabilities: string[], kernelRelease: string): string[] =>
    toOciSeccomp(parseSeccompProfile(JSON.stringify(profile)), { architecture, capabilities, kernelRelease, is32BitAllowed: true }).syscalls.flatMap((rule) => rule.names);
  assert.deepEqual(names('x64', [], '6.1.0-18-amd64'), ['read', 'unshare', 'arch_prctl', 'ptrace', 'clone']);
  assert.deepEqual(names('x64', ['CAP_SYS_ADMIN'], '4.4.0'), ['read', 'mount', 'arch_prctl', 'clone']);
  assert.deepEqual(names('arm64', [], '5.10.0'), ['read', 'unshare', 'ptrace', 'clone']);
  const converted = toOciSeccomp(parseSeccompProfile(JSON.stringify(profile)), { architecture: 'x64', capabilities: [], kernelRelease: '6.1', is32BitAllowed: true });
  assert.deepEqual([converted.architectures, converted.defaultErrnoRet, converted.syscalls.at(-1)?.args], [
    ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
    38,
    [{ index: 0, value: 2114060288, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
  ]);
});

test('toOciSeccomp() leaves the 32-bit architectures out when no program needs them', () => {
  const converted = toOciSeccomp(parseSeccompProfile(JSON.stringify(profile)), { architecture: 'x64', capabilities: [], kernelRelease: '6.1', is32BitAllowed: false });
  assert.deepEqual(converted.architectures, ['SCMP_ARCH_X86_64']);
});

test('parseSeccompProfile() names what is wrong', () => {
  assert.throws(() => parseSeccompProfile('{'), (error) => isError(error, 'invalid'));
  assert.throws(() => parseSeccompProfile('{"defaultAction":"X","syscalls":[{"names":1,"action":"Y"}]}'), (error) => isError(error, 'invalid') && error.places[0]?.field === 'syscalls.0.names');
});

test('hardenProfile() makes the profile that Debian installs no looser than Docker’s', { skip: !existsProfile() && 'needs golang-github-containers-common' }, () => {
  const profile = hardenProfile(parseSeccompProfile(readFileSync('/usr/share/containers/seccomp.json', 'utf8')));
  const allowed = (capabilities: readonly string[]): Set<string> => {
    const { syscalls } = toOciSeccomp(profile, { architecture: 'x64', capabilities, kernelRelease: '6.1.0', is32BitAllowed: false });
    return new Set(syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined).flatMap(({ names }) => names));
  };
  const names = ['read', 'execve', 'mount', 'unshare', 'clone', 'setns', 'bpf', 'keyctl', 'io_uring_setup', 'kexec_load'];
  const ordinary = allowed(defaultCapabilities);
  assert.deepEqual(names.filter((name) => ordinary.has(name)), ['read', 'execve']);
  const admin = allowed(['CAP_SYS_ADMIN']);
  assert.deepEqual(names.filter((name) => admin.has(name)), ['read', 'execve', 'mount', 'unshare', 'clone', 'setns', 'bpf']);
});

function existsProfile(): boolean {
  try {
    return readFileSync('/usr/share/containers/seccomp.json').length > 0;
  } catch {
    return false;
  }
}

test('planRlimits() clamps what the host cannot raise, says so, and refuses nonsense', () => {
  const host = { canRaise: false, hardLimit: (number: number) => (number === 7 ? 1024 : Infinity) };
  const { rlimits, warnings } = planRlimits([{ name: 'nofile', soft: 2048, hard: 4096 }, { name: 'core', soft: 0, hard: -1 }], host);
  assert.deepEqual(rlimits, [
    { type: 'RLIMIT_NOFILE', soft: 1024, hard: 1024 },
    { type: 'RLIMIT_CORE', soft: 0, hard: 2 ** 64 },
  ]);
  assert.equal(warnings.length, 1);
  assert.deepEqual(planRlimits([{ name: 'nofile', soft: 2048, hard: 4096 }], { ...host, canRaise: true }).warnings, []);
  assert.throws(() => planRlimits([{ name: 'nothing', soft: 1, hard: 1 }], host), (error) => isError(error, 'invalid'));
  assert.throws(() => planRlimits([{ name: 'core', soft: 2, hard: 1 }], host), (error) => isError(error, 'invalid'));
});

test('planResources() sets what the host supports and warns of the rest', () => {
  const all = { swap: true, blkioWeight: true, pids: true };
  const wanted = { memoryLimitBytes: 64 << 20, cpuShares: 512, pidsLimit: 10, blkioWeight: 100 };
  assert.deepEqual(planResources(wanted, all), {
    resources: { memory: { limit: 64 << 20, swap: 128 << 20 }, cpu: { shares: 512 }, pids: { limit: 10 }, blockIO: { weight: 100 } },
    warnings: [],
  });
  const none = planResources({ ...wanted, memorySwapBytes: 64 << 20 }, { swap: false, blkioWeight: false, pids: false });
  assert.deepEqual([none.resources, none.warnings.length], [{ memory: { limit: 64 << 20 }, cpu: { shares: 512 } }, 3]);
  assert.deepEqual(planResources({}, all), { resources: {}, warnings: [] });
});

test('checkResources() names the field that contradicts', () => {
  const cases: [Parameters<typeof checkResources>[0], string | undefined][] = [
    [{ memoryLimitBytes: 1024 }, 'resources.memoryLimitBytes'],
    [{ memorySwapBytes: 10 }, 'resources.memorySwapBytes'],
    [{ memoryLimitBytes: 10 << 20, memorySwapBytes: 9 << 20 }, 'resources.memorySwapBytes'],
    [{ memoryLimitBytes: 10 << 20, memorySwapBytes: -1 }, undefined],
    [{ memoryLimitBytes: 10 << 20, memoryReservationBytes: 11 << 20 }, 'resources.memoryReservationBytes'],
    [{ cpuQuotaMicros: 10 }, 'resources.cpuQuotaMicros'],
    [{ cpuQuotaMicros: -1 }, undefined],
    [{ cpuPeriodMicros: 10 }, 'resources.cpuPeriodMicros'],
    [{ cpuShares: 1 }, 'resources.cpuShares'],
    [{ blkioWeight: 5 }, 'resources.blkioWeight'],
    [{ blkioWeight: 0 }, undefined],
  ];
  for (const [resources, field] of cases) {
    if (field === undefined) checkResources(resources);
    else assert.throws(() => checkResources(resources), (error) => isError(error, 'invalid') && error.places[0]?.field === field);
  }
});

test('resolveUser() reads names, numbers and groups as Docker does', () => {
  const databases = {
    passwd: 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n123:x:77:78::/odd:/bin/sh\nbroken\n',
    group: 'root:x:0:\nstaff:x:50:app,other\ndocker:x:999:app\n',
  };
  const cases: [string, string[], object | undefined][] = [
    ['', [], { uid: 0, gid: 0, additionalGids: [], home: '/root', name: 'root' }],
    ['app', [], { uid: 1000, gid: 1001, additionalGids: [50, 999], home: '/home/app', name: 'app' }],
    ['1000', ['7', 'staff'], { uid: 1000, gid: 1001, additionalGids: [50, 999, 7], home: '/home/app', name: 'app' }],
    ['app:staff', [], { uid: 1000, gid: 50, additionalGids: [], home: '/home/app', name: 'app' }],
    ['4242', [], { uid: 4242, gid: 0, additionalGids: [], home: '/', name: '' }],
    ['4242:4343', [], { uid: 4242, gid: 4343, additionalGids: [], home: '/', name: '' }],
    ['123', [], { uid: 77, gid: 78, additionalGids: [], home: '/odd', name: '123' }],
    ['nobody', [], undefined],
    ['app:nogroup', [], undefined],
    ['99999999999', [], undefined],
    ['-1', [], undefined],
  ];
  for (const [text, groups, expected] of cases) {
    if (expected === undefined) assert.throws(() => resolveUser(text, groups, databases), (error) => isError(error, 'invalid'), text);
    else assert.deepEqual(resolveUser(text, groups, databases), expected, text);
  }
});

test('userMounts() mounts parents before children', () => {
  const bind = (target: string) => ({ type: 'bind' as const, source: '/s', target, isReadOnly: true, propagation: 'rprivate', isRecursive: true });
  assert.deepEqual(userMounts([bind('/a/b/c'), bind('/z'), bind('/a')]).map(({ destination }) => destination), ['/z', '/a', '/a/b/c']);
  assert.deepEqual(userMounts([bind('/a')])[0]?.options, ['rbind', 'ro', 'rprivate']);
});

test('planDevices() allows what was asked, with the permissions asked for', () => {
  const device = { path: '/dev/fuse', type: 'c' as const, major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 };
  const { devices, rules } = planDevices([{ hostPath: '/dev/fuse', containerPath: '/dev/inside', permissions: 'rw' }], false, [], () => [device]);
  assert.deepEqual(devices, [{ ...device, path: '/dev/inside' }]);
  assert.deepEqual([rules[0], rules.at(-1)], [{ allow: false, access: 'rwm' }, { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' }]);
  assert.throws(() => planDevices([{ hostPath: '/etc/passwd', containerPath: '/x', permissions: 'r' }], false, [], () => []), (error) => isError(error, 'invalid'));
});
