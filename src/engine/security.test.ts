import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { isError } from '../kernel/mod.ts';
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
      const session = await engine.containers.exec(id, { args: ['sh', '-c', steal], env: [], workingDir: `/proc/self/fd/${descriptor}`, user: '', tty: false, stdin: false, isPrivileged: false }, signal);
      let text = '';
      session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await session.exit;
      assert.ok(text === 'end\n' || text === '', `${descriptor}: ${text}`);
    }
    await engine.containers.remove(id, { force: true, removeVolumes: false }, signal);
  });

  test('CVE-2019-5736: a container cannot write to the runtime through /proc/self/exe', async () => {
    const runtime = (await findProgram(engine.info.runtimeName)) ?? '';
    const digest = (): string => createHash('sha256').update(readFileSync(runtime)).digest('hex');
    const before = digest();
    const attacker = await engine.containers.create(
      busyboxSpec('while true; do for p in /proc/[0-9]*; do case "$p" in /proc/1|/proc/$$) ;; *) (echo overwritten > $p/exe) 2>/dev/null && echo wrote $p; esac; done; done'),
      signal,
    );
    await engine.containers.start(attacker.id, signal);
    for (let index = 0; index < 10; index += 1) {
      const session = await engine.containers.exec(attacker.id, { args: ['/proc/self/exe', 'init'], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
      session.stdout.resume();
      session.stderr?.resume();
      await session.exit;
    }
    assert.equal(digest(), before);
    await engine.containers.remove(attacker.id, { force: true, removeVolumes: false }, signal);
    await runToEnd(engine, busyboxSpec('', { args: ['/proc/self/exe', 'init'] }), signal).catch(() => undefined);
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
    const volume = { type: 'volume' as const, volume: 'v', isReadOnly: false, copyUp: true };
    const { stdout } = await runToEnd(evil.engine, busyboxSpec('grep -c "127.0.0.1.*localhost" /etc/hosts; test -d /out/a && test -d /climb/b && echo both', { mounts: [{ ...volume, target: '/out/a' }, { ...volume, target: '/climb/b' }] }), signal);
    assert.equal(stdout, '1\nboth\n');
    assert.deepEqual([target, join(secret, 'resolv'), join(secret, 'a'), join(secret, 'b')].map(existsSync), [false, false, false, false]);
    assert.equal(existsSync(join(evil.engine.volumes.get('v').mountpoint, 'key')), false);
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
