import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';

const unified = '/sys/fs/cgroup/unified/cgroup.controllers';
const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox', 'unshare') || (!existsSync(unified) && 'needs a host with the hybrid cgroup layout (on version 2 all other tests run on it)');

/** In a mount namespace of its own the version 2 tree takes the place of all. It has no controllers there, so limits are not covered. */
const script = 'mount --bind /sys/fs/cgroup/unified "$1" && umount -l -R /sys/fs/cgroup && mount --bind "$1" /sys/fs/cgroup && exec "$2" "$3"';

test('the engine runs, pauses, counts and recovers containers on cgroup version 2', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-v2-'));
  const worker = join(import.meta.dirname, 'testing/cgroup-v2-worker.ts');
  const result = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder, process.execPath, worker], { encoding: 'utf8', timeout: 60_000 });
  rmdirSync(folder);
  assert.deepEqual([result.status, result.stderr.replace(/^.*ExperimentalWarning.*$/gm, '').trim()], [0, '']);
});
