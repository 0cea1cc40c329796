import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rootNeeds } from '../../host/testing/root.ts';
import { pollUntil, silentLogger } from '../../kernel/mod.ts';
import { openScopedSockets, type OpenScope, type ScopedSockets } from './scoped-sockets.ts';
import { openTestDocker, type TestDocker } from './testing/test-docker.ts';

const { signal } = new AbortController();

interface Answer { readonly status: number; readonly body: string; readonly json: unknown }

suite('scoped endpoints', { skip: rootNeeds('docker', 'runc', 'conmon', 'bsdtar', 'nft'), concurrency: false }, () => {
  let docker: TestDocker;
  let sockets: ScopedSockets;
  let scope: OpenScope;
  /** What belongs to others: names and ids that no answer may show. */
  const theirs = { container: '', name: 'victim', volume: 'victim-data', network: 'victim-net', image: 'private/secret:1', exec: '' };
  const open = (): Promise<ScopedSockets> =>
    openScopedSockets({ engine: docker.engine.engine, images: docker.images, folder: join(docker.folder, 'scopes'), socketFolder: join(docker.folder, 's'), version: '0.0.0', log: silentLogger() });

  before(async () => {
    docker = await openTestDocker();
    sockets = await open();
    await root('POST', '/volumes/create', { Name: theirs.volume });
    await root('POST', '/networks/create', { Name: theirs.network });
    await docker.images.createImage({ ...docker.images.get('busybox').config, author: 'private' }, [theirs.image], signal);
    const created = await root('POST', `/containers/create?name=${theirs.name}`, { Image: 'busybox', Cmd: ['sh', '-c', 'echo their log; exec sleep 600'], Env: ['TOKEN=hidden'], HostConfig: { Binds: [`${theirs.volume}:/v`] } });
    theirs.container = (created.json as { Id: string }).Id;
    await root('POST', `/containers/${theirs.container}/start`);
    theirs.exec = ((await root('POST', `/containers/${theirs.container}/exec`, { Cmd: ['true'] })).json as { Id: string }).Id;
    scope = await sockets.open({ name: 'job-1', policy: { images: ['busybox:*'], labels: { tenant: 'ci' }, total: { containers: 6, memoryBytes: 256 * 2 ** 20, cpus: 0.5, pids: 64 } } }, signal);
  });
  after(async () => {
    await sockets[Symbol.asyncDispose]();
    await docker[Symbol.asyncDispose]();
  });

  const ask = (url: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const call = request({ socketPath: url.replace('unix://', ''), method, path, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }, (response) => {
        let answer = '';
        response.on('data', (chunk: Buffer) => (answer += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: answer, json: parsed(answer) }));
      });
      call.once('error', reject);
      call.end(text);
    });
  const root = (method: string, path: string, body?: unknown): Promise<Answer> => ask(docker.host, method, path, body);
  const tenant = (method: string, path: string, body?: unknown): Promise<Answer> => ask(scope.url, method, path, body);
  const cli = (url: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      const env = { PATH: process.env['PATH'], DOCKER_HOST: url, DOCKER_CONFIG: join(docker.folder, 'config'), HOME: docker.folder, DOCKER_BUILDKIT: '0' };
      execFile('docker', args, { env, timeout: 120_000 }, (error, stdout, stderr) => resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr }));
    });
  /** A container of the scope's own that runs until it is removed. */
  const ownContainer = async (name: string, options: string[] = []): Promise<string> => {
    const { stdout, stderr, code } = await cli(scope.url, 'run', '-d', '--name', name, ...options, 'busybox', 'sleep', '600');
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };

  test('docker works there: run, exec, logs, cp, volumes, networks with names, ports, commit', async () => {
    const run = await cli(scope.url, 'run', '--rm', 'busybox', 'sh', '-c', 'echo out; exit 4');
    assert.deepEqual(run, { code: 4, stdout: 'out\n', stderr: '' });
    await cli(scope.url, 'network', 'create', 'inner');
    const id = await ownContainer('server', ['--network', 'inner', '-v', 'store:/store', '-p', '8080']);
    assert.equal((await cli(scope.url, 'exec', 'server', 'sh', '-c', 'echo kept > /store/file; cat /store/file')).stdout, 'kept\n');
    assert.equal((await cli(scope.url, 'run', '--rm', '--network', 'inner', 'busybox', 'ping', '-c1', '-W5', 'server')).code, 0);
    assert.match((await cli(scope.url, 'port', 'server')).stdout, /^8080\/tcp -> 127\.0\.0\.1:\d+\n$/);
    assert.equal((await cli(scope.url, 'ps', '-q', '--no-trunc')).stdout, `${id}\n`);
    assert.equal((await cli(scope.url, 'commit', 'server', 'mine:1')).code, 0);
    assert.equal((await cli(scope.url, 'run', '--rm', 'mine:1', 'echo', 'from my image')).stdout, 'from my image\n');
    assert.equal((await cli(scope.url, 'tag', 'mine:1', 'localhost:5000/mine:2')).code, 0);
    assert.deepEqual((await cli(scope.url, 'images', '--format', '{{.Repository}}:{{.Tag}}')).stdout.trim().split('\n').toSorted(), ['busybox:latest', 'localhost:5000/mine:2', 'mine:1']);
    assert.equal((await cli(scope.url, 'rmi', 'localhost:5000/mine:2')).code, 0);
    await cli(scope.url, 'rm', '-f', 'server');
  });

  test('everything that is made has the labels, whatever the client says', async () => {
    await cli(scope.url, 'run', '-d', '--name', 'labelled', '--label', 'tenant=root', '--label', 'a=b', 'busybox', 'sleep', '600');
    const labels = async (kind: string, name: string, path: string): Promise<unknown> => JSON.parse((await cli(docker.host, kind, 'inspect', name, '--format', `{{json ${path}}}`)).stdout);
    assert.deepEqual(await labels('container', 'labelled', '.Config.Labels'), { tenant: 'ci', a: 'b', 'gantry.dev/scope': 'job-1' });
    await cli(scope.url, 'volume', 'create', 'labelled');
    assert.deepEqual(await labels('volume', 'labelled', '.Labels'), { tenant: 'ci', 'gantry.dev/scope': 'job-1' });
    await cli(scope.url, 'network', 'create', 'labelled');
    assert.deepEqual(await labels('network', 'labelled', '.Labels'), { tenant: 'ci', 'gantry.dev/scope': 'job-1' });
    await cli(scope.url, 'rm', '-f', 'labelled');
  });

  test('what others have is not seen: lists, inspection, disk usage, info', async () => {
    for (const path of ['/containers/json?all=1', '/volumes', '/networks', '/images/json', '/system/df', '/info']) {
      const { status, body } = await tenant('GET', path);
      assert.equal(status, 200, path);
      for (const secret of Object.values(theirs)) assert.ok(!body.includes(secret), `${path} shows ${secret}`);
    }
    const info = (await tenant('GET', '/info')).json as { Containers: number; DockerRootDir: string };
    assert.deepEqual([info.Containers, info.DockerRootDir], [0, '']);
    for (const path of [`/containers/${theirs.name}/json`, `/containers/${theirs.container}/json`, `/containers/${theirs.container.slice(0, 8)}/json`, `/volumes/${theirs.volume}`, `/networks/${theirs.network}`, `/networks/pods`, `/images/${theirs.image}/json`]) {
      assert.equal((await tenant('GET', path)).status, 404, path);
    }
    const imageId = docker.images.get(theirs.image).id;
    for (const name of [imageId, imageId.slice(7, 19)]) assert.equal((await tenant('GET', `/images/${name}/json`)).status, 404, name);
  });

  test('nor is it touched: every call that names a container of somebody else', async () => {
    const calls: readonly [string, string, unknown?][] = [
      ...['start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'wait', 'resize?h=1&w=1', 'attach?logs=1&stream=0&stdout=1', 'rename?name=x'].map((name): [string, string] => ['POST', name]),
      ['POST', 'update', { Memory: 0, CpuShares: 2 }], ['POST', 'exec', { Cmd: ['cat', '/proc/1/environ'], AttachStdout: true }],
      ...['json', 'top', 'logs?stdout=1', 'stats?stream=0', 'export', 'changes', 'archive?path=/etc/passwd'].map((name): [string, string] => ['GET', name]),
      ['HEAD', 'archive?path=/etc/passwd'], ['PUT', 'archive?path=/'],
    ];
    for (const id of [theirs.name, theirs.container]) {
      for (const [method, name, body] of calls) {
        const answer = await tenant(method, `/containers/${id}/${name}`, body);
        assert.equal(answer.status, 404, `${method} ${name}: ${answer.body}`);
        assert.ok(!answer.body.includes('hidden') && !answer.body.includes('their log'));
      }
      assert.equal((await tenant('DELETE', `/containers/${id}?force=1`)).status, 404);
      assert.equal((await tenant('POST', `/commit?container=${id}`)).status, 404);
    }
    for (const [method, path, body] of [['POST', 'start', {}], ['POST', 'resize?h=1&w=1', undefined], ['GET', 'json', undefined]] as const) {
      assert.equal((await tenant(method, `/exec/${theirs.exec}/${path}`, body)).status, 404, path);
    }
    assert.equal((await tenant('DELETE', `/volumes/${theirs.volume}`)).status, 404);
    assert.equal((await tenant('DELETE', `/networks/${theirs.network}`)).status, 404);
    assert.equal(docker.engine.engine.containers.get(theirs.name).status.state, 'running');
  });

  test('a container there gets nothing of the host or of others', async () => {
    const id = await ownContainer('base');
    const attempts: Readonly<Record<string, unknown>> = {
      'privilege': { Privileged: true },
      'a bind': { Binds: ['/:/host'] },
      'a bind of the engine\'s socket': { Binds: [`${docker.socketPath}:/s`] },
      'a bind mount': { Mounts: [{ Type: 'bind', Source: '/etc', Target: '/e' }] },
      'a foreign volume': { Binds: [`${theirs.volume}:/v`] },
      'a foreign volume as a mount': { Mounts: [{ Type: 'volume', Source: theirs.volume, Target: '/v' }] },
      'the volumes of a foreign container': { VolumesFrom: [theirs.name] },
      'a volume made of a host folder': { Mounts: [{ Type: 'volume', Source: 'sneaky', Target: '/v', VolumeOptions: { DriverConfig: { Name: 'local', Options: { type: 'none', o: 'bind', device: '/' } } } }] },
      'the host\'s network': { NetworkMode: 'host' },
      'a foreign network': { NetworkMode: theirs.network },
      'the network of pods': { NetworkMode: 'pods' },
      'a foreign container\'s network': { NetworkMode: `container:${theirs.name}` },
      'the host\'s processes': { PidMode: 'host' },
      'a foreign container\'s processes': { PidMode: `container:${theirs.container}` },
      'the host\'s IPC': { IpcMode: 'host' },
      'a foreign container\'s IPC': { IpcMode: `container:${theirs.name}` },
      'the host\'s name': { UTSMode: 'host' },
      'the host\'s cgroups': { CgroupnsMode: 'host' },
      'a cgroup of its choice': { CgroupParent: '/' },
      'a device': { Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/k', CgroupPermissions: 'rwm' }] },
      'a device rule': { DeviceCgroupRules: ['a *:* rwm'] },
      'a capability': { CapAdd: ['SYS_ADMIN'] },
      'no seccomp': { SecurityOpt: ['seccomp=unconfined'] },
      'no AppArmor': { SecurityOpt: ['apparmor=unconfined'], CapAdd: ['ALL'] },
      'open system paths': { SecurityOpt: ['systempaths=unconfined'] },
      'unmasked paths': { MaskedPaths: [] },
      'writable paths': { ReadonlyPaths: [] },
      'annotations': { Annotations: { 'run.oci.keep_original_groups': '1' } },
      'a sysctl of the host': { Sysctls: { 'kernel.core_pattern': '|/x' } },
      'a port on all addresses': { PortBindings: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '' }] } },
      'more memory than all may have': { Memory: 2 ** 30 },
      'more CPU than all may have': { NanoCpus: 2e9 },
      'another runtime': { Runtime: 'kata' },
    };
    for (const [what, HostConfig] of Object.entries(attempts)) {
      const answer = await tenant('POST', '/containers/create', { Image: 'busybox', Cmd: ['true'], HostConfig });
      assert.ok([400, 403, 404, 409].includes(answer.status), `${what}: ${answer.status} ${answer.body}`);
    }
    for (const Image of [theirs.image, docker.images.get(theirs.image).id]) assert.equal((await tenant('POST', '/containers/create', { Image, Cmd: ['true'] })).status, 404);
    const endpoints = await tenant('POST', '/containers/create', { Image: 'busybox', Cmd: ['true'], NetworkingConfig: { EndpointsConfig: { inner: {}, [theirs.network]: {} } } });
    // Not 404: at creation that means that the image is missing.
    assert.equal(endpoints.status, 400);
    assert.equal((await tenant('POST', `/networks/${theirs.network}/connect`, { Container: id })).status, 404);
    assert.equal((await tenant('POST', `/networks/bridge/connect`, { Container: theirs.name })).status, 404);
    assert.equal((await tenant('POST', `/networks/${theirs.network}/disconnect`, { Container: theirs.name, Force: true })).status, 404);
    assert.equal((await tenant('POST', `/containers/${id}/exec`, { Cmd: ['id'], Privileged: true, AttachStdout: true })).status, 201);
    const { Id } = (await tenant('POST', `/containers/${id}/exec`, { Cmd: ['id'], Privileged: true, AttachStdout: true })).json as { Id: string };
    assert.equal((await tenant('POST', `/exec/${Id}/start`, { Detach: true })).status, 403);
    for (const HostConfig of [{ Memory: 2 ** 30 }, { NanoCpus: 2e9 }, { PidsLimit: 1000 }, { MemorySwap: -1 }]) assert.equal((await tenant('POST', `/containers/${id}/update`, HostConfig)).status, 403, JSON.stringify(HostConfig));
    assert.deepEqual(((await tenant('GET', '/containers/json?all=1')).json as { Id: string }[]).map(({ Id: other }) => other), [id]);
    await cli(scope.url, 'rm', '-f', 'base');
  });

  test('images of others are neither taken, named, moved nor removed', async () => {
    const busybox = docker.images.get('busybox').id;
    for (const [method, path] of [
      ['DELETE', '/images/busybox?force=1'], ['DELETE', `/images/${busybox}?force=1`], ['POST', '/images/busybox/push?tag=latest'], ['GET', '/images/busybox/get'], ['GET', '/images/get?names=busybox'], ['POST', '/images/load'],
      ['POST', '/build'], ['POST', '/build?networkmode=host'], ['POST', '/build/prune'], ['GET', '/images/search?term=x'], ['GET', '/distribution/busybox/json'], ['GET', '/swarm'], ['GET', '/plugins'], ['POST', '/session'], ['POST', '/images/create?fromImage=private/secret&tag=1'],
    ] as const) {
      assert.equal((await tenant(method, path)).status, 403, `${method} ${path}`);
    }
    assert.equal((await tenant('DELETE', `/images/${theirs.image}?force=1`)).status, 404);
    // A name of the host's is given to another image, in the scope alone.
    const id = await ownContainer('poison');
    await cli(scope.url, 'exec', 'poison', 'touch', '/poisoned');
    assert.equal((await cli(scope.url, 'commit', 'poison', 'busybox:latest')).code, 0);
    assert.equal((await cli(scope.url, 'commit', 'poison', 'private/secret:1')).code, 0);
    assert.equal((await cli(scope.url, 'run', '--rm', 'busybox', 'ls', '/poisoned')).code, 0);
    assert.equal(docker.images.get('busybox').id, busybox);
    assert.equal((await cli(docker.host, 'run', '--rm', 'busybox', 'ls', '/poisoned')).code, 1);
    await cli(scope.url, 'rm', '-f', id);
    await cli(scope.url, 'rmi', 'busybox:latest', 'private/secret:1');
    for (const kind of ['containers', 'images', 'networks', 'volumes']) assert.equal((await tenant('POST', `/${kind}/prune?filters=${encodeURIComponent('{"dangling":["false"],"all":["true"]}').replace('dangling', kind === 'images' ? 'dangling' : 'label')}`)).status < 500, true, kind);
    assert.deepEqual([docker.images.find(theirs.image) === undefined, docker.engine.engine.volumes.list().some(({ name }) => name === theirs.volume), docker.images.get('busybox').id === busybox], [false, true, true]);
  });

  test('networks are the scope\'s own: no addresses of choice, and the default one is not the engine\'s', async () => {
    for (const body of [{ IPAM: { Config: [{ Subnet: '8.8.8.0/24' }] } }, { Options: { 'com.docker.network.bridge.name': 'eth0' } }]) {
      assert.ok((await tenant('POST', '/networks/create', { Name: 'odd', ...body })).status >= 400, JSON.stringify(body));
    }
    await ownContainer('alone');
    const { status: { endpoints } } = docker.engine.engine.containers.get('alone');
    assert.deepEqual(endpoints.map(({ networkName }) => networkName), ['scope-job-1']);
    const [address = ''] = docker.engine.engine.containers.get(theirs.name).status.endpoints.map(({ ipv4Address }) => ipv4Address);
    assert.equal((await cli(scope.url, 'exec', 'alone', 'ping', '-c1', '-W1', address)).code, 1);
    assert.equal((await tenant('DELETE', '/networks/scope-job-1')).status, 403);
    await cli(scope.url, 'rm', '-f', 'alone');
  });

  test('events are of the scope\'s own objects only', async () => {
    const stop = new AbortController();
    const seen = collect(scope.url, '/events', stop.signal);
    await pollUntil('the stream to begin', () => seen.isOpen || undefined, { timeoutMs: 30_000, intervalMs: 10 }, signal);
    await cli(docker.host, 'run', '--rm', '--name', 'noise', '--label', 'gantry.dev/scope=job-1', 'busybox', 'true');
    await cli(scope.url, 'run', '--rm', '--name', 'heard', 'busybox', 'true');
    await pollUntil('the last event', () => seen.text.includes('"destroy"') || undefined, { timeoutMs: 30_000, intervalMs: 10 }, signal);
    stop.abort();
    assert.ok(seen.text.includes('heard'));
    assert.ok(!seen.text.includes('noise'), seen.text);
  });

  test('the kernel keeps the ceiling of all together, and the number of containers is kept', async () => {
    const ids = [await ownContainer('one'), await ownContainer('two', ['--memory', '100m'])];
    const { cgroupVersion, instanceId } = docker.engine.engine.info;
    if (cgroupVersion === 1) {
      const scopes = (controller: string): string => `/sys/fs/cgroup/${controller}/gantry-${instanceId}/user`;
      const [folder = ''] = readdirSync(scopes('memory')).filter((name) => name.startsWith('scope-'));
      const read = async (file: string): Promise<string> => (await import('node:fs/promises')).readFile(file, 'utf8');
      assert.deepEqual(
        await Promise.all([read(`${scopes('memory')}/${folder}/memory.limit_in_bytes`), read(`${scopes('cpu')}/${folder}/cpu.cfs_quota_us`), read(`${scopes('pids')}/${folder}/pids.max`)]),
        [`${256 * 2 ** 20}\n`, '50000\n', '64\n'],
      );
      assert.deepEqual(ids.map((id) => existsSync(`${scopes('memory')}/${folder}/${id}`)), [true, true]);
    }
    // 64 processes for all: a bomb in one does not get further.
    const bomb = await cli(scope.url, 'run', '--rm', 'busybox', 'sh', '-c', 'for i in $(seq 100); do sleep 30 & done; echo grown');
    assert.ok(!bomb.stdout.includes('grown'), bomb.stdout);
    for (const name of ['three', 'four', 'five', 'six']) await ownContainer(name);
    const seventh = await cli(scope.url, 'run', '-d', 'busybox', 'sleep', '1');
    assert.match(seventh.stderr, /may have 6 containers/);
    await cli(scope.url, 'rm', '-f', 'one', 'two', 'three', 'four', 'five', 'six');
  });

  test('it survives a restart, and its end leaves nothing', async () => {
    await ownContainer('survivor', ['-v', 'data:/data', '-p', '80']);
    await cli(scope.url, 'commit', 'survivor', 'left:1');
    await sockets[Symbol.asyncDispose]();
    assert.equal(existsSync(scope.url.replace('unix://', '')), false);
    sockets = await open();
    assert.deepEqual(sockets.list().map(({ name, url, expiresAt }) => ({ name, url, expiresAt })), [{ name: scope.name, url: scope.url, expiresAt: scope.expiresAt }]);
    assert.equal((await cli(scope.url, 'ps', '--format', '{{.Names}}')).stdout, 'survivor\n');
    assert.equal((await cli(scope.url, 'image', 'inspect', 'left:1')).code, 0);
    await assert.rejects(sockets.open({ name: 'job-1' }, signal), { code: 'already-exists' });
    const images = docker.images.list().length;
    await sockets.close('job-1', signal);
    await assert.rejects(sockets.close('job-1', signal), { code: 'not-found' });
    const { engine } = docker.engine;
    assert.deepEqual(engine.containers.list().map(({ spec }) => spec.name), [theirs.name]);
    assert.deepEqual(engine.volumes.list().map(({ name }) => name), [theirs.volume]);
    assert.deepEqual(engine.networks.list().filter(({ kind }) => kind === 'user').map(({ spec }) => spec.name), [theirs.network]);
    assert.ok(docker.images.list().length < images);
    assert.ok(docker.images.list().every(({ references }) => references.every((name) => !name.includes('scope.invalid'))));
    assert.deepEqual(readdirSync(join(docker.folder, 'scopes')), []);
    assert.deepEqual(await engine.examine(false, signal), []);
  });

  test('its time ends it, also while nobody watches; a group may use its socket', async () => {
    const short = await sockets.open({ name: 'short', groupId: 54_322, policy: { images: ['*'], lifetimeSeconds: 15 } }, signal);
    const { mode, gid } = statSync(short.url.replace('unix://', ''));
    assert.deepEqual([mode & 0o777, gid], [0o660, 54_322]);
    const { code } = await cli(short.url, 'run', '-d', '--restart', 'always', '--name', 'forever', 'busybox', 'sleep', '600');
    assert.equal(code, 0);
    const isGone = (): true | undefined => (!docker.engine.engine.containers.list().some(({ spec }) => spec.name === 'forever') && sockets.list().length === 0) || undefined;
    await pollUntil('the end of the endpoint', isGone, { timeoutMs: 60_000, intervalMs: 50 }, signal);
    assert.equal(existsSync(short.url.replace('unix://', '')), false);
    // One that ended while the agent was away.
    const { expiresAt } = await sockets.open({ name: 'gone', policy: { images: ['*'], lifetimeSeconds: 2 } }, signal);
    await sockets[Symbol.asyncDispose]();
    await pollUntil('its time to be over', () => Date.now() > Date.parse(expiresAt) || undefined, { timeoutMs: 30_000, intervalMs: 50 }, signal);
    sockets = await open();
    assert.deepEqual([sockets.list(), readdirSync(join(docker.folder, 'scopes'))], [[], []]);
  });
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function collect(url: string, path: string, signal: AbortSignal): { text: string; isOpen: boolean } {
  const seen = { text: '', isOpen: false };
  const call = request({ socketPath: url.replace('unix://', ''), path, signal }, (response) => {
    seen.isOpen = true;
    response.on('data', (chunk: Buffer) => (seen.text += chunk.toString()));
    response.on('error', () => undefined);
  });
  call.on('error', () => undefined);
  call.end();
  return seen;
}
