import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { ContainerId } from '../types.ts';
import { Cgroups, countOomKills, planLimits, planYielding, sharesToWeight } from './cgroups.ts';
import { readCgroupLayout } from './layout.ts';
import { parseInterfaceCounters, readUsage } from './usage.ts';

/** Files of a cgroup mount as a kernel shows them. */
function fixture(files: Record<string, string>): { root: string } & Disposable {
  const root = mkdtempSync(join(tmpdir(), 'gantry-cgroup-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

const version1 = {
  'cpu,cpuacct/cgroup.procs': '',
  'memory/cgroup.procs': '',
  'memory/memory.memsw.limit_in_bytes': '9223372036854771712\n',
  'pids/cgroup.procs': '',
  'freezer/cgroup.procs': '',
  'blkio/cgroup.procs': '',
  'unified/cgroup.procs': '',
};

const version2 = { 'cgroup.controllers': 'cpuset cpu io memory pids\n', 'cgroup.procs': '', 'cgroup.subtree_control': '' };

test('readCgroupLayout() tells the versions apart and finds controllers that share a tree', () => {
  using one = fixture(version1);
  using two = fixture(version2);
  const first = readCgroupLayout(one.root);
  assert.deepEqual([first.version, first.trees.length, first.treeOf('cpu'), first.treeOf('cpuacct'), first.support], [
    1,
    6,
    join(one.root, 'cpu,cpuacct'),
    join(one.root, 'cpu,cpuacct'),
    { swap: true, blkioWeight: false, pids: true },
  ]);
  const second = readCgroupLayout(two.root);
  assert.deepEqual([second.version, second.trees, second.treeOf('memory'), second.treeOf('freezer')], [2, [two.root], two.root, two.root]);
});

test('planLimits() writes each version its own files', () => {
  const limits = { cpuShares: 1024, cpuQuotaMicros: 50_000, memoryLimitBytes: 1 << 20 };
  assert.deepEqual(planLimits(1, limits).map(({ file, value }) => `${file}=${value}`), ['cpu.shares=1024', 'cpu.cfs_quota_us=50000', 'memory.limit_in_bytes=1048576']);
  assert.deepEqual(planLimits(2, limits).map(({ file, value }) => `${file}=${value}`), ['cpu.weight=39', 'cpu.max=50000 100000', 'memory.max=1048576']);
  assert.deepEqual(planLimits(2, {}), []);
});

test('sharesToWeight() maps the ends of the scales onto each other', () => {
  assert.deepEqual([0, 2, 1024, 262_144, 1e9].map(sharesToWeight), [1, 1, 39, 10_000, 10_000]);
});

test('Cgroups makes slices with weights on both versions, and delegates controllers on version 2', () => {
  using one = fixture(version1);
  const first = new Cgroups(readCgroupLayout(one.root), 'abcd');
  first.createSlices();
  assert.equal(readFileSync(join(one.root, 'cpu,cpuacct/gantry-abcd/job/cpu.shares'), 'utf8'), '256');
  using two = fixture({ ...version2, 'gantry-abcd/cgroup.controllers': 'cpu memory pids\n', 'gantry-abcd/cgroup.subtree_control': 'memory\n' });
  const second = new Cgroups(readCgroupLayout(two.root), 'abcd');
  second.createSlices();
  assert.equal(readFileSync(join(two.root, 'cgroup.subtree_control'), 'utf8'), '+cpuset +cpu +io +memory +pids');
  assert.equal(readFileSync(join(two.root, 'gantry-abcd/cgroup.subtree_control'), 'utf8'), '+cpu +pids');
  assert.equal(readFileSync(join(two.root, 'gantry-abcd/application/cpu.weight'), 'utf8'), '157');
});

test('Cgroups finds processes below a cgroup once, and its children in all trees', () => {
  using one = fixture({ ...version1, 'memory/gantry-x/user/a/cgroup.procs': '12\n13\n', 'pids/gantry-x/user/a/cgroup.procs': '12\n', 'pids/gantry-x/user/b/inner/cgroup.procs': '14\n' });
  const cgroups = new Cgroups(readCgroupLayout(one.root), 'x');
  assert.deepEqual(cgroups.processes('/gantry-x/user').toSorted((a, b) => a - b), [12, 13, 14]);
  assert.deepEqual(cgroups.children('/gantry-x/user'), ['a', 'b']);
  assert.equal(cgroups.pathOf('job', 'pod1', 'c'), '/gantry-x/job/pod1/c');
  assert.equal(existsSync(join(one.root, 'memory/gantry-x/job')), false);
});

test('freeze() writes each version its own file, and says so where there is none', () => {
  using one = fixture({ ...version1, 'freezer/g/freezer.state': 'THAWED\n' });
  using two = fixture({ ...version2, 'g/cgroup.freeze': '0\n' });
  // systemd's hybrid: version 2 is mounted too, without controllers, and does not count.
  using hybrid = fixture({ ...version1, 'unified/cgroup.controllers': '', 'unified/g/cgroup.freeze': '0\n', 'freezer/g/freezer.state': 'THAWED\n' });
  for (const [root, file, on, off] of [[one.root, 'freezer/g/freezer.state', 'FROZEN', 'THAWED'], [two.root, 'g/cgroup.freeze', '1', '0'], [hybrid.root, 'freezer/g/freezer.state', 'FROZEN', 'THAWED']] as const) {
    const cgroups = new Cgroups(readCgroupLayout(root), 'x');
    assert.deepEqual([cgroups.freeze('/g', true), readFileSync(join(root, file), 'utf8'), cgroups.freeze('/g', false), readFileSync(join(root, file), 'utf8')], [true, on, true, off]);
    assert.equal(cgroups.freeze('/gone', true), false);
  }
  assert.equal(readFileSync(join(hybrid.root, 'unified/g/cgroup.freeze'), 'utf8'), '0\n');
});

const id = 'a'.repeat(64) as ContainerId;

test('readUsage() reads version 1', () => {
  using one = fixture({
    ...version1,
    'cpu,cpuacct/g/cpuacct.usage': '5000\n',
    'cpu,cpuacct/g/cpuacct.usage_user': '3000\n',
    'cpu,cpuacct/g/cpuacct.usage_sys': '2000\n',
    'cpu,cpuacct/g/cpu.stat': 'nr_periods 10\nnr_throttled 2\nthrottled_time 99\n',
    'memory/g/memory.usage_in_bytes': '4096\n',
    'memory/g/memory.limit_in_bytes': '9223372036854771712\n',
    'memory/g/memory.stat': 'cache 1\ntotal_inactive_file 1024\n',
    'memory/g/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    'pids/g/pids.current': '3\n',
    'pids/g/pids.max': 'max\n',
    'blkio/g/blkio.throttle.io_service_bytes': '254:0 Read 100\n254:0 Write 7\n254:1 Read 1\nTotal 108\n',
  });
  const cgroups = new Cgroups(readCgroupLayout(one.root), 'x');
  const { time: _time, ...usage } = readUsage(cgroups, '/g', id, []);
  assert.deepEqual(usage, {
    containerId: id,
    interfaces: [],
    cpuNanoseconds: 5000n,
    cpuUserNanoseconds: 3000n,
    cpuSystemNanoseconds: 2000n,
    throttledPeriods: 2,
    throttledNanoseconds: 99n,
    memoryBytes: 4096,
    inactiveFileBytes: 1024,
    memoryCounters: { cache: 1, total_inactive_file: 1024 },
    perCpuNanoseconds: [],
    pids: 3,
    blockReadBytes: 101,
    blockWriteBytes: 7,
  });
  assert.equal(countOomKills(cgroups.layout, '/g'), 1);
});

test('readUsage() reads version 2', () => {
  using two = fixture({
    ...version2,
    'g/cpu.stat': 'usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_throttled 1\nthrottled_usec 4\n',
    'g/memory.current': '4096\n',
    'g/memory.max': '8192\n',
    'g/memory.peak': '5000\n',
    'g/memory.stat': 'anon 1\ninactive_file 1024\n',
    'g/memory.events': 'low 0\noom 2\noom_kill 2\n',
    'g/pids.current': '3\n',
    'g/pids.max': '10\n',
    'g/io.stat': '254:0 rbytes=100 wbytes=7 rios=1\n254:1 rbytes=1 wbytes=0\n',
  });
  const cgroups = new Cgroups(readCgroupLayout(two.root), 'x');
  const { time: _time, ...usage } = readUsage(cgroups, '/g', id, []);
  assert.deepEqual(usage, {
    containerId: id,
    interfaces: [],
    cpuNanoseconds: 5000n,
    cpuUserNanoseconds: 3000n,
    cpuSystemNanoseconds: 2000n,
    throttledPeriods: 1,
    throttledNanoseconds: 4000n,
    memoryBytes: 4096,
    inactiveFileBytes: 1024,
    memoryCounters: { anon: 1, inactive_file: 1024 },
    memoryLimitBytes: 8192,
    memoryMaxBytes: 5000,
    pids: 3,
    pidsLimit: 10,
    blockReadBytes: 101,
    blockWriteBytes: 7,
  });
  assert.equal(countOomKills(cgroups.layout, '/g'), 2);
  assert.equal(readUsage(cgroups, '/gone', id, []).memoryBytes, 0);
});

test('parseInterfaceCounters() leaves out the loopback', () => {
  const text = 'Inter-|   Receive |  Transmit\n face |bytes packets|bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n';
  assert.deepEqual(parseInterfaceCounters(text), [{ name: 'eth0', receivedBytes: 10, receivedPackets: 1, sentBytes: 20, sentPackets: 2 }]);
});

test('planYielding() puts builds and jobs behind applications in memory and disk too', () => {
  assert.deepEqual(planYielding(2, 4 << 20), [
    { controller: 'memory', file: 'memory.high', value: String(3 << 20) },
    { controller: 'io', file: 'io.weight', value: 'default 10' },
    { controller: 'io', file: 'io.bfq.weight', value: 'default 10' },
  ]);
  assert.deepEqual(planYielding(1, 4 << 20).map(({ file, value }) => [file, value]), [['memory.soft_limit_in_bytes', String(3 << 20)], ['blkio.weight', '50'], ['blkio.bfq.weight', '50']]);
});

test('Cgroups.createSlices() writes only files that the host has', () => {
  using host = fixture({ ...version2, 'gantry-x/job/memory.high': 'max\n', 'gantry-x/job/cgroup.controllers': '', 'gantry-x/job/cgroup.subtree_control': '' });
  new Cgroups(readCgroupLayout(host.root), 'x').createSlices();
  assert.match(readFileSync(join(host.root, 'gantry-x/job/memory.high'), 'utf8'), /^\d+$/);
  assert.equal(existsSync(join(host.root, 'gantry-x/job/io.weight')), false);
});
