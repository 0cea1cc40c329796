import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootNeeds } from '../../host/testing/root.ts';

const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox', 'unshare', 'nsenter', 'ip');

/** A network namespace stands for the host, so that its addresses, filters and settings are the test's own; /sys must show it. */
const script = [
  'mount --rbind /sys/fs/cgroup "$1"',
  'mount -t sysfs sysfs /sys',
  'mount --rbind "$1" /sys/fs/cgroup',
  'ip link set lo up',
  'exec "$2" --disable-warning=ExperimentalWarning "$3" "$4"',
].join(' && ');

for (const [group, what] of [
  ['ipv6', 'networks with IPv6 have addresses, names, routes and published ports of both families'],
  ['ports', 'published ports open what was asked and nothing else, and the filters of the host apply'],
  ['changes', 'a running container follows its networks: way out, ports, names, files, and those who share its namespace'],
  ['plain', 'a host without IPv6 refuses it and does everything else'],
]) {
  test(what ?? '', { skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-net-'));
    const worker = join(import.meta.dirname, '../testing/network-worker.ts');
    const result = spawnSync('unshare', ['--net', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder, process.execPath, worker, group ?? ''], { encoding: 'utf8', timeout: 150_000 });
    rmdirSync(folder);
    assert.deepEqual([result.status, result.stderr], [0, ''], result.stdout);
  });
}
