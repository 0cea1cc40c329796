import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openBoundSocket, withinNamespaces } from '../host/mod.ts';
import { rootNeeds } from '../host/testing/root.ts';
import { isError, pollUntil } from '../kernel/mod.ts';
import type { Engine } from './engine.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';

const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox');
const hasInit = ['docker-init', 'tini-static', 'catatonit'].some((name) => existsSync(`/usr/bin/${name}`));
const signal = AbortSignal.timeout(120_000);

suite('engine with real containers', { skip, concurrency: 2 }, () => {
  let opened: TestEngine;
  let engine: Engine;
  before(async () => {
    opened = await openTestEngine();
    engine = opened.engine;
  });
  after(() => opened[Symbol.asyncDispose]());

  test('a container runs with its own name, user, environment and streams', async () => {
    const spec = busyboxSpec('hostname; id; ls -d /bin; stat -c %a / /etc; echo $COLOUR; pwd; echo problem >&2; exit 7', {
      hostname: 'alpha',
      user: 'app:staff',
      env: ['COLOUR=green'],
      workingDir: '/made/here',
    });
    assert.deepEqual(await runToEnd(engine, spec, signal), {
      exitCode: 7,
      isOomKilled: false,
      stdout: 'alpha\nuid=1000(app) gid=50(staff)\n/bin\n755\n755\ngreen\n/made/here\n',
      stderr: 'problem\n',
    });
  });

  test('a container sees no process of the host, no socket of the engine, and has only the default capabilities', async () => {
    const script = 'ls /proc | grep -c "^[0-9]*$"; grep -E "^(CapEff|CapBnd|Seccomp|NoNewPrivs):" /proc/self/status; ls /run 2>&1 | wc -l; head -c1 /proc/kcore | wc -c; (echo x > /proc/sys/kernel/hostname) 2>&1; (echo 1 > /sys/kernel/mm/x) 2>&1; unshare -m true 2>&1; unshare -U true 2>&1; mount -t tmpfs x /tmp 2>&1';
    const { stdout } = await runToEnd(engine, busyboxSpec(script, { security: { ...busyboxSpec('').security, noNewPrivileges: true } }), signal);
    const lines = stdout.trim().split('\n');
    assert.ok(Number(lines[0]) <= 4, stdout);
    assert.match(stdout, /CapEff:\s+00000000a80425fb/);
    assert.match(stdout, /CapBnd:\s+00000000a80425fb/);
    assert.match(stdout, /NoNewPrivs:\s+1/);
    assert.match(stdout, /Seccomp:\s+2/);
    assert.deepEqual(lines.slice(5, 7), ['1', '0'], stdout);
    assert.match(stdout, /hostname: Read-only file system/);
    assert.equal(stdout.match(/unshare.*not permitted/g)?.length, 2, stdout);
    assert.match(stdout, /mount.*(permission denied|not permitted)/i);
  });

  test('a container cannot reach services on the loopback of the host', async () => {
    const server = createServer((socket) => socket.end('secret\n')).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => void server.once('listening', resolve));
      const { port } = server.address() as AddressInfo;
      const { gateway } = engine.networks.get('bridge');
      // Neither by name of the loopback, nor by sending packets for it to the gateway, which forwards for the bridge.
      const script = `ip route add 127.0.0.0/8 via ${gateway} dev eth0 2>/dev/null; nc -w 1 127.0.0.1 ${port}; nc -w 1 ${gateway} ${port}; echo done`;
      const { stdout } = await runToEnd(engine, busyboxSpec(script, { security: { ...busyboxSpec('').security, addCapabilities: ['NET_ADMIN'] } }), signal);
      assert.equal(stdout, 'done\n');
    } finally {
      server.close();
    }
  });

  test('a command that does not exist fails the start with 127 and leaves the container created', async () => {
    const { id } = await engine.containers.create(busyboxSpec('', { args: ['/no/such/program'] }), signal);
    await assert.rejects(engine.containers.start(id, signal), (error) => isError(error, 'invalid') && error.details.exitCode === 127 && error.message.startsWith('unable to start container process: exec: '));
    const { status } = engine.containers.get(id);
    assert.deepEqual([status.state, status.exitCode, status.endpoints], ['created', 127, []]);
    await engine.containers.remove(id, { force: false, removeVolumes: false }, signal);
  });

  test('the memory limit ends what exceeds it, and the record says so', async () => {
    const spec = busyboxSpec('dd if=/dev/zero of=/dev/shm/x bs=1M count=200; exit 0', { resources: { memoryLimitBytes: 16 << 20, memorySwapBytes: 16 << 20 }, shmSizeBytes: 256 << 20 });
    const { exitCode, isOomKilled } = await runToEnd(engine, { ...spec, args: ['dd', 'if=/dev/zero', 'of=/dev/shm/x', 'bs=1M', 'count=200'] }, signal);
    assert.deepEqual({ exitCode, isOomKilled }, { exitCode: 137, isOomKilled: true });
  });

  test('the pids limit stops forks and usage() reports it', async () => {
    const resources = { pidsLimit: 30, cpuShares: 512, cpuQuotaMicros: 50_000, cpuPeriodMicros: 100_000, memoryLimitBytes: 64 << 20 };
    const { id } = await engine.containers.create(busyboxSpec('read go; i=0; while test $i -lt 60; do sleep 60 & i=$((i+1)); done', { stdin: true, resources }), signal);
    await using attachment = await engine.containers.attach(id, signal);
    await engine.containers.start(id, signal);
    const usage = await engine.containers.usage(id, signal);
    assert.deepEqual([usage.pidsLimit, usage.memoryLimitBytes, usage.interfaces.map(({ name }) => name)], [30, 64 << 20, ['eth0']]);
    attachment.stdin?.write('go\n');
    let text = '';
    for await (const { data } of attachment.output) text += data.toString();
    assert.match(text, /can't fork: Resource temporarily unavailable/);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('exec() passes streams, exit code, user and input, and refuses what does not exist with 127', async () => {
    const { id } = await engine.containers.create(busyboxSpec('', { args: ['sleep', '60'], env: ['A=1'] }), signal);
    await engine.containers.start(id, signal);
    const first = await engine.containers.exec(id, { ...exec('cat; id -u; echo $A$B; pwd; echo oops >&2; exit 9'), env: ['B=2'], user: 'nobody', workingDir: '/tmp', stdin: true }, signal);
    first.stdin?.end('typed\n');
    assert.deepEqual(await drain(first), { stdout: 'typed\n65534\n12\n/tmp\n', stderr: 'oops\n', exitCode: 9 });
    const second = await engine.containers.exec(id, { ...exec(''), args: ['/no/such'] }, signal);
    assert.equal((await drain(second)).exitCode, 127);
    const abort = new AbortController();
    const third = await engine.containers.exec(id, exec('echo up; sleep 50'), abort.signal);
    for await (const _ of third.stdout) break;
    abort.abort();
    assert.equal((await third.exit).exitCode, 137);
    await pollUntil('the process to end', async () => ((await engine.containers.top(id, [], signal)).processes.length === 1 ? true : undefined), { timeoutMs: 30_000 }, signal);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('exec() with a terminal has its size, and resize() changes it', async () => {
    const { id } = await engine.containers.create(busyboxSpec('sleep 60'), signal);
    await engine.containers.start(id, signal);
    const session = await engine.containers.exec(id, { ...exec('stty size; read line; stty size; test -t 0 && echo terminal'), tty: true, stdin: true, size: { width: 91, height: 23 } }, signal);
    let text = '';
    session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await pollUntil('the first size', () => text.includes('23 91') || undefined, { timeoutMs: 30_000 }, signal);
    session.resize({ width: 120, height: 40 });
    await pollUntil('the new size to arrive', async () => {
      // The runtime forwards the size when it gets the signal; there is nothing else to wait for.
      const probe = await drain(await engine.containers.exec(id, exec('for t in /dev/pts/[0-9]*; do stty size -F $t; done'), signal));
      return probe.stdout.includes('40 120') || undefined;
    }, { timeoutMs: 30_000 }, signal);
    session.stdin?.write('\n');
    assert.equal((await session.exit).exitCode, 0);
    assert.match(text, /40 120\r\nterminal\r\n$/);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('attach() before the start misses nothing, is binary-safe, and ending stdin half-closes', async () => {
    const { id } = await engine.containers.create(busyboxSpec('', { args: ['cat'], stdin: true, stdinOnce: true }), signal);
    await using attachment = await engine.containers.attach(id, signal);
    const sent = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7) % 256));
    await engine.containers.start(id, signal);
    attachment.stdin?.end(sent);
    const received: Buffer[] = [];
    for await (const { data } of attachment.output) received.push(data);
    assert.equal(Buffer.concat(received).equals(sent), true);
    assert.equal((await engine.containers.wait(id, 'not-running', signal)).exitCode, 0);
    await engine.containers.remove(id, { force: false, removeVolumes: false }, signal);
  });

  test('a container with a terminal can be typed at and resized', async () => {
    const { id } = await engine.containers.create(busyboxSpec('read line; stty size; echo got $line', { tty: true, stdin: true }), signal);
    await using attachment = await engine.containers.attach(id, signal);
    await engine.containers.start(id, signal);
    await engine.containers.resize(id, { width: 77, height: 33 });
    attachment.stdin?.write('hello\n');
    let text = '';
    for await (const { data } of attachment.output) text += data.toString();
    assert.match(text, /hello\r\n33 77\r\ngot hello\r\n$/);
    await engine.containers.remove(id, { force: false, removeVolumes: false }, signal);
  });

  test('published ports answer on the loopback, TCP and UDP, and are refused twice', async () => {
    const script = 'while true; do echo pong | nc -l -p 80; done';
    const { id } = await engine.containers.create(
      busyboxSpec(script, {
        ports: [
          { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 },
          { protocol: 'udp', containerPort: 53, hostIp: '', hostPort: 0 },
        ],
      }),
      signal,
    );
    await engine.containers.start(id, signal);
    const [tcp, udp] = engine.containers.get(id).status.ports;
    assert.ok(tcp && udp && tcp.hostIp === '127.0.0.1');
    assert.equal(await pollUntil('an answer', () => readTcp(tcp.hostPort), { timeoutMs: 30_000 }, signal), 'pong\n');
    // busybox cannot serve UDP, so this process does, inside the container's namespace.
    const echo = createSocket('udp4').on('message', (message, peer) => echo.send(message, peer.port, peer.address));
    const pid = engine.containers.get(id).status.pid ?? 0;
    echo.bind({ fd: withinNamespaces({ net: `/proc/${pid}/ns/net` }, () => openBoundSocket('udp', 53)) });
    assert.equal(await pollUntil('an echo', () => echoUdp(udp.hostPort), { timeoutMs: 30_000 }, signal), 'ping');
    echo.close();
    const second = await engine.containers.create(busyboxSpec('true', { ports: [{ ...tcp }] }), signal);
    await assert.rejects(engine.containers.start(second.id, signal), (error) => isError(error, 'conflict'));
    assert.deepEqual(engine.containers.get(second.id).status.endpoints, []);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
    assert.equal(await readTcp(tcp.hostPort), undefined);
    // The port is free again for the one that was refused.
    await engine.containers.start(second.id, signal);
    await engine.containers.wait(second.id, 'not-running', signal);
    await engine.containers.remove(second.id, { force: true, removeVolumes: false }, signal);
  });

  test('stop() sends the stop signal first and SIGKILL after the time', async () => {
    const polite = await engine.containers.create(busyboxSpec('trap "exit 5" USR1; sleep 60 & wait', { stopSignal: 'SIGUSR1' }), signal);
    const deaf = await engine.containers.create(busyboxSpec('trap "" TERM; echo ready; sleep 60 & wait; sleep 60'), signal);
    await Promise.all([polite, deaf].map(({ id }) => engine.containers.start(id, signal)));
    await firstLog(engine, deaf.id);
    await pollUntil('the trap', async () => ((await engine.containers.top(polite.id, [], signal)).processes.length > 1 ? true : undefined), { timeoutMs: 30_000 }, signal);
    await Promise.all([engine.containers.stop(polite.id, {}, signal), engine.containers.stop(deaf.id, { timeoutSeconds: 0 }, signal)]);
    assert.deepEqual([polite, deaf].map(({ id }) => engine.containers.get(id).status.exitCode), [5, 137]);
    await Promise.all([polite, deaf].map(({ id }) => engine.containers.remove(id, { force: false, removeVolumes: false }, signal)));
  });

  test('pause() holds the processes and unpause() lets them go on', async () => {
    const { id } = await engine.containers.create(busyboxSpec('while true; do echo tick; usleep 20000; done'), signal);
    await engine.containers.start(id, signal);
    await firstLog(engine, id);
    await engine.containers.pause(id, signal);
    assert.equal(engine.containers.get(id).status.state, 'paused');
    await assert.rejects(engine.containers.exec(id, exec('true'), signal), (error) => isError(error, 'conflict'));
    // The kernel books the last slice a moment after it froze; a loop that went on would use CPU between any two looks.
    let cpu = 0n;
    await pollUntil('the CPU time to stand still', async () => {
      const before = cpu;
      cpu = (await engine.containers.usage(id, signal)).cpuNanoseconds;
      return cpu === before ? true : undefined;
    }, { timeoutMs: 30_000, intervalMs: 60 }, signal);
    await engine.containers.unpause(id, signal);
    await pollUntil('the loop to go on', async () => ((await engine.containers.usage(id, signal)).cpuNanoseconds > cpu ? true : undefined), { timeoutMs: 30_000 }, signal);
    await engine.containers.pause(id, signal);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('on-failure restarts as often as allowed, and auto-remove removes', async () => {
    const failing = await engine.containers.create(busyboxSpec('exit 4', { restart: { name: 'on-failure', maximumRetryCount: 2 } }), signal);
    await engine.containers.start(failing.id, signal);
    const { status } = await pollUntil('the last restart', () => {
      const record = engine.containers.get(failing.id);
      return record.status.state === 'exited' ? record : undefined;
    }, { timeoutMs: 30_000 }, signal);
    assert.deepEqual([status.restartCount, status.exitCode], [2, 4]);
    await engine.containers.remove(failing.id, { force: false, removeVolumes: false }, signal);
    const passing = await engine.containers.create(busyboxSpec('exit 6', { autoRemove: true }), signal);
    const removed = engine.containers.wait(passing.id, 'removed', signal);
    await engine.containers.start(passing.id, signal);
    assert.equal((await removed).exitCode, 6);
    assert.throws(() => engine.containers.get(passing.id), (error) => isError(error, 'not-found'));
  });

  test('volumes keep data and take over what the image has; binds and tmpfs are mounted as asked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-bind-'));
    writeFileSync(join(folder, 'file'), 'from the host\n');
    const volume = await engine.volumes.create({ name: 'kept', labels: {}, options: {} }, signal);
    const mounts: Parameters<typeof busyboxSpec>[1] = {
      mounts: [
        { type: 'volume', volume: 'kept', target: '/data', isReadOnly: false, copyUp: true },
        { type: 'bind', source: folder, target: '/host', isReadOnly: true, propagation: 'rprivate', isRecursive: true, createSource: false },
        { type: 'tmpfs', target: '/scratch', isReadOnly: false, sizeBytes: 1 << 20, options: [] },
      ],
    };
    const first = await runToEnd(engine, busyboxSpec('cat /data/seed /host/file; echo more > /data/more; (echo x > /host/file) 2>&1; grep " /scratch " /proc/mounts | grep -o size=1024k', mounts), signal);
    assert.equal(first.stdout, 'from the image\nfrom the host\nsh: can\'t create /host/file: Read-only file system\nsize=1024k\n');
    const second = await runToEnd(engine, busyboxSpec('ls /data', mounts), signal);
    assert.equal(second.stdout, 'more\nseed\n');
    assert.equal(readFileSync(join(volume.mountpoint, 'more'), 'utf8'), 'more\n');
    await engine.volumes.remove('kept', signal);
    rmSync(folder, { recursive: true });
  });

  test('logs() gives the tail, follows, and survives rotation', async () => {
    const { id } = await engine.containers.create(busyboxSpec('for i in 1 2 3 4 5; do echo line $i; done; sleep 0.2; echo six; printf seven'), signal);
    await engine.containers.start(id, signal);
    const followed: string[] = [];
    for await (const { text, isPartial } of engine.containers.logs(id, { follow: true, stdout: true, stderr: true }, signal)) followed.push(`${text.toString()}${isPartial ? '' : '.'}`);
    assert.deepEqual(followed, ['line 1.', 'line 2.', 'line 3.', 'line 4.', 'line 5.', 'six.', 'seven']);
    const tail: string[] = [];
    for await (const { text } of engine.containers.logs(id, { follow: false, tailLines: 3, stdout: true, stderr: true }, signal)) tail.push(text.toString());
    assert.deepEqual(tail, ['line 5', 'six', 'seven']);
    await engine.containers.remove(id, { force: false, removeVolumes: false }, signal);
  });

  test('events tell a life in order', async () => {
    const abort = new AbortController();
    const events = engine.events.subscribe({}, abort.signal);
    const spec = busyboxSpec('exit 2', { labels: { colour: 'red' } });
    await runToEnd(engine, spec, signal);
    abort.abort();
    const seen: string[] = [];
    for await (const { action, attributes } of events) if (attributes.name === spec.name) seen.push(`${action} ${attributes.exitCode ?? ''}`.trim());
    assert.deepEqual(seen, ['create', 'start', 'die 2', 'destroy']);
  });

  test('names are unique, found by prefix, and can be changed', async () => {
    const spec = busyboxSpec('true');
    const { id } = await engine.containers.create(spec, signal);
    await assert.rejects(engine.containers.create(spec, signal), (error) => isError(error, 'already-exists'));
    assert.equal(engine.containers.get(id.slice(0, 12)).id, id);
    await engine.containers.rename(id, 'other-name', signal);
    assert.equal(engine.containers.get('/other-name').id, id);
    await engine.containers.remove('other-name', { force: false, removeVolumes: false }, signal);
    assert.throws(() => engine.containers.get('other-name'), (error) => isError(error, 'not-found'));
  });

  test('a pod sandbox shares network, IPC, name and hosts among its containers', async () => {
    const sandbox = await engine.sandboxes.create(sandboxSpec('pod-a'), signal);
    assert.equal((await engine.sandboxes.create(sandboxSpec('pod-a'), signal)).id, sandbox.id);
    const inPod = (script: string, name: string) =>
      busyboxSpec(script, {
        owner: { kind: 'pod', sandboxId: sandbox.id, podUid: 'pod-a', containerName: name, attempt: 0 },
        network: { mode: 'sandbox' },
        namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } },
      });
    const server = await engine.containers.create(inPod('echo shared > /dev/shm/x; echo hello | nc -l -p 8000', 'server'), signal);
    await engine.containers.start(server.id, signal);
    const client = await runToEnd(engine, inPod('until nc 127.0.0.1 8000; do usleep 10000; done; cat /dev/shm/x; hostname; grep web-1 /etc/hosts', 'client'), signal);
    assert.equal(client.stdout, `hello\nshared\nweb-1\n${sandbox.endpoint?.ipv4Address ?? ''}\tweb-1\n`);
    await engine.sandboxes.remove(sandbox.id, signal);
    await engine.sandboxes.remove(sandbox.id, signal);
    assert.throws(() => engine.containers.get(server.id), (error) => isError(error, 'not-found'));
  });

  test('pods reach each other with their own addresses', async () => {
    const [a, b] = await Promise.all([engine.sandboxes.create(sandboxSpec('pod-b'), signal), engine.sandboxes.create(sandboxSpec('pod-c'), signal)]);
    const inPod = (sandboxId: string, podUid: string, script: string) =>
      busyboxSpec(script, {
        owner: { kind: 'pod', sandboxId, podUid, containerName: 'main', attempt: 0 },
        network: { mode: 'sandbox' },
        namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } },
      });
    const server = createServer((socket) => socket.end(`${socket.remoteAddress ?? ''}\n`));
    server.listen({ fd: engine.sandboxes.enterNetwork(a.id, () => openBoundSocket('tcp', 8000)) });
    const { stdout } = await runToEnd(engine, inPod(b.id, 'pod-c', `nc -w 5 ${a.endpoint?.ipv4Address ?? ''} 8000; ip route`), signal);
    server.close();
    const gateway = b.endpoint?.gateway ?? '';
    assert.equal(stdout, `${b.endpoint?.ipv4Address ?? ''}\ndefault via ${gateway} dev eth0 onlink \n`);
    await Promise.all([engine.sandboxes.remove(a.id, signal), engine.sandboxes.remove(b.id, signal)]);
  });

  test('containers of a user-defined network find each other by name and alias, and nobody else does', async () => {
    const network = await engine.networks.create({ name: 'blue', isInternal: false, labels: {}, options: {} }, signal);
    const on = (aliases: string[]) => ({ network: { mode: 'bridge' as const, endpoints: [{ network: 'blue', aliases }] } });
    const server = await engine.containers.create(busyboxSpec('sleep 60', on(['db'])), signal);
    await engine.containers.start(server.id, signal);
    const address = engine.containers.get(server.id).status.endpoints[0]?.ipv4Address ?? '';
    const ask = (name: string) => `nslookup ${name} | grep -A1 "^Name" | grep -o "Address.*: [0-9.]*$" | grep -o "[0-9.]*$"; `;
    const script = `${ask('db')}${ask(server.spec.name)}${ask(server.id.slice(0, 12))}${ask('db.blue')}`;
    const found = await runToEnd(engine, busyboxSpec(`${script}nslookup db >&2; cat /etc/resolv.conf >&2`, on([])), signal);
    assert.equal(found.stdout, `${address}\n`.repeat(4), found.stderr);
    assert.equal((await runToEnd(engine, busyboxSpec(script), signal)).stdout, '');
    const { id } = await engine.containers.create(busyboxSpec('sleep 60'), signal);
    await engine.containers.start(id, signal);
    await engine.networks.connect('blue', id, { aliases: ['late'] }, signal);
    await assert.rejects(engine.networks.remove('blue', signal), (error) => isError(error, 'conflict'));
    assert.deepEqual(engine.containers.get(id).status.endpoints.map(({ networkName, interfaceName }) => [networkName, interfaceName]), [['bridge', 'eth0'], ['blue', 'eth1']]);
    const late = await runToEnd(engine, busyboxSpec(`${ask('late')}nc -w 2 late 1 || echo refused`, on([])), signal);
    assert.equal(late.stdout, `${engine.containers.get(id).status.endpoints[1]?.ipv4Address ?? ''}\nrefused\n`);
    await engine.networks.disconnect('blue', id, { force: false }, signal);
    const inside = await drain(await engine.containers.exec(id, exec('ls /sys/class/net'), signal));
    assert.equal(inside.stdout, 'eth0\nlo\n');
    await Promise.all([id, server.id].map((each) => engine.containers.remove(each, { force: true, removeVolumes: false }, signal)));
    await engine.networks.remove(network.id, signal);
  });

  test('networks are kept apart, and an internal one has no way out', async () => {
    await engine.networks.create({ name: 'one', isInternal: false, labels: {}, options: {} }, signal);
    await engine.networks.create({ name: 'inner', isInternal: true, labels: {}, options: {} }, signal);
    const on = (network: string) => ({ network: { mode: 'bridge' as const, endpoints: [{ network, aliases: [] }] } });
    const server = await engine.containers.create(busyboxSpec('while true; do echo reached | nc -l -p 80; done', on('one')), signal);
    await engine.containers.start(server.id, signal);
    const address = engine.containers.get(server.id).status.endpoints[0]?.ipv4Address ?? '';
    await pollUntil('the server', async () => (await runToEnd(engine, busyboxSpec(`nc -w 1 ${address} 80`, on('one')), signal)).stdout || undefined, { timeoutMs: 30_000 }, signal);
    const script = `nc -w 1 ${address} 80 || { usleep 100000; nc -w 1 ${address} 80; }; ip route | grep -c default`;
    const results = await Promise.all(['one', 'bridge', 'inner'].map(async (network) => (await runToEnd(engine, busyboxSpec(script, on(network)), signal)).stdout));
    assert.deepEqual(results, ['reached\n1\n', '1\n', '0\n']);
    await engine.containers.remove(server.id, { force: true, removeVolumes: false }, signal);
    await Promise.all(['one', 'inner'].map((name) => engine.networks.remove(name, signal)));
  });

  test('a health check is run, and its verdict is told', async () => {
    const abort = new AbortController();
    const events = engine.events.subscribe({}, abort.signal);
    const spec = busyboxSpec('usleep 100000; touch /tmp/ok; sleep 60', {
      healthcheck: { Test: ['CMD-SHELL', 'test -e /tmp/ok && echo fine'], Interval: 5e7, Timeout: 5e9, Retries: 1, StartPeriod: 60e9, StartInterval: 5e7 },
    });
    const { id } = await engine.containers.create(spec, signal);
    await engine.containers.start(id, signal);
    assert.equal(engine.containers.get(id).status.health?.state, 'starting');
    for await (const event of events) if (event.id === id && event.action === 'health_status: healthy') break;
    abort.abort();
    const { health } = engine.containers.get(id).status;
    assert.deepEqual([health?.state, health?.log.at(-1)?.output, health?.log.at(-1)?.exitCode], ['healthy', 'fine\n', 0]);
    await drain(await engine.containers.exec(id, exec('rm /tmp/ok'), signal));
    await pollUntil('the bad news', () => engine.containers.get(id).status.health?.state === 'unhealthy' || undefined, { timeoutMs: 30_000 }, signal);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('an init is process 1 when asked for, and reaps', { skip: !hasInit && 'needs tini' }, async () => {
    const { stdout } = await runToEnd(engine, busyboxSpec('cat /proc/1/comm; (usleep 1000 &); usleep 100000; grep -s State: /proc/[0-9]*/status | grep -c Z; cat /proc/sys/kernel/domainname', { init: true, domainname: 'lan.test' }), signal);
    assert.match(stdout, /^(docker-init|tini-static|catatonit)\n0\nlan\.test\n$/);
  });

  test('logs beyond the limit are rotated while the container writes', async () => {
    const { id } = await engine.containers.create(busyboxSpec('i=0; while test $i -lt 3000; do echo line $i; i=$((i+1)); done; usleep 500000; echo end', { log: { maxSizeBytes: 4096, maxFiles: 2 } }), signal);
    await engine.containers.start(id, signal);
    const followed: string[] = [];
    for await (const { text, isPartial } of engine.containers.logs(id, { follow: true, stdout: true, stderr: true }, signal)) followed.push(isPartial ? text.toString() : `${text.toString()}\n`);
    assert.equal(followed.join(''), `${Array.from({ length: 3000 }, (_, index) => `line ${index}\n`).join('')}end\n`);
    const kept: string[] = [];
    for await (const { text } of engine.containers.logs(id, { follow: false, stdout: true, stderr: true }, signal)) kept.push(text.toString());
    assert.equal(kept.at(-1), 'end');
    const folder = join(engine.info.rootFolder, 'containers', id, 'log');
    assert.deepEqual(readdirSync(folder).toSorted(), ['container.log', 'container.log.1']);
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('a tree collects what a process changes, and a cancelled process ends', async () => {
    const { layerFolders } = await opened.options.images.openRootfs(busyboxSpec('').image.id, signal);
    await using tree = await engine.trees.open(layerFolders, signal);
    const output: Buffer[] = [];
    const { Writable } = await import('node:stream');
    const sink = new Writable({ write: (chunk: Buffer, _encoding, done) => (output.push(chunk), done()) });
    const step = { args: ['sh', '-c', 'echo built; id -u; touch /made; rm /data/seed; exit 3'], env: [], workingDir: '/', user: '', network: 'none' as const, mounts: [], output: sink };
    assert.deepEqual(await engine.trees.run(tree, step, signal), { exitCode: 3, isOomKilled: false });
    assert.equal(Buffer.concat(output).toString(), 'built\n0\n');
    assert.equal(readFileSync(join(tree.writableFolder, 'made'), 'utf8'), '');
    const abort = new AbortController();
    const endless = engine.trees.run(tree, { ...step, args: ['sh', '-c', 'echo on; sleep 60'], network: 'default' }, abort.signal);
    await pollUntil('the step to run', () => Buffer.concat(output).includes('on\n') || undefined, { timeoutMs: 30_000 }, signal);
    abort.abort();
    await assert.rejects(endless, (error) => isError(error, 'cancelled'));
  });

  function sandboxSpec(podUid: string) {
    return {
      podUid,
      namespace: 'default',
      name: podUid,
      hostname: 'web-1',
      labels: {},
      hostNetwork: false,
      dns: { servers: [], searches: [], options: [] },
      extraHosts: [],
      ports: [],
      sysctls: {},
      cgroup: { workload: 'application' as const },
    };
  }
});

function exec(script: string) {
  return { args: ['sh', '-c', script], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false };
}

async function drain(session: Awaited<ReturnType<Engine['containers']['exec']>>): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  const text = { stdout: '', stderr: '' };
  session.stdout.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()));
  session.stderr?.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()));
  const { exitCode } = await session.exit;
  return { ...text, exitCode };
}

async function firstLog(engine: Engine, id: string): Promise<void> {
  for await (const _ of engine.containers.logs(id, { follow: true, stdout: true, stderr: true }, signal)) return;
}

function readTcp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(text === '' ? undefined : text));
  });
}

function echoUdp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const finish = (text: string | undefined): void => {
      clearTimeout(timer);
      socket.close();
      resolve(text);
    };
    const timer = setTimeout(() => finish(undefined), 300);
    socket.on('message', (message) => finish(message.toString()));
    socket.send('ping', port, '127.0.0.1');
  });
}
