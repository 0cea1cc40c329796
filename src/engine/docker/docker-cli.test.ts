import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { pollUntil } from '../../kernel/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { testConfig } from '../images/testing/test-images.ts';
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
const hasCompose = (() => {
  try {
    execFileSync('which', ['docker-compose']);
    return true;
  } catch {
    return false;
  }
})();
const signal = AbortSignal.timeout(600_000);

suite('the docker command line', { skip, concurrency: false }, () => {
  let docker: TestDocker;
  before(async () => {
    docker = await openTestDocker({
      // What a build makes is told by the test below: the context as it arrived, as one layer.
      builder: {
        build: async (request, output) => {
          if (request.target === 'broken') throw new Error('no such stage');
          output(`Step 1/1 : ${readFileSync(join(request.contextFolder, request.dockerfilePath), 'utf8').trim()}\n`);
          const tar = execFileSync('tar', ['-c', '-C', request.contextFolder, '.']);
          const { diffId } = await docker.images.importLayer(Readable.from([tar]), signal);
          return docker.images.createImage(testConfig([diffId], { Labels: { ...request.labels, args: JSON.stringify(request.buildArgs) } }), request.tags, signal);
        },
      },
    });
  });
  after(async () => docker[Symbol.asyncDispose]());

  interface Result { code: number; stdout: string; stderr: string }
  const start = (args: readonly string[]): ChildProcess =>
    spawn('docker', args, { env: { PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), DOCKER_BUILDKIT: '0', HOME: docker.folder, TERM: 'xterm' }, stdio: 'pipe' });
  const finish = async (child: ChildProcess, input: string | Buffer = ''): Promise<Result> => {
    const result = { stdout: '', stderr: '' };
    child.stdout?.on('data', (chunk: Buffer) => (result.stdout += chunk.toString('latin1')));
    child.stderr?.on('data', (chunk: Buffer) => (result.stderr += chunk.toString('latin1')));
    child.stdin?.end(input);
    const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
    return { code, ...result };
  };
  const run = (...args: string[]): Promise<Result> => finish(start(args));
  const ok = async (...args: string[]): Promise<string> => {
    const result = await run(...args);
    assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stderr}`);
    return result.stdout.trim();
  };
  const inspect = async (name: string, format: string): Promise<unknown> => JSON.parse(await ok('inspect', '-f', `{{json ${format}}}`, name));

  test('version, info and ping answer as an engine of this machine', async () => {
    assert.equal(await ok('version', '-f', '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}'), '0.0.0 1.50 1.41');
    assert.equal(await ok('info', '-f', '{{.OSType}} {{.Images}} {{.Driver}}'), 'linux 1 overlay2');
    assert.equal((await stat(docker.socketPath)).mode & 0o777, 0o660);
  });

  test('run passes output, input, exit codes and binary data', async () => {
    assert.deepEqual(await run('run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7'), { code: 7, stdout: 'out\n', stderr: 'err\n' });
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 256));
    const echoed = await finish(start(['run', '--rm', '-i', 'busybox', 'cat']), bytes);
    assert.deepEqual([echoed.code, echoed.stdout === bytes.toString('latin1')], [0, true]);
    assert.equal((await run('run', '--rm', 'busybox', '/no/such/program')).code, 127);
    assert.equal((await run('run', '--rm', 'busybox', '/etc')).code, 126);
    assert.equal(await ok('ps', '-aq'), '');
  });

  test('run -it gives the process a terminal', async () => {
    const inner = `docker run --rm -it -e A=b busybox sh -c 'tty; echo $A'`;
    const child = spawn('script', ['-qec', inner, '/dev/null'], { env: { PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), TERM: 'xterm' }, stdio: 'pipe' });
    const { code, stdout } = await finish(child);
    assert.equal(code, 0, stdout);
    // script(1) passes on the end of its own input as a character, which the terminal echoes.
    assert.match(stdout.replace('^@', ''), /\/dev\/pts\/0\r\nb\r\n/);
  });

  test('ps, inspect, logs, top, stats and stop tell of a container and end it', async () => {
    const id = await ok('run', '-d', '--name', 'web', '--label', 'a=b', '-e', 'X=1', '-w', '/tmp', '-m', '64m', '--cpus', '0.5', 'busybox', 'sh', '-c', 'echo one; echo two >&2; exec sleep 1000');
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.match(await ok('ps', '--format', '{{.Names}} {{.Image}} {{.State}} {{.Status}} {{.Labels}}'), /^web busybox running Up .* a=b$/);
    assert.equal(await ok('ps', '-q', '--no-trunc', '--filter', 'label=a=b', '--filter', 'status=running', '--filter', 'name=we'), id);
    assert.equal(await ok('ps', '-q', '--filter', 'label=a=c'), '');
    assert.deepEqual(await inspect('web', '.HostConfig.Memory'), 64 * 2 ** 20);
    assert.deepEqual(await inspect('web', '.HostConfig.NanoCpus'), 5e8);
    assert.deepEqual(await inspect('web', '.Config.Env'), ['X=1', 'PATH=/bin']);
    assert.deepEqual([await inspect('web', '.State.Running'), await inspect('web', '.Config.WorkingDir'), await inspect('web', '.Path')], [true, '/tmp', 'sh']);
    await pollUntil('both lines', async () => ((await run('logs', 'web')).stderr === 'two\n' ? true : undefined), { timeoutMs: 30_000 }, signal);
    assert.deepEqual(await run('logs', 'web'), { code: 0, stdout: 'one\n', stderr: 'two\n' });
    assert.match((await run('logs', '-t', '--tail', '1', 'web')).stderr, /^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z two\n$/);
    assert.match(await ok('top', 'web'), /sleep 1000/);
    assert.match(await ok('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}} {{.PIDs}}', 'web'), /^web .*64MiB 1$/);
    await ok('stop', '-t', '0', 'web');
    assert.deepEqual([await inspect('web', '.State.Status'), await inspect('web', '.State.ExitCode')], ['exited', 137]);
    await ok('start', 'web');
    await ok('restart', '-t', '0', 'web');
    await ok('rename', 'web', 'site');
    await ok('pause', 'site');
    assert.equal(await inspect('site', '.State.Paused'), true);
    await ok('unpause', 'site');
    await ok('update', '--restart', 'on-failure:3', '--memory', '32m', 'site');
    assert.deepEqual(await inspect('site', '.HostConfig.RestartPolicy'), { Name: 'on-failure', MaximumRetryCount: 3 });
    await ok('update', '--restart', 'no', 'site');
    await ok('kill', '-s', 'KILL', 'site');
    assert.equal(await ok('wait', 'site'), '137');
    assert.equal((await run('rm', 'nosuch')).stderr.includes('No such container: nosuch'), true);
    await ok('rm', 'site');
  });

  test('logs -f follows to the end of the container', async () => {
    await ok('create', '--name', 'talker', 'busybox', 'sh', '-c', 'for i in 1 2 3; do echo line $i; sleep 0.1; done');
    await ok('start', 'talker');
    assert.equal(await ok('logs', '-f', 'talker'), 'line 1\nline 2\nline 3');
    assert.equal(await ok('start', '-a', 'talker'), 'line 1\nline 2\nline 3');
    await ok('rm', 'talker');
  });

  test('exec runs in a container with stdio, user, folder and exit code', async () => {
    await ok('run', '-d', '--name', 'host', 'busybox', 'sleep', '1000');
    assert.deepEqual(await run('exec', 'host', 'sh', '-c', 'echo out; echo err >&2; exit 5'), { code: 5, stdout: 'out\n', stderr: 'err\n' });
    assert.deepEqual(await finish(start(['exec', '-i', 'host', 'sh', '-c', 'cat; echo end']), 'typed\n'), { code: 0, stdout: 'typed\nend\n', stderr: '' });
    assert.equal(await ok('exec', '-u', '1000', '-w', '/tmp', '-e', 'A=b', 'host', 'sh', '-c', 'id -u; pwd; echo $A'), '1000\n/tmp\nb');
    assert.equal((await run('exec', 'host', 'nosuch')).code, 127);
    await ok('exec', '-d', 'host', 'touch', '/tmp/made');
    await pollUntil('the detached exec', async () => ((await run('exec', 'host', 'test', '-e', '/tmp/made')).code === 0 ? true : undefined), { timeoutMs: 30_000 }, signal);
    await ok('rm', '-f', 'host');
    assert.match((await run('exec', 'host', 'true')).stderr, /No such container/);
  });

  test('attach joins a running container and leaves by the detach keys', async () => {
    await ok('run', '-dit', '--name', 'shell', 'busybox', 'sh');
    const child = spawn('script', ['-qec', 'docker attach shell', '/dev/null'], { env: { PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), TERM: 'xterm' }, stdio: 'pipe' });
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    const closed = new Promise((resolve) => child.once('close', resolve));
    await pollUntil('an answer of the shell', () => {
      if (seen.includes('sum 42')) return true;
      child.stdin.write('echo sum $((40+2))\r');
      return undefined;
    }, { timeoutMs: 30_000, intervalMs: 200 }, signal);
    child.stdin.write(Buffer.from([0x10, 0x11]));
    await closed;
    assert.equal(await inspect('shell', '.State.Running'), true);
    await ok('rm', '-f', 'shell');
  });

  test('volumes, binds and tmpfs are mounted; anonymous volumes go with rm -v', async () => {
    mkdirSync(join(docker.folder, 'shared'));
    writeFileSync(join(docker.folder, 'shared/file'), 'from the host');
    await ok('volume', 'create', '--label', 'x=y', 'data');
    await ok('run', '--rm', '-v', 'data:/data', 'busybox', 'sh', '-c', 'echo kept > /data/kept');
    const script = 'cat /in/file /data/kept /data/seed; touch /in/x; mount | grep -c "on /scratch type tmpfs"';
    const read = await run('run', '--rm', '-v', `${docker.folder}/shared:/in:ro`, '--mount', 'type=volume,src=data,dst=/data,readonly', '--tmpfs', '/scratch:size=1m', 'busybox', 'sh', '-c', script);
    assert.deepEqual([read.stdout, read.stderr.includes('Read-only file system')], ['from the hostkept\nfrom the image\n1\n', true]);
    await ok('create', '--name', 'anon', '-v', '/anon', 'busybox');
    assert.equal((await ok('volume', 'ls', '-q')).split('\n').length, 2);
    assert.match((await run('volume', 'rm', 'data', 'none')).stderr, /none: no such volume/);
    await ok('rm', '-v', 'anon');
    assert.equal(await ok('volume', 'ls', '-q'), '');
  });

  test('cp, diff, export and commit see the files of a container', async () => {
    const files = join(docker.folder, 'files');
    mkdirSync(join(files, 'tree/sub'), { recursive: true });
    writeFileSync(join(files, 'tree/sub/file'), 'copied in', { mode: 0o640 });
    await ok('run', '-d', '--name', 'box', '-v', '/vol', 'busybox', 'sh', '-c', 'echo changed > /data/seed; rm /etc/group; mkdir /new; ln -s /new /link; ln -s /etc/passwd /root/escape; exec sleep 1000');
    await pollUntil('the changes', async () => (await run('exec', 'box', 'test', '-h', '/root/escape')).code === 0 || undefined, { timeoutMs: 30_000 }, signal);
    await ok('cp', `${files}/tree`, 'box:/link');
    await ok('cp', `${files}/tree`, 'box:/vol');
    assert.equal(await ok('exec', 'box', 'cat', '/new/tree/sub/file', '/vol/tree/sub/file'), 'copied incopied in');
    await ok('cp', 'box:/link/tree', join(files, 'out'));
    assert.equal(readFileSync(join(files, 'out/sub/file'), 'utf8'), 'copied in');
    await ok('cp', '-L', 'box:/root/escape', join(files, 'passwd'));
    assert.match(readFileSync(join(files, 'passwd'), 'utf8'), /^app:x:1000/m);
    assert.match((await run('cp', 'box:/none', files)).stderr, /Could not find the file \/none/);
    assert.match((await run('cp', `${files}/tree`, 'box:/none/deeper')).stderr, /Could not find the file|no such directory/i);
    assert.deepEqual((await ok('diff', 'box')).split('\n').toSorted(), [
      'A /link', 'A /new', 'A /new/tree', 'A /new/tree/sub', 'A /new/tree/sub/file', 'A /root/escape', 'C /data', 'C /data/seed', 'C /etc', 'C /root', 'D /etc/group',
    ]);
    await ok('export', '-o', join(files, 'all.tar'), 'box');
    const listing = execFileSync('tar', ['-tf', join(files, 'all.tar')]).toString().split('\n');
    assert.ok(listing.includes('new/tree/sub/file') && !listing.includes('etc/group'));
    await ok('commit', '-m', 'a note', 'box', 'committed:1');
    await ok('rm', '-fv', 'box');
    assert.equal(await ok('run', '--rm', '--entrypoint', 'sh', 'committed:1', '-c', 'cat /new/tree/sub/file /data/seed; ls /etc'), 'copied inchanged\nhostname\nhosts\npasswd\nresolv.conf');
    assert.match(await ok('history', '--format', '{{.Comment}}', 'committed:1'), /^a note/);
    assert.match((await run('commit', '-c', 'CMD x', 'none')).stderr, /No such container|not applied/);
    await ok('rmi', 'committed:1');
  });

  test('networks are made, joined, shown and removed', async () => {
    const id = await ok('network', 'create', '--label', 'n=1', 'back');
    assert.equal(await ok('network', 'ls', '-q', '--no-trunc', '--filter', 'label=n=1'), id);
    assert.deepEqual((await ok('network', 'ls', '--format', '{{.Name}}')).split('\n').toSorted(), ['back', 'bridge', 'host', 'none']);
    await ok('run', '-d', '--name', 'peer', '--network', 'back', 'busybox', 'sleep', '1000');
    const address = (await inspect('peer', '.NetworkSettings.Networks.back.IPAddress')) as string;
    assert.equal(await ok('run', '--rm', '--network', 'back', 'busybox', 'ping', '-c', '1', '-W', '5', '-q', address).then((text) => text.includes('0% packet loss')), true);
    assert.match((await run('network', 'rm', 'back')).stderr, /active endpoints/);
    assert.equal(await ok('run', '--rm', '--network', 'none', 'busybox', 'sh', '-c', 'ls /sys/class/net'), 'lo');
    await ok('rm', '-f', 'peer');
    await ok('network', 'rm', 'back');
  });

  test('published ports answer', async () => {
    await ok('run', '-d', '--name', 'www', '-p', '80', 'busybox', 'httpd', '-f', '-h', '/etc');
    const port = (await ok('port', 'www', '80/tcp')).split(':')[1] ?? '';
    await pollUntil('the server', async () => (await fetch(`http://127.0.0.1:${port}/passwd`).then((answer) => answer.text(), () => '')).includes('root:') || undefined, { timeoutMs: 30_000 }, signal);
    await ok('rm', '-f', 'www');
  });

  test('images are tagged, pushed, pulled, saved, loaded and removed', async () => {
    await using registry = await openTestRegistry();
    const name = `${registry.host}/team/app:v1`;
    await ok('tag', 'busybox', name);
    assert.match(await ok('push', name), /v1: digest: sha256:[0-9a-f]{64} size: \d+/);
    const id = await inspect('busybox', '.Id');
    await ok('rmi', name);
    assert.match((await run('push', name)).stderr, /does not exist locally/);
    assert.match(await ok('pull', name), /Status: Downloaded newer image/);
    assert.equal(await inspect(name, '.Id'), id);
    assert.match((await run('pull', `${registry.host}/none:1`)).stderr, /manifest unknown/);
    assert.equal((await run('run', '--rm', `${registry.host}/none:1`)).code, 125);
    assert.match(await ok('images', '--digests', '--format', '{{.Repository}}:{{.Tag}} {{.Digest}}', '--filter', `reference=${registry.host}/team/*`), /^127\.0\.0\.1:\d+\/team\/app:v1 sha256:/m);
    const archive = join(docker.folder, 'saved.tar');
    await ok('save', '-o', archive, name);
    await ok('rmi', name);
    assert.equal(await ok('load', '-q', '-i', archive), `Loaded image: ${name}`);
    assert.match(await ok('history', '-q', '--no-trunc', name), /^sha256:/);
    await ok('rmi', name);
    assert.match((await run('rmi', 'nosuch')).stderr, /No such image: nosuch/);
  });

  test('build sends its context, arguments and labels to the builder', async () => {
    const context = join(docker.folder, 'context');
    mkdirSync(join(context, 'src'), { recursive: true });
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\n');
    writeFileSync(join(context, 'src/.wh.file'), 'no whiteout');
    writeFileSync(join(context, '.dockerignore'), 'ignored\n');
    writeFileSync(join(context, 'ignored'), 'x');
    const built = await run('build', '-t', 'built:1', '--build-arg', 'A=1', '--label', 'l=2', context);
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stdout, /Step 1\/1 : FROM scratch/);
    assert.deepEqual(await inspect('built:1', '.Config.Labels'), { l: '2', args: '{"A":"1"}' });
    assert.match((await run('build', '--target', 'broken', context)).stderr, /no such stage/);
    assert.match((await run('build', '--squash', context)).stderr, /squash/);
    await ok('rmi', 'built:1');
  });

  test('docker-compose brings services up and down', { skip: hasCompose ? false : 'docker-compose is not installed' }, async () => {
    const folder = join(docker.folder, 'project');
    mkdirSync(folder);
    writeFileSync(join(folder, 'docker-compose.yml'), [
      'version: "3.8"',
      'services:',
      '  db:',
      '    image: busybox',
      '    command: ["sh", "-c", "echo data > /srv; exec httpd -f -p 80 -h /"]',
      '    volumes: ["dbdata:/var/data"]',
      '  web:',
      '    image: busybox',
      '    command: ["sh", "-c", "until wget -qO- http://db/srv; do sleep 0.1; done; exec sleep 1000"]',
      '    depends_on: [db]',
      '    environment: {A: b}',
      '    ports: ["80"]',
      'volumes: {dbdata: {}}',
      '',
    ].join('\n'));
    const compose = (...args: string[]): Promise<Result> =>
      finish(spawn('docker-compose', args, { cwd: folder, env: { PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), HOME: docker.folder }, stdio: 'pipe' }));
    const up = await compose('up', '-d');
    assert.equal(up.code, 0, up.stderr);
    assert.match((await compose('ps')).stdout, /project_web_1 .* Up .*127\.0\.0\.1:\d+->80\/tcp/);
    await pollUntil('web to reach db by name', async () => ((await compose('logs', '--no-color', 'web')).stdout.includes('data') ? true : undefined), { timeoutMs: 30_000 }, signal);
    assert.match((await compose('exec', '-T', 'web', 'env')).stdout, /^A=b$/m);
    const down = await compose('down', '-v', '-t', '0');
    assert.equal(down.code, 0, down.stderr);
    assert.deepEqual([await ok('ps', '-aq'), await ok('volume', 'ls', '-q')], ['', '']);
  });

  test('what is not supported is refused and named', async () => {
    const cases: [args: string[], message: RegExp][] = [
      [['run', '--gpus', 'all', 'busybox'], /HostConfig\.DeviceRequests/],
      [['run', '--cgroup-parent', '/x', 'busybox'], /HostConfig\.CgroupParent/],
      [['run', '--storage-opt', 'size=1G', 'busybox'], /HostConfig\.StorageOpt/],
      [['run', '--log-driver', 'syslog', 'busybox'], /logging driver "syslog"/],
      [['run', '--security-opt', 'apparmor=x', 'busybox'], /SecurityOpt/],
      [['run', '--restart', 'maybe', 'busybox'], /unknown policy/],
      [['run', '--runtime', 'kata', 'busybox'], /runtime name: kata/],
      [['run', '-v', 'a:b:c:d', 'busybox'], /invalid volume specification/],
      [['run', '--sysctl', 'net.ipv4.ip_forward=1', '--network', 'host', 'busybox'], /would change the host/],
      [['run', '--name', '-bad', 'busybox'], /Invalid container name/],
      [['search', 'x'], /no part of the registry protocol/],
      [['swarm', 'init'], /swarm/],
      [['ps', '--filter', 'nosuch=1'], /invalid filter 'nosuch'/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await run(...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, message, args.join(' '));
    }
    assert.equal(await ok('ps', '-aq'), '');
  });

  test('events tell what happened', async () => {
    await ok('run', '--rm', '--name', 'eventful', 'busybox', 'true');
    // Clients send whole seconds.
    const events = await ok('events', '--since', '10m', '--until', String(Math.floor(Date.now() / 1000) + 1), '--filter', 'container=eventful', '--format', '{{.Action}}');
    assert.deepEqual(events.split('\n').filter((action) => ['create', 'start', 'die', 'destroy'].includes(action)), ['create', 'start', 'die', 'destroy']);
  });

  test('bad requests get errors in Docker\'s shape', async () => {
    const cases: [request: string, status: string, message: RegExp][] = [
      ['GET /v1.24/info', '400', /too old/],
      ['GET /v9.99/info', '400', /too new/],
      ['GET /v1.41/nothing', '404', /page not found/],
      ['PATCH /v1.41/info', '400', /page not found|not supported/],
      ['GET /containers/json?nonsense=1', '400', /query parameter "nonsense"/],
      ['GET /containers/json?limit=x', '400', /limit/],
      ['POST /exec/none/start', '404', /No such exec/],
    ];
    for (const [request, status, message] of cases) {
      const answer = await rawRequest(docker.socketPath, `${request} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`);
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `) || (request.startsWith('PATCH') && answer.startsWith('HTTP/1.1 404')), `${request}: ${answer}`);
      assert.match((JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { message: string }).message, message);
    }
  });
});

function rawRequest(socketPath: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
    socket.write(request);
  });
}
