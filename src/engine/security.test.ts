import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { isError, pollUntil } from '../kernel/mod.ts';
import type { Engine } from './engine.ts';
import { findProgram } from './runtime/detect.ts';
import { BusyboxImages } from './testing/busybox-images.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';

const signal = AbortSignal.timeout(120_000);

/** Attacks that container engines have fallen to, by their names where they have one. */
suite('attacks from images and containers', { skip: rootNeeds('runc', 'conmon', 'nft', 'busybox'), concurrency: 2 }, () => {
  let images: BusyboxImages;
  let opened: TestEngine;
  let engine: Engine;
  /** A folder of the host that nothing in a container may see or change. */
  const secret = mkdtempSync(join(tmpdir(), 'gantry-secret-'));
  before(async () => {
    writeFileSync(join(secret, 'key'), 'host secret\n');
    images = new BusyboxImages();
    opened = await openTestEngine(images);
    engine = opened.engine;
  });
  after(async () => {
    await opened[Symbol.asyncDispose]();
    images[Symbol.dispose]();
    rmSync(secret, { recursive: true });
  });

  const steal = `cat /../../../../../../..${secret}/key ..${secret}/key ../..${secret}/key ../../../../../../..${secret}/key 2>/dev/null; echo end`;

  for (const descriptor of [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 20]) {
    test(`CVE-2024-21626: a working directory of /proc/self/fd/${descriptor} does not lead to the host`, async () => {
      const spec = busyboxSpec(steal, { workingDir: `/proc/self/fd/${descriptor}` });
      const result = await runToEnd(engine, spec, signal).catch((error: unknown) => {
        assert.ok(isError(error, 'invalid'), String(error));
        return { stdout: 'end\n' };
      });
      assert.equal(result.stdout, 'end\n');
    });
  }

  test('CVE-2024-21626: nor does one of an exec', async () => {
    const { id } = await engine.containers.create(busyboxSpec('', { args: ['sleep', '60'] }), signal);
    await engine.containers.start(id, signal);
    for (const descriptor of [3, 5, 6, 7, 8, 9, 10]) {
      const spec = { args: ['sh', '-c', steal], env: [], workingDir: `/proc/self/fd/${descriptor}`, user: '', tty: false, stdin: false, isPrivileged: false };
      await assert.rejects(engine.containers.exec(id, spec, signal), (error) => isError(error, 'invalid'), String(descriptor));
    }
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('CVE-2019-5736: a container that gets hold of the runtime by its /proc/self/exe cannot write it', async (t) => {
    const runtime = (await findProgram(engine.info.runtimeName)) ?? '';
    const bytes = readFileSync(runtime);
    const digest = (): string => createHash('sha256').update(readFileSync(runtime)).digest('hex');
    const before = digest();
    const interpreter = /\/lib[\w./-]*\/ld[\w.-]*\.so[\w.]*/.exec(bytes.toString('latin1', 0, 65_536))?.[0];
    if (interpreter === undefined) return t.skip('the runtime needs no interpreter that an image could bring');
    // The image's shell in place of the runtime's dynamic linker: the runtime, executed once more in the container, is the attacker's.
    await using evil = await openEvilEngine((at) => {
      mkdirSync(dirname(at(interpreter)), { recursive: true });
      copyFileSync(at('bin/busybox'), at(interpreter));
      mkdirSync(at('attack'));
      symlinkSync('/proc/self/exe', at('attack/sh'));
    });
    // The mode that it has already: harmless where it succeeds, and to be had only of a file that could be written, too. The last line is the control.
    const change = (file: string, what: string): string => `chmod $(stat -L -c %a ${file}) ${file} 2>/dev/null && echo ${what}`;
    const args = ['/attack/sh', '-c', `stat -L -c "%d:%i %s" /proc/$$/exe; ${change('/proc/$$/exe', 'changeable')}; ${change('/control', 'control')}`];
    const control = join(secret, 'control');
    writeFileSync(control, '');
    const mounts = [{ type: 'bind' as const, source: control, target: '/control', isReadOnly: false, propagation: 'rprivate' as const, isRecursive: true, createSource: false }];
    const own = statSync(runtime);
    const isDefended = (text: string): void => {
      const [held, ...changed] = text.trim().split('\n');
      assert.ok(held?.endsWith(` ${own.size}`) === true && changed.at(-1) === 'control', `the attack was not carried out: ${text}`);
      // A copy, or the program itself on a mount that cannot be written.
      assert.ok(!held.startsWith(`${own.dev}:${own.ino} `) || !changed.includes('changeable'), `the container can write the host's ${runtime}`);
    };
    isDefended((await runToEnd(evil.engine, busyboxSpec('', { args, mounts }), signal)).stdout);
    const { id } = await evil.engine.containers.create(busyboxSpec('', { args: ['sleep', '60'], mounts }), signal);
    await evil.engine.containers.start(id, signal);
    const session = await evil.engine.containers.exec(id, { args, env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
    let held = '';
    session.stdout.on('data', (chunk: Buffer) => (held += chunk.toString()));
    session.stderr?.resume();
    await session.exit;
    isDefended(held);
    assert.equal(digest(), before);
  });

  test('symbolic links of an image do not lead the engine out of it', async () => {
    const target = join(secret, 'made-by-a-mount');
    await using evil = await openEvilEngine((at) => {
      rmSync(at('etc/passwd'));
      symlinkSync(join(secret, 'passwd'), at('etc/passwd'));
      symlinkSync(target, at('etc/hosts'));
      symlinkSync(join(secret, 'resolv'), at('etc/resolv.conf'));
      symlinkSync(secret, at('out'));
      symlinkSync(`../../../../../../..${secret}`, at('climb'));
    });
    writeFileSync(join(secret, 'passwd'), 'app:x:0:0::/:/bin/sh\n');
    // The user is only in the host's file, which must not be read.
    await assert.rejects(runToEnd(evil.engine, busyboxSpec('true', { user: 'app' }), signal), (error) => isError(error, 'invalid'));
    const volume = { type: 'volume' as const, volume: 'copied', isReadOnly: false, copyUp: true };
    const { stdout } = await runToEnd(evil.engine, busyboxSpec('grep -c "127.0.0.1.*localhost" /etc/hosts; test -d /out/a && test -d /climb/b && echo both', { mounts: [{ ...volume, target: '/out/a' }, { ...volume, target: '/climb/b' }] }), signal);
    assert.equal(stdout, '1\nboth\n');
    assert.deepEqual([target, join(secret, 'resolv'), join(secret, 'a'), join(secret, 'b')].map(existsSync), [false, false, false, false]);
    assert.equal(existsSync(join(evil.engine.volumes.get('copied').mountpoint, 'key')), false);
  });

  test('CVE-2025-31133 and -52565 class: links in place of /dev, /dev/null, /dev/console, /proc and /sys change nothing on the host', async () => {
    const core = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
    for (const place of ['dev', 'proc', 'sys'] as const) {
      await using evil = await openEvilEngine((at) => {
        rmSync(at(place), { recursive: true });
        symlinkSync('/tmp', at(place));
        mkdirSync(at('tmp/sub'), { recursive: true });
      });
      const script = 'cat /proc/interrupts 2>/dev/null | head -c1 | wc -c; (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null; (echo b > /proc/sysrq-trigger) 2>/dev/null; echo end';
      const result = await runToEnd(evil.engine, busyboxSpec(script, { tty: true }), signal).catch((error: unknown) => {
        assert.ok(isError(error, 'invalid'), String(error));
        return { stdout: '0\r\nend\r\n' };
      });
      assert.ok(result.stdout.startsWith('0'), `${place}: ${result.stdout}`);
    }
    await using evil = await openEvilEngine((at) => {
      symlinkSync('/proc/sys/kernel/core_pattern', at('dev/null'));
      symlinkSync('/proc/sysrq-trigger', at('dev/console'));
      symlinkSync('/proc/sys/kernel', at('dev/pts'));
    });
    const { stdout } = await runToEnd(evil.engine, busyboxSpec('echo x > /dev/null; test -c /dev/null && test -c /dev/console && head -c1 /proc/interrupts | wc -c', { tty: true }), signal);
    assert.equal(stdout, '0\r\n');
    assert.equal(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'), core);
  });

  const devVolume = { type: 'volume' as const, volume: 'devices', target: '/dev', isReadOnly: false, copyUp: true };
  const isRefused = (error: unknown): boolean => isError(error, 'invalid');

  test('CVE-2024-21626: nor does a link of the image, a later link in an exec, or a path that hides it', async () => {
    await using evil = await openEvilEngine((at) => {
      symlinkSync('/proc/self/fd/7', at('work'));
      symlinkSync('work', at('chain'));
    });
    for (const workingDir of ['/work', '/chain', '/work/x', '//proc//self/./fd/7', '/tmp/../proc/self/cwd', '/proc/1/root']) {
      await assert.rejects(runToEnd(evil.engine, busyboxSpec(steal, { workingDir }), signal), isRefused, workingDir);
    }
    const { id } = await engine.containers.create(busyboxSpec('for n in 3 4 5 6 7 8 9; do ln -s /proc/self/fd/$n /tmp/fd$n; done; exec sleep 60'), signal);
    await engine.containers.start(id, signal);
    const exec = async (workingDir: string): Promise<string> => {
      const session = await engine.containers.exec(id, { args: ['sh', '-c', steal], env: [], workingDir, user: '', tty: false, stdin: false, isPrivileged: false }, signal);
      let text = '';
      session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await session.exit;
      return text;
    };
    for (const n of [3, 5, 7, 8]) {
      const text = await exec(`/tmp/fd${n}`).catch((error: unknown) => (assert.ok(isRefused(error), String(error)), 'end\n'));
      assert.ok(['', 'end\n'].includes(text), text);
    }
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('CVE-2025-31133: no image or volume brings the /dev/null that masks paths', async () => {
    await using evil = await openEvilEngine((at) => {
      // runc 1.1.5 shows the target of this link in place of every masked file.
      symlinkSync('/proc/sys/kernel/domainname', at('dev/null'));
      symlinkSync('/dev', at('devices'));
      symlinkSync('/dev/null', at('hole'));
    });
    const targets = ['/dev', '/dev/', '/devices', '/dev/null', '/hole', '/tmp/../dev'];
    for (const target of targets) {
      await assert.rejects(runToEnd(evil.engine, busyboxSpec('cat /proc/interrupts', { mounts: [{ ...devVolume, target }] }), signal), isRefused, target);
    }
    // Without a mount the folder is the runtime's own.
    const { stdout } = await runToEnd(evil.engine, busyboxSpec('head -c1 /proc/interrupts | wc -c; grep -c " /proc/interrupts " /proc/self/mountinfo; stat -c %t:%T /dev/null'), signal);
    assert.equal(stdout, '0\n1\n1:3\n');
  });

  test('CVE-2025-31133: nor a container that writes to a volume in which another mount lies', async () => {
    const writer = await engine.containers.create(busyboxSpec('ln -s /dev /shared/a; ln -s ../dev /shared/b; ln -s /proc /shared/c; exec sleep 60', { mounts: [{ ...devVolume, volume: 'links', target: '/shared', copyUp: false }] }), signal);
    await engine.containers.start(writer.id, signal);
    const { mountpoint } = engine.volumes.get('links');
    await pollUntil('the links', () => existsSync(join(mountpoint, 'b')) || lstatSync(join(mountpoint, 'c'), { throwIfNoEntry: false }) !== undefined || undefined, { timeoutMs: 30_000, intervalMs: 10 }, signal);
    for (const name of ['a', 'b', 'c']) {
      const mounts = [{ ...devVolume, volume: 'links', target: '/v', copyUp: false }, { ...devVolume, volume: 'other', target: `/v/${name}`, copyUp: false }];
      await assert.rejects(runToEnd(engine, busyboxSpec('true', { mounts }), signal), isRefused, name);
    }
    await engine.containers.remove(writer.id, { force: true, removeVolumes: true }, signal);
  });

  test('CVE-2025-52565: no image or volume brings the /dev/console or the terminals that are mounted on', async () => {
    await using evil = await openEvilEngine((at) => {
      symlinkSync('/proc/sys/kernel/domainname', at('dev/console'));
      symlinkSync('/proc/sys/kernel', at('dev/pts'));
      symlinkSync('/proc/sys/kernel/domainname', at('dev/ptmx'));
    });
    for (const target of ['/dev', '/dev/console', '/dev/pts', '/dev/ptmx']) {
      await assert.rejects(runToEnd(evil.engine, busyboxSpec('true', { tty: true, mounts: [{ ...devVolume, target }] }), signal), isRefused, target);
    }
    const before = readFileSync('/proc/sys/kernel/domainname', 'utf8');
    const { stdout } = await runToEnd(evil.engine, busyboxSpec('echo x > /dev/console; tty; test -c /dev/console && echo device', { tty: true }), signal);
    assert.match(stdout, /device/);
    assert.equal(readFileSync('/proc/sys/kernel/domainname', 'utf8'), before);
  });

  test('CVE-2025-52881: writes of the runtime to procfs are not led elsewhere by a forged /proc', async () => {
    for (const change of [
      { mounts: [{ ...devVolume, target: '/proc' }] }, { mounts: [{ type: 'tmpfs' as const, target: '/proc', isReadOnly: false, options: [] }] }, { mounts: [{ ...devVolume, target: '/sys' }] },
    ]) await assert.rejects(runToEnd(engine, busyboxSpec('true', change), signal), isRefused);
    for (const place of ['proc', 'sys', 'dev']) {
      await using evil = await openEvilEngine((at) => {
        rmSync(at(place), { recursive: true });
        mkdirSync(at('forged/self/attr'), { recursive: true });
        symlinkSync('/forged', at(place));
      });
      await assert.rejects(runToEnd(evil.engine, busyboxSpec('true', { sysctls: { 'net.ipv4.ip_local_port_range': '40000 50000' } }), signal), isRefused, place);
    }
    // A file in place of the folder is hidden by the engine's own mount points.
    await using evil = await openEvilEngine((at) => {
      rmSync(at('proc'), { recursive: true });
      writeFileSync(at('proc'), '');
    });
    assert.equal((await runToEnd(evil.engine, busyboxSpec('stat -f -c %T /proc 2>/dev/null || head -c4 /proc/self/stat | wc -c'), signal)).exitCode, 0);
  });

  test('CVE-2020-8558: the host’s loopback is not reached from a container or a pod, not even with forged packets', async () => {
    const server = createServer((socket) => socket.end('host only\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const gateway = engine.networks.get('bridge').gateway;
      const ask = (host: string): string => `wget -T 2 -qO- http://${host}:${port}/ 2>/dev/null`;
      const plain = await runToEnd(engine, busyboxSpec(`${ask(gateway)}; ${ask('127.0.0.1')}; echo end`), signal);
      assert.equal(plain.stdout, 'end\n');
      // With every capability over its own network: packets to 127.0.0.1 leave by the bridge.
      const forge = `ip addr del 127.0.0.1/8 dev lo; for f in all eth0 default; do echo 1 > /proc/sys/net/ipv4/conf/$f/route_localnet; done; ip route add 127.0.0.0/8 via ${gateway} dev eth0; ip route del local 127.0.0.0/8 table local; ip route get 127.0.0.1 | head -1; ${ask('127.0.0.1')}; echo end`;
      const forged = await runToEnd(engine, busyboxSpec(forge, { security: { ...busyboxSpec('').security, isPrivileged: true } }), signal);
      assert.ok(forged.stdout.includes('eth0'), `the attack was not carried out: ${forged.stdout} ${forged.stderr}`);
      assert.ok(forged.stdout.endsWith('end\n') && !forged.stdout.includes('host only'), forged.stdout);
      const pod = await engine.sandboxes.create({ podUid: 'loopback', namespace: 'n', name: 'p', hostname: 'p', labels: {}, hostNetwork: false, dns: { servers: [], searches: [], options: [] }, extraHosts: [], ports: [], sysctls: {}, cgroup: { workload: 'application' } }, signal);
      const owner = { kind: 'pod' as const, sandboxId: pod.id, podUid: 'loopback', containerName: 'c', attempt: 0 };
      const { namespaces } = busyboxSpec('');
      const inPod = await runToEnd(engine, busyboxSpec(`${ask(engine.networks.get('pods').gateway)}; ${ask('127.0.0.1')}; echo end`, { owner, network: { mode: 'sandbox' }, namespaces: { ...namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } } }), signal);
      assert.equal(inPod.stdout, 'end\n');
      await engine.sandboxes.remove(pod.id, signal);
    } finally {
      server.close();
    }
  });

  test('a port that one container publishes on loopback is not another’s by the gateway', async () => {
    const spec = busyboxSpec('', { args: ['httpd', '-f', '-p', '80', '-h', '/etc'], ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] });
    const { id } = await engine.containers.create(spec, signal);
    await engine.containers.start(id, signal);
    const [published] = engine.containers.get(id).status.ports;
    const url = `http://127.0.0.1:${published?.hostPort ?? 0}/passwd`;
    await pollUntil('the server', async () => fetch(url).then((answer) => answer.ok || undefined, () => undefined), { timeoutMs: 30_000, intervalMs: 20 }, signal);
    const { stdout } = await runToEnd(engine, busyboxSpec(`wget -T 2 -qO- http://${engine.networks.get('bridge').gateway}:${published?.hostPort ?? 0}/passwd 2>/dev/null; echo end`), signal);
    assert.equal(stdout, 'end\n');
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('on the bridges the engine listens for names at most', async () => {
    const network = await engine.networks.create({ name: 'listeners', isInternal: false, labels: {}, options: {} }, signal);
    const sleeper = await engine.containers.create(busyboxSpec('', { args: ['sleep', '60'], network: { mode: 'bridge', endpoints: [{ network: 'listeners', aliases: [] }] } }), signal);
    await engine.containers.start(sleeper.id, signal);
    const gateways = engine.networks.list().map(({ gateway }) => gateway);
    const exposed = (): { address: string; port: number }[] => ownListeners().filter(({ address }) => gateways.includes(address) || address === '0.0.0.0');
    // What it would look like.
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, network.gateway, resolve));
    const { port: opened } = server.address() as AddressInfo;
    assert.ok(exposed().some(({ address, port }) => address === network.gateway && port === opened));
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(exposed().filter(({ port }) => port !== 53), []);
    await engine.containers.remove(sleeper.id, { force: true, removeVolumes: false }, signal);
    await engine.networks.remove(network.id, signal);
  });

  test('a container sees neither the engine’s folders and sockets nor other containers', async () => {
    const other = await engine.containers.create(busyboxSpec('', { args: ['sleep', '60'], env: ['TOKEN=hidden'] }), signal);
    await engine.containers.start(other.id, signal);
    const script = `ls ${opened.options.runFolder} ${opened.options.rootFolder} /run 2>/dev/null; cat /proc/[0-9]*/environ | tr "\\0" "\\n" | grep TOKEN; grep -c ${other.id} /proc/self/mountinfo; grep -c ${secret} /proc/self/mountinfo; hostname`;
    const { stdout } = await runToEnd(engine, busyboxSpec(script, { hostname: 'own' }), signal);
    assert.equal(stdout, '0\n0\nown\n');
    assert.notEqual(hostname(), 'own');
    await engine.containers.remove(other.id, { force: true, removeVolumes: false }, signal);
  });

  test('without capabilities nothing of the kernel can be reached that Docker denies', async () => {
    const attempts = {
      'a user namespace': 'unshare -U true',
      'a mount': 'mount -t tmpfs x /tmp',
      'a raw device': 'mknod /tmp/d b 254 0 && head -c1 /tmp/d',
      'the host name': 'echo x > /proc/sys/kernel/hostname',
      'a kernel setting': 'echo 1 > /proc/sys/kernel/panic',
      'sysrq': 'echo h > /proc/sysrq-trigger',
      'cgroup limits': 'f=$(ls /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null) && echo 1 > $f',
      'the clock': 'date -s 2000-01-01; test $(date +%Y) = 2000',
      'kernel memory': 'cat /proc/kcore /proc/interrupts /proc/keys /proc/timer_list | head -c1 | grep .',
      'the root file system’s layers': `test -e ${images.folder}`,
    };
    const script = Object.values(attempts).map((attempt, index) => `if (${attempt}) >/dev/null 2>&1; then echo ${index}; fi`).join('; ');
    const { stdout } = await runToEnd(engine, busyboxSpec(script), signal);
    assert.deepEqual(stdout.split('\n').filter((line) => line !== '').map((index) => Object.keys(attempts)[Number(index)]), []);
  });

  test('sysctls of the host cannot be set through a container or a pod', async () => {
    for (const name of ['kernel.panic', 'vm.overcommit_memory', 'fs.file-max', 'kernel.core_pattern', 'net/../kernel.panic']) {
      await assert.rejects(engine.containers.create(busyboxSpec('true', { sysctls: { [name]: '1' } }), signal), (error) => isError(error, 'invalid'), name);
      const pod = { podUid: 'p', namespace: 'n', name: 'p', hostname: 'p', labels: {}, hostNetwork: false, dns: { servers: [], searches: [], options: [] }, extraHosts: [], ports: [], sysctls: { [name]: '1' }, cgroup: { workload: 'application' as const } };
      await assert.rejects(engine.sandboxes.create(pod, signal), (error) => isError(error, 'invalid'), name);
    }
    assert.deepEqual(engine.sandboxes.list(), []);
  });

  /** An engine whose only image was changed by somebody who means harm. */
  async function openEvilEngine(change: (at: (path: string) => string) => void): Promise<{ engine: Engine } & AsyncDisposable> {
    const evil = new BusyboxImages();
    change((path) => join(evil.folder, path));
    const inner = await openTestEngine(evil);
    return {
      engine: inner.engine,
      [Symbol.asyncDispose]: async () => {
        await inner[Symbol.asyncDispose]();
        evil[Symbol.dispose]();
      },
    };
  }
});

/** The IPv4 sockets of this process that anybody may speak to (proc_pid_net(5)). */
function ownListeners(): { address: string; port: number }[] {
  const own = new Set(readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? ''];
    } catch {
      return [];
    }
  }));
  return (['tcp', 'udp'] as const).flatMap((protocol) => readFileSync(`/proc/self/net/${protocol}`, 'utf8').split('\n').slice(1).flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (!own.has(inode) || (protocol === 'tcp' ? state !== '0A' : state !== '07')) return [];
    const [hex = '', port = ''] = local.split(':');
    return [{ address: [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.'), port: Number.parseInt(port, 16) }];
  }));
}
