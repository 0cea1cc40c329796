import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { baseEnv, runCommand } from '../../kernel/mod.ts';
import { openTestRegistry, type TestRegistry } from '../../registry/testing/test-registry.ts';
import { formatPlatform, hostPlatform } from '../images/platform.ts';
import { createTestImage } from '../images/testing/test-images.ts';
import { openTestDocker, type TestDocker } from './testing/test-docker.ts';

const skip = (() => {
  if (process.getuid?.() !== 0) return 'needs root: containers';
  for (const program of ['docker', 'runc', 'conmon', 'bsdtar']) {
    try {
      execFileSync('which', [program]);
    } catch {
      return `${program} is not installed`;
    }
  }
  return false;
})();
const signal = AbortSignal.timeout(300_000);

suite('docker pull, push, save and load', { skip, concurrency: false }, () => {
  let docker: TestDocker;
  let registry: TestRegistry;
  before(async () => {
    docker = await openTestDocker();
    registry = await openTestRegistry({
      authorizer: {
        scheme: 'token',
        authenticate: async ({ username, password }) => (password === 'right' ? username : undefined),
        isAllowed: async (user, repository, verb) => user !== undefined || (repository === 'open' && verb === 'pull'),
      },
    });
  });
  after(async () => {
    await docker?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });
  const run = async (config: string | undefined, args: string[], okCodes: number[] = [0]) => {
    const env = { ...baseEnv(), DOCKER_HOST: docker.host, ...(config === undefined ? {} : { DOCKER_CONFIG: config }), PATH: `${docker.folder}:${process.env['PATH'] ?? ''}` };
    return runCommand('docker', args, { env, okCodes, stdin: '' }, signal);
  };
  /** A client's folder with credentials for the registry, or with a helper that has them. */
  const clientFolder = (name: string, config: object): string => {
    const folder = join(docker.folder, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    return folder;
  };

  test('push and pull print what Docker prints', async () => {
    const login = clientFolder('login', { auths: { [registry.host]: { auth: Buffer.from('user:right').toString('base64') } } });
    const name = `${registry.host}/open:1`;
    const id = await createTestImage(docker.images, name, [[{ path: 'a', content: 'a' }], [{ path: 'b', content: 'b' }]]);
    const layers = docker.images.get(id).layers.map((diffId) => diffId.slice(7, 19));
    const pushed = await run(login, ['push', name]);
    assert.equal(pushed.stdout.split('\n')[0], `The push refers to repository [${registry.host}/open]`);
    for (const layer of layers) assert.match(pushed.stdout, new RegExp(`^${layer}: Pushed$`, 'm'));
    const [, digest = ''] = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(pushed.stdout) ?? [];
    assert.notEqual(digest, '');
    await run(undefined, ['rmi', '-f', id]);
    const pulled = await run(undefined, ['pull', name]);
    const lines = pulled.stdout.trim().split('\n');
    assert.equal(lines[0], '1: Pulling from open');
    assert.equal(lines.filter((line) => /^[0-9a-f]{12}: Pulling fs layer$/.test(line)).length, 2);
    assert.equal(lines.filter((line) => /^[0-9a-f]{12}: Pull complete$/.test(line)).length, 2);
    assert.deepEqual(lines.slice(-3), [`Digest: ${digest}`, `Status: Downloaded newer image for ${name}`, name]);
    assert.match((await run(undefined, ['pull', name])).stdout, /Status: Image is up to date for /);
    const byDigest = await run(undefined, ['pull', `${registry.host}/open@${digest}`]);
    assert.match(byDigest.stdout, new RegExp(`^${digest}: Pulling from open$`, 'm'));
    assert.equal((await run(undefined, ['image', 'inspect', '-f', '{{.Id}} {{json .RepoDigests}}', name])).stdout.trim(), `${id} ["${registry.host}/open@${digest}"]`);
    const other = await run(undefined, ['pull', '--platform', 'linux/s390x', name], [1]);
    assert.match(other.stderr, /does not match the specified platform/);
  });

  test('credentials come from the client: its file, its helper, or none', async () => {
    const login = join(docker.folder, 'login');
    const helper = join(docker.folder, 'docker-credential-fixture');
    writeFileSync(helper, `#!/bin/sh\n[ "$1" = get ] || exit 1\nread -r server\n[ "$server" = "${registry.host}" ] || { echo "credentials not found in native keychain"; exit 1; }\necho '{"ServerURL":"x","Username":"user","Secret":"right"}'\n`, { mode: 0o755 });
    const withHelper = clientFolder('helper', { credHelpers: { [registry.host]: 'fixture' } });
    const name = `${registry.host}/closed:1`;
    await run(undefined, ['tag', `${registry.host}/open:1`, name]);
    assert.match((await run(undefined, ['push', name], [1])).stderr, /credentials|unauthorized|denied/i);
    assert.match((await run(login, ['push', name])).stdout, /: Mounted from open$/m);
    await run(undefined, ['rmi', name]);
    assert.match((await run(undefined, ['pull', name], [1])).stderr, /credentials|unauthorized|denied/i);
    await run(withHelper, ['pull', name]);
  });

  test('save and load carry several images', async () => {
    const archive = join(docker.folder, 'two.tar');
    await run(undefined, ['tag', 'busybox', 'copy:2']);
    await run(undefined, ['save', '-o', archive, 'busybox', 'copy:2', `${registry.host}/open:1`]);
    const ids = async () => (await run(undefined, ['images', '-q', '--no-trunc', '-f', 'reference=copy', '-f', `reference=${registry.host}/open`])).stdout;
    const before = await ids();
    await run(undefined, ['rmi', 'copy:2', `${registry.host}/open:1`]);
    const { stdout } = await run(undefined, ['load', '-i', archive]);
    assert.deepEqual(stdout.trim().split('\n').toSorted(), ['Loaded image: busybox:latest', 'Loaded image: copy:2', `Loaded image: ${registry.host}/open:1`].toSorted());
    assert.equal(await ids(), before);
    // The platform may be named, and then it must be that.
    await run(undefined, ['save', '--platform', formatPlatform(hostPlatform()), '-o', archive, 'busybox']);
    assert.match((await run(undefined, ['save', '--platform', 'linux/s390x', '-o', `${archive}.none`, 'busybox'], [1])).stderr, /does not match the specified platform \(linux\/s390x\)/);
    assert.match((await run(undefined, ['load', '--platform', 'linux/s390x', '-i', archive], [1])).stderr, /does not match the specified platform \(linux\/s390x\)/);
    assert.equal((await run(undefined, ['load', '--platform', formatPlatform(hostPlatform()), '-i', archive])).stdout, 'Loaded image: busybox:latest\n');
  });
});
