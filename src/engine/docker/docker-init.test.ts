import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { rootNeeds } from '../../host/testing/root.ts';
import { pollUntil } from '../../kernel/mod.ts';
import { openTestDocker } from './testing/test-docker.ts';

suite('run --init', { skip: rootNeeds('docker', 'runc', 'conmon', 'bsdtar'), concurrency: false }, () => {
  test('the init takes in orphans that have ended, and passes signals on', async () => {
    await using docker = await openTestDocker();
    const run = (...args: string[]): Promise<string> => runDocker(docker.host, join(docker.folder, 'config'), args);
    await run('run', '-d', '--init', '--network', 'none', '--name', 'tidy', 'busybox', 'sh', '-c', 'trap "echo told; exit 5" TERM; (sh -c "sleep 0.2; echo orphan ended" &); echo up; while :; do sleep 0.05; done');
    await pollUntil('the orphan to end', async () => (await run('logs', 'tidy')).includes('orphan ended') || undefined, { timeoutMs: 60_000 }, AbortSignal.timeout(90_000));
    await pollUntil('no zombie to be left', async () => !/\bZ\b/.test(await run('exec', 'tidy', 'sh', '-c', 'cat /proc/[0-9]*/stat')) || undefined, { timeoutMs: 60_000 }, AbortSignal.timeout(90_000));
    assert.doesNotMatch(await run('exec', 'tidy', 'cat', '/proc/1/comm'), /^(sh|busybox)$/m);
    await run('kill', '-s', 'TERM', 'tidy');
    assert.equal(await run('wait', 'tidy'), '5\n');
    assert.match(await run('logs', 'tidy'), /told\n$/);
  });
});

function runDocker(host: string, config: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('docker', [...args], { env: { PATH: process.env['PATH'], DOCKER_HOST: host, DOCKER_CONFIG: config } }, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}
