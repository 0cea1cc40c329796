import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MachineState, mountPoints, planPurge } from './purge-plan.ts';

const instance = { id: 'abcd1234', dataDir: '/srv/g', runDir: '/run/gantry-abcd1234' };
const nothing: MachineState = { mountinfo: '', links: [], tables: [], cgroups: [], processes: [] };

test('planPurge() finds what carries the instance id, and nothing of others', () => {
  const state: MachineState = {
    mountinfo: [
      '1 0 0:1 / / rw - ext4 /dev/sda rw',
      '2 1 0:2 / /srv/g/engine/a/merged rw - overlay overlay rw',
      '3 1 0:3 / /srv/g/engine/a/merged/proc rw - proc proc rw',
      '4 1 0:4 net:[1] /run/gantry-abcd1234/netns/x rw - nsfs nsfs rw',
      '5 1 0:5 / /srv/gx/other rw - overlay overlay rw',
      '6 1 0:6 / /srv/g/with\\040space rw - tmpfs tmpfs rw',
    ].join('\n'),
    links: ['lo', 'eth0', 'gabcd12p0', 'gabcd12v1f', 'gffff12p0'],
    tables: ['inet gantry-abcd1234-services', 'ip gantry-abcd1234', 'ip gantry-abcd12345', 'inet filter'],
    cgroups: ['/sys/fs/cgroup/memory/gantry-abcd1234', '/sys/fs/cgroup/memory/gantry-abcd1234/pod1/c1', '/sys/fs/cgroup/memory/gantry-abcd1234/pod1', '/sys/fs/cgroup/memory/gantry-ffff0000'],
    processes: [
      { pid: 10, commandLine: 'nginx\0', cgroups: '5:memory:/gantry-abcd1234/pod1/c1\n' },
      { pid: 11, commandLine: '/usr/bin/conmon\0--bundle\0/srv/g/engine/a\0', cgroups: '5:memory:/\n' },
      { pid: 12, commandLine: '/usr/bin/conmon\0--bundle\0/srv/gx/engine/a\0', cgroups: '5:memory:/\n' },
      { pid: 13, commandLine: 'vi\0/srv/g/config.yaml\0', cgroups: '5:memory:/\n' },
      { pid: 14, commandLine: 'node\0', cgroups: '5:memory:/gantry-abcd12345/x\n' },
      { pid: 15, commandLine: 'own\0', cgroups: '5:memory:/gantry-abcd1234\n' },
    ],
  };
  assert.deepEqual(planPurge(instance, state, [15]), {
    pids: [10, 11],
    mounts: ['/srv/g/with space', '/run/gantry-abcd1234/netns/x', '/srv/g/engine/a/merged/proc', '/srv/g/engine/a/merged'],
    links: ['gabcd12p0', 'gabcd12v1f'],
    tables: ['inet gantry-abcd1234-services', 'ip gantry-abcd1234'],
    cgroups: ['/sys/fs/cgroup/memory/gantry-abcd1234/pod1/c1', '/sys/fs/cgroup/memory/gantry-abcd1234/pod1', '/sys/fs/cgroup/memory/gantry-abcd1234'],
  });
});

test('planPurge() has nothing to do on a clean machine', () => {
  assert.deepEqual(planPurge(instance, nothing, []), { pids: [], mounts: [], links: [], tables: [], cgroups: [] });
});

test('mountPoints() resolves octal escapes', () => {
  assert.deepEqual(mountPoints('1 0 0:1 / /a\\011b rw - x x rw\n'), ['/a\tb']);
});
