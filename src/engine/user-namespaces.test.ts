import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import * as fc from 'fast-check';
import { rootNeeds } from '../host/testing/root.ts';
import { isError, pollUntil } from '../kernel/mod.ts';
import { chooseUserNamespace, defaultIdRange, idsPerContainer, parseSubordinateRange } from './containers/id-ranges.ts';
import { openTestDocker, type TestDocker } from './docker/testing/test-docker.ts';
import type { Engine } from './engine.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { simulateReboot } from './testing/reboot.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';
import type { ContainerId, ContainerSpec, UserNamespaceMode } from './types.ts';

const signal = AbortSignal.timeout(300_000);
const { firstId } = defaultIdRange;
const needs = ['runc', 'conmon', 'nft', 'busybox', 'unshare', 'nsenter', 'bsdtar'];

suite('user namespaces of containers', { skip: rootNeeds(...needs), concurrency: false }, () => {
  let opened: TestEngine;
  let engine: Engine;
  before(async () => {
    opened = await openTestEngine();
    engine = opened.engine;
  });
  after(async () => opened[Symbol.asyncDispose]());

  const spec = (script: string, change: Partial<ContainerSpec> = {}, mode: 'shared' | 'unique' | 'default' = 'shared'): ContainerSpec => {
    const plain = busyboxSpec(script, change);
    return { ...plain, namespaces: { ...plain.namespaces, ...change.namespaces, user: { mode } } };
  };
  const startSleeping = async (change: Partial<ContainerSpec> = {}, mode: 'shared' | 'unique' = 'shared'): Promise<ContainerId> => {
    const { id } = await engine.containers.create(spec('', { args: ['sleep', '600'], ...change }, mode), signal);
    await engine.containers.start(id, signal);
    return id;
  };
  const remove = (id: string): Promise<void> => engine.containers.remove(id, { force: true, removeVolumes: true }, signal);
  const exec = async (id: string, script: string): Promise<string> => {
    const session = await engine.containers.exec(id, { args: ['sh', '-c', script], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
    let text = '';
    session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    session.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await session.exit;
    return text;
  };

  test('root in a container is nobody on the host, and root inside: files, owners, its own settings', async () => {
    const script = 'id -u; cat /proc/self/uid_map | tr -s " "; touch /root/new && stat -c %u:%g /root/new /bin/busybox /etc/hosts; echo 127.0.0.1 me >> /etc/hosts && echo writable; chown 1000:1000 /root/new && stat -c %u /root/new';
    const { stdout, stderr } = await runToEnd(engine, spec(script), signal);
    assert.deepEqual([stdout.split('\n'), stderr], [['0', ` 0 ${firstId} 65536`, '0:0', '0:0', '0:0', 'writable', '1000', ''], '']);
    const id = await startSleeping();
    const { pid = 0 } = engine.containers.get(id).status;
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), new RegExp(`^Uid:\\t${firstId}\\t`, 'm'));
    assert.equal(await exec(id, 'id -u; cat /proc/self/uid_map | tr -s " "'), `0\n 0 ${firstId} 65536\n`);
    await remove(id);
  });

  test('a host folder that is root’s can be read and not be written, as nobody would', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-userns-'));
    try {
      chmodSync(folder, 0o755);
      writeFileSync(join(folder, 'public'), 'public\n');
      writeFileSync(join(folder, 'secret'), 'secret\n', { mode: 0o600 });
      const script = 'cat /host/public; cat /host/secret; chmod 777 /host; echo x > /host/made; stat -c %u /host/public; echo end';
      const mounts = [{ type: 'bind' as const, source: folder, target: '/host', isReadOnly: false, propagation: 'rprivate' as const, isRecursive: true, createSource: false }];
      const { stdout } = await runToEnd(engine, spec(script, { mounts }), signal);
      assert.equal(stdout, 'public\n65534\nend\n');
      assert.deepEqual([existsSync(join(folder, 'made')), statSync(folder).mode & 0o777], [false, 0o755]);
      // What is given to its range is its own.
      chownSync(folder, firstId, firstId);
      assert.equal((await runToEnd(engine, spec('echo x > /host/made && stat -c %u /host/made', { mounts }), signal)).stdout, '0\n');
      assert.equal(statSync(join(folder, 'made')).uid, firstId);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('volumes are filled, written and shared with containers of other ranges and of none: ids on disk are as inside', async () => {
    const mounts = [{ type: 'volume' as const, volume: 'shared', target: '/data', isReadOnly: false, copyUp: true }];
    const write = 'cat /data/seed; echo mine > /data/mine; chown 1000 /data/mine; stat -c %u /data/seed /data/mine';
    assert.equal((await runToEnd(engine, spec(write, { mounts }), signal)).stdout, 'from the image\n0\n1000\n');
    assert.equal((await runToEnd(engine, spec('cat /data/mine; stat -c %u /data/mine /data/seed; rm /data/seed && echo removed', { mounts }, 'unique'), signal)).stdout, 'mine\n1000\n0\nremoved\n');
    assert.equal((await runToEnd(engine, busyboxSpec('stat -c %u /data/mine; ls /data', { mounts }), signal)).stdout, '1000\nmine\n');
    assert.equal(statSync(join(engine.volumes.get('shared').mountpoint, 'mine')).uid, 1000);
  });

  test('the network is its own: low ports, raw sockets, published ports, settings, names, and one that joins it', async () => {
    await engine.networks.create({ name: 'userns', isInternal: false, labels: {}, options: {} }, signal);
    const change = { network: { mode: 'bridge' as const, endpoints: [{ network: 'userns', aliases: ['web'] }] } };
    const id = await startSleeping({ ...change, args: ['sh', '-c', 'mkdir -p /www && echo served > /www/index.html && exec httpd -f -p 80 -h /www'], ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }], sysctls: { 'net.ipv4.ip_local_port_range': '40000 50000' } });
    const [port] = engine.containers.get(id).status.ports;
    const fetched = (): Promise<string | undefined> => fetch(`http://127.0.0.1:${port?.hostPort ?? 0}/`).then((answer) => answer.text(), () => undefined);
    assert.equal(await pollUntil('the published port', fetched, { timeoutMs: 30_000, intervalMs: 10 }, signal), 'served\n');
    assert.equal((await runToEnd(engine, spec('ping -c1 -W5 web >/dev/null && wget -qO- http://web/', { network: { mode: 'bridge', endpoints: [{ network: 'userns', aliases: [] }] } }), signal)).stdout, 'served\n');
    const joined = { network: { mode: 'container' as const, containerId: id }, namespaces: { ...busyboxSpec('').namespaces, pid: { mode: 'container' as const, containerId: id } } };
    assert.equal((await runToEnd(engine, spec('wget -qO- http://127.0.0.1/; ps | grep -q "[h]ttpd" && echo seen; ping -c1 127.0.0.1 >/dev/null && echo raw', joined, 'unique'), signal)).stdout, 'served\nseen\nraw\n');
    await remove(id);
    const plain = await engine.containers.create(busyboxSpec('', { args: ['sleep', '600'] }), signal);
    await engine.containers.start(plain.id, signal);
    await assert.rejects(runToEnd(engine, spec('true', { network: { mode: 'container', containerId: plain.id } }), signal), (error) => isError(error, 'conflict'));
    await remove(plain.id);
  });

  test('a container in the network of another goes on when that is restarted, and is in its network and user namespace again after its own restart', async () => {
    const first = await startSleeping({}, 'unique');
    const { id } = await engine.containers.create(spec('', { args: ['sleep', '600'], network: { mode: 'container', containerId: first } }, 'unique'), signal);
    await engine.containers.start(id, signal);
    const fact = async (container: string): Promise<string> => exec(container, 'ip -4 -o addr show eth0 | tr -s " " | cut -d " " -f 4; tail -1 /proc/self/uid_map | tr -s " "; cat /etc/hosts /etc/resolv.conf');
    const isShared = async (): Promise<void> => {
      const facts = await Promise.all([first, id].map(fact));
      assert.match(facts[0] ?? '', /^\d+\.\d+\.\d+\.\d+\/\d+\n 0 [1-9]\d+ 65536\n/);
      assert.equal(facts[1], facts[0]);
    };
    await isShared();
    await engine.containers.restart(first, { timeoutSeconds: 0 }, signal);
    // The other has another user namespace now, and with it another network: it goes on, and gets that with its own restart.
    assert.equal(engine.containers.get(id).status.state, 'running');
    await engine.containers.restart(id, { timeoutSeconds: 0 }, signal);
    await isShared();
    engine = await opened.reopen();
    for (const container of [first, id]) await engine.containers.restart(container, { timeoutSeconds: 0 }, signal);
    await isShared();
    for (const container of [id, first]) await remove(container);
    assert.deepEqual(await engine.examine(false, signal), []);
  });

  test('a container of a range of its own cannot touch the processes of another', async () => {
    const [one, two] = [await startSleeping({}, 'unique'), await startSleeping({}, 'unique')];
    const uids = [one, two].map((id) => statSync(`/proc/${engine.containers.get(id).status.pid ?? 0}`).uid);
    assert.equal(new Set([...uids, firstId]).size, 3);
    assert.deepEqual(uids.map((uid) => (uid - firstId) % idsPerContainer), [0, 0]);
    await Promise.all([remove(one), remove(two)]);
  });

  test('it starts again, also under an engine that was opened anew, with its files; nothing is left in the end', async () => {
    const { id } = await engine.containers.create(spec('test -e /kept && cat /kept; echo run >> /kept; exec sleep 600'), signal);
    await engine.containers.start(id, signal);
    engine = await opened.reopen();
    assert.equal(engine.containers.get(id).status.state, 'running');
    assert.equal(await exec(id, 'cat /kept'), 'run\n');
    await engine.containers.restart(id, { timeoutSeconds: 0 }, signal);
    assert.equal(await exec(id, 'cat /kept; stat -c %u /kept'), 'run\nrun\n0\n');
    assert.equal(statSync(join(engine.containers.writableFolder(id), 'kept')).uid, 0);
    const pid = engine.containers.get(id).status.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    assert.equal((await engine.containers.wait(id, 'not-running', signal)).exitCode, 137);
    await remove(id);
    assert.deepEqual(await engine.examine(false, signal), []);
  });

  test('a pod with a range of its own: one user namespace for its containers, volumes of any kind, network, exec; through a restart and a reboot', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-userns-'));
    try {
      writeFileSync(join(folder, 'secret'), 'token\n', { mode: 0o400 });
      const pod = { podUid: 'u1', namespace: 'default', name: 'u1', hostname: 'web-1', labels: {}, hostNetwork: false, hostUsers: false, dns: { servers: [], searches: [], options: [] }, extraHosts: [], ports: [], sysctls: { 'net.ipv4.ip_local_port_range': '40000 50000', 'kernel.shm_rmid_forced': '1' }, cgroup: { workload: 'application' as const } };
      const [sandbox, other] = [await engine.sandboxes.create(pod, signal), await engine.sandboxes.create({ ...pod, podUid: 'u2', name: 'u2' }, signal)];
      assert.equal(new Set([sandbox.idRange?.firstId, other.idRange?.firstId, firstId]).size, 3, 'each has its own range');
      const bind = (source: string, target: string) => ({ type: 'bind' as const, source, target, isReadOnly: false, propagation: 'rprivate' as const, isRecursive: true, createSource: false });
      const inPod = (script: string, name: string, change: Partial<ContainerSpec> = {}) => busyboxSpec(script, {
        owner: { kind: 'pod', sandboxId: sandbox.id, podUid: 'u1', containerName: name, attempt: 0 },
        network: { mode: 'sandbox' }, namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } },
        mounts: [bind(folder, '/data'), bind(join(folder, 'secret'), '/secret')], ...change,
      });
      const server = await engine.containers.create(inPod('echo shared > /dev/shm/x; mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www', 'server'), signal);
      await engine.containers.start(server.id, signal);
      const script = 'tail -1 /proc/self/uid_map | tr -s " "; cat /secret; stat -c %u:%a /secret; echo mine > /data/mine; chown 1000 /data/mine; until wget -qO- http://127.0.0.1/; do usleep 1000; done; cat /dev/shm/x; cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced; echo 10.0.0.1 me >> /etc/hosts && echo writable; ping -c1 127.0.0.1 >/dev/null && echo raw';
      const client = await runToEnd(engine, inPod(script, 'client'), signal);
      assert.deepEqual([client.stdout.split('\n'), client.stderr], [[` 0 ${sandbox.idRange?.firstId ?? 0} 65536`, 'token', '0:400', 'web-1', 'shared', '40000\t50000', '1', 'writable', 'raw', ''], '']);
      assert.equal(statSync(join(folder, 'mine')).uid, 1000, 'ids on disk are as inside');
      const pidOf = (): number => engine.containers.get(server.id).status.pid ?? 0;
      assert.match(readFileSync(`/proc/${pidOf()}/status`, 'utf8'), new RegExp(`^Uid:\\t${sandbox.idRange?.firstId ?? 0}\\t`, 'm'));
      engine = await opened.reopen();
      assert.equal(await exec(server.id, 'id -u; hostname; cat /dev/shm/x'), '0\nweb-1\nshared\n');
      await assert.rejects(runToEnd(engine, inPod('true', 'privileged', { security: { ...busyboxSpec('').security, isPrivileged: true } }), signal), (error) => isError(error, 'invalid') && /user namespaces/.test(error.message));
      await assert.rejects(engine.sandboxes.create({ ...pod, podUid: 'u3', hostNetwork: true }, signal), (error) => isError(error, 'invalid') && /user namespaces/.test(error.message));
      await simulateReboot(opened, signal);
      engine = await opened.reopen();
      assert.deepEqual(engine.sandboxes.get(sandbox.id).idRange, sandbox.idRange);
      assert.equal((await runToEnd(engine, inPod('hostname; tail -1 /proc/self/uid_map | tr -s " "', 'later'), signal)).stdout, `web-1\n 0 ${sandbox.idRange?.firstId ?? 0} 65536\n`);
      for (const { id } of [sandbox, other]) await engine.sandboxes.remove(id, signal);
      assert.deepEqual(await engine.examine(false, signal), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('what would give the host’s namespaces to it is refused', async () => {
    const { namespaces, security } = busyboxSpec('');
    const refused: Partial<ContainerSpec>[] = [
      { security: { ...security, isPrivileged: true } },
      { network: { mode: 'host' } },
      ...(['pid', 'ipc', 'uts', 'cgroup'] as const).map((kind) => ({ namespaces: { ...namespaces, [kind]: { mode: 'host' } } })),
    ];
    for (const change of refused) {
      await assert.rejects(engine.containers.create(spec('true', change), signal), (error) => isError(error, 'invalid') && /user namespaces/.test(error.message), JSON.stringify(change));
    }
  });
});

suite('docker with user namespaces for all', { skip: rootNeeds('docker', ...needs), concurrency: false }, () => {
  let docker: TestDocker;
  before(async () => {
    docker = await openTestDocker({ engine: { userNamespaces: { isDefault: true, range: defaultIdRange } } });
  });
  after(async () => docker[Symbol.asyncDispose]());
  const env = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), HOME: docker.folder });
  const listTar = (command: string): Promise<string> => new Promise((resolve) => execFile('sh', ['-c', `${command} | bsdtar --numeric-owner -tvf -`], { env: env() }, (_, stdout) => resolve(stdout)));
  const cli = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      execFile('docker', args, { env: env(), timeout: 120_000 }, (error, stdout, stderr) => resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr }));
    });

  test('run, exec, cp both ways, diff, commit, export, logs are as without', async () => {
    assert.match((await cli('info', '--format', '{{.SecurityOptions}}')).stdout, /name=userns/);
    await cli('run', '-d', '--name', 'c', 'busybox', 'sh', '-c', 'echo logged; touch /made; chown 7:8 /made; exec sleep 600');
    assert.equal((await cli('exec', 'c', 'sh', '-c', 'until [ -e /made ]; do usleep 1000; done; tail -1 /proc/self/uid_map | tr -s " "')).stdout, ` 0 ${firstId} 65536\n`);
    assert.equal((await cli('logs', 'c')).stdout, 'logged\n');
    writeFileSync(join(docker.folder, 'in'), 'copied in\n');
    assert.equal((await cli('cp', join(docker.folder, 'in'), 'c:/in')).code, 0);
    assert.equal((await cli('exec', 'c', 'sh', '-c', 'cat /in; stat -c %u:%g /in; echo more >> /in; rm /in && echo removed')).stdout, 'copied in\n0:0\nremoved\n');
    assert.match(await listTar('docker cp c:/made -'), / 7 +8 .*made/);
    assert.equal((await cli('diff', 'c')).stdout, 'A /made\n');
    assert.equal((await cli('commit', 'c', 'with-made')).code, 0);
    assert.equal((await cli('run', '--rm', 'with-made', 'stat', '-c', '%u:%g', '/made')).stdout, '7:8\n');
    assert.equal((await cli('run', '--rm', '--userns', 'host', 'with-made', 'sh', '-c', 'stat -c %u:%g /made; tail -1 /proc/self/uid_map | tr -s " "')).stdout, '7:8\n 0 0 4294967295\n');
    const listed = await listTar('docker export c');
    assert.match(listed, / 0 +0 .*bin\/busybox/);
    assert.match(listed, / 7 +8 .*made/);
    await cli('rm', '-f', 'c');
  });

  test('a terminal, another user, an init, a read-only root, a shared memory of its own', async () => {
    const tty = await cli('run', '--rm', '-t', 'busybox', 'sh', '-c', 'tty; stat -c %u $(tty)');
    assert.deepEqual([tty.code, tty.stdout], [0, '/dev/pts/0\r\n0\r\n']);
    assert.equal((await cli('run', '--rm', '-u', '1000:1000', '--read-only', '--tmpfs', '/t', 'busybox', 'sh', '-c', 'id -u; touch /x 2>/dev/null || echo read-only; touch /t/x && echo tmpfs; touch /dev/shm/x && echo shm; echo x > /dev/null && head -c1 /dev/zero | wc -c')).stdout, '1000\nread-only\ntmpfs\nshm\n1\n');
    await cli('run', '-d', '--name', 'sharing', '--ipc', 'shareable', 'busybox', 'sh', '-c', 'echo memory > /dev/shm/m; exec sleep 600');
    assert.equal((await cli('run', '--rm', '--ipc', 'container:sharing', 'busybox', 'sh', '-c', 'until [ -e /dev/shm/m ]; do usleep 1000; done; cat /dev/shm/m')).stdout, 'memory\n');
    await cli('rm', '-f', 'sharing');
  });

  test('one by one: host by the flag, the others by an annotation; what Docker refuses is refused', async () => {
    assert.equal((await cli('run', '--rm', '--annotation', 'gantry.dev/userns=auto', 'busybox', 'sh', '-c', 'tail -1 /proc/self/uid_map | tr -s " "')).stdout, ` 0 ${firstId + idsPerContainer} 65536\n`);
    for (const flags of [['--privileged'], ['--network', 'host'], ['--pid', 'host'], ['--annotation', 'gantry.dev/userns=keep-id']]) {
      const { code, stderr } = await cli('run', '--rm', ...flags, 'busybox', 'true');
      assert.equal(code, 125, flags.join(' '));
      assert.match(stderr, /user namespaces|keep-id/);
    }
    assert.equal((await cli('run', '--rm', '--privileged', '--userns', 'host', 'busybox', 'true')).code, 0);
  });
});

test('chooseUserNamespace() gives what is asked for, and no range twice', () => {
  const options = { isDefault: false, range: { firstId: 100_000, size: idsPerContainer } };
  const choose = (mode: 'default' | 'host' | 'shared', isDefault: boolean): UserNamespaceMode => chooseUserNamespace({ mode }, { ...options, isDefault }, []);
  assert.deepEqual([choose('default', false), choose('default', true), choose('host', true), choose('shared', false)], [
    { mode: 'host' }, { mode: 'remapped', range: options.range }, { mode: 'host' }, { mode: 'remapped', range: options.range },
  ]);
  const given = Array.from({ length: 4095 }, (_, index): UserNamespaceMode => ({ mode: 'remapped', range: { firstId: firstId + (index + 1) * idsPerContainer, size: idsPerContainer } }));
  const unique = (others: UserNamespaceMode[]): UserNamespaceMode => chooseUserNamespace({ mode: 'unique' }, options, others);
  assert.deepEqual(unique([]), given[0]);
  for (const index of [0, 1, 2000, 4094]) assert.deepEqual(unique(given.filter((_, at) => at !== index)), given[index]);
  assert.throws(() => unique(given), { code: 'exhausted' });
});

test('parseSubordinateRange() takes the same range of both files and names the one that is wrong', () => {
  const both = 'alice:100000:65536\nremap:231072:65536\n';
  assert.deepEqual(parseSubordinateRange('remap', both, both), { firstId: 231_072, size: 65_536 });
  assert.throws(() => parseSubordinateRange('bob', both, both), { code: 'not-found', message: /subuid/ });
  assert.throws(() => parseSubordinateRange('remap', both, ''), { code: 'not-found', message: /subgid/ });
  assert.throws(() => parseSubordinateRange('remap', both, 'remap:100000:65536'), { code: 'invalid', message: /same id/ });
  assert.throws(() => parseSubordinateRange('x', 'x:1000:100\n', 'x:1000:100\n'), { code: 'invalid', message: /65536/ });
  assert.throws(() => parseSubordinateRange('x', 'x:0:65536\n', 'x:0:65536\n'), { code: 'invalid' });
});

test('parseSubordinateRange() never gives ids of the host’s own users, whatever the files hold', () => {
  const number = fc.oneof(fc.nat(), fc.constantFrom(0, 1, 65_536, 4_294_967_295, -1, 1e21));
  const line = fc.oneof(fc.tuple(fc.constantFrom('u', 'v', ''), number, number).map((parts) => parts.join(':')), fc.string());
  fc.assert(
    fc.property(fc.array(line), fc.array(line), (subuid, subgid) => {
      try {
        const { firstId: first, size } = parseSubordinateRange('u', subuid.join('\n'), subgid.join('\n'));
        assert.ok(first >= 1 && size === 65_536 && first + size < 2 ** 32 && subuid.some((text) => text.includes(`u:${first}:`)));
      } catch (error) {
        assert.ok(isError(error, 'invalid', 'not-found'));
      }
    }),
  );
});
