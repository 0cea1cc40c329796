import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openScopedSockets, type ScopedSockets } from '../../engine/mod.ts';
import { openTestDocker, type TestDocker } from '../../engine/docker/testing/test-docker.ts';
import { rootNeeds } from '../../host/testing/root.ts';
import { silentLogger } from '../../kernel/mod.ts';
import { podSockets } from './pod-sockets.ts';

const { signal } = new AbortController();
const uid = '11111111-2222-3333-4444-555555555555';

suite('sockets of pods', { skip: rootNeeds('docker', 'runc', 'conmon', 'bsdtar', 'nft'), concurrency: false }, () => {
  test('a job runs containers through its socket, is refused whatever is the host\'s or others\', and leaves nothing', async () => {
    await using docker = await openTestDocker();
    const open = (): Promise<ScopedSockets> => openScopedSockets({ engine: docker.engine.engine, images: docker.images, folder: join(docker.folder, 'scopes'), socketFolder: join(docker.folder, 's'), version: '0.0.0', log: silentLogger() });
    const root = (...args: string[]) => run(docker, args);
    await using first = await open();
    const socket = await podSockets(first).open(uid, { memoryBytes: 512 * 2 ** 20, cpuMilli: 500 }, signal);
    assert.equal(await podSockets(first).open(uid, {}, signal), socket);
    assert.equal((await root('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000')).code, 0);
    // The job's container, as the node makes it: the socket and no more. The client is the host's own, which is one static file.
    const client = execFileSync('which', ['docker'], { encoding: 'utf8' }).trim();
    assert.equal((await root('run', '-d', '--name', 'job', '-v', `${socket}:/var/run/docker.sock`, '-e', 'DOCKER_HOST=unix:///var/run/docker.sock', '-v', `${client}:/bin/docker:ro`, 'busybox', 'sleep', '1000')).code, 0);
    const step = (...args: string[]) => root('exec', 'job', '/bin/docker', ...args);
    const ran = await step('run', '--rm', 'busybox', 'echo', 'from a container of the job');
    assert.deepEqual([ran.code, ran.stdout], [0, 'from a container of the job\n']);
    assert.equal((await step('run', '-d', '--name', 'mine', '-v', 'data:/data', 'busybox', 'sleep', '1000')).code, 0);
    assert.deepEqual((await step('ps', '-a', '--format', '{{.Names}}')).stdout, 'mine\n');
    const refused: [args: string[], message: RegExp][] = [
      [['run', '--privileged', 'busybox'], /privileged/],
      [['run', '-v', '/:/host', 'busybox'], /host folder/],
      [['run', '-v', '/var/run/docker.sock:/var/run/docker.sock', 'busybox'], /host folder/],
      [['run', '--network', 'host', 'busybox'], /network mode host/],
      [['run', '--pid', 'host', 'busybox'], /PID mode host/],
      [['run', '--memory', '1g', 'busybox'], /memory/],
      [['run', '--network', 'container:other', 'busybox'], /No such container/],
      [['inspect', 'other'], /No such object/i],
      [['logs', 'other'], /No such container/],
      [['exec', 'other', 'true'], /No such container/],
      [['stop', 'job'], /No such container/],
      [['build', '-'], /not at a scoped endpoint/],
    ];
    for (const [args, message] of refused) {
      const { code, stderr } = await step(...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, message, args.join(' '));
    }
    // The agent is started anew: what was open still is, and is known to belong to the pod.
    await first[Symbol.asyncDispose]();
    await using again = await open();
    const sockets = podSockets(again);
    assert.deepEqual(sockets.podUids(), [uid]);
    await sockets.close(uid, signal);
    await sockets.close(uid, signal);
    assert.deepEqual([sockets.podUids(), existsSync(socket)], [[], false]);
    assert.equal((await root('ps', '-a', '--format', '{{.Names}}')).stdout.split('\n').toSorted().join(' ').trim(), 'job other');
    assert.equal((await root('volume', 'ls', '-q')).stdout, '');
  });
});

function run(docker: TestDocker, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), HOME: docker.folder };
    execFile('docker', [...args], { env, timeout: 120_000 }, (error, stdout, stderr) => resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr }));
  });
}
