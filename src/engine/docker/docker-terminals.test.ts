import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pollUntil } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import { contentOf, type HijackedClient, openHijacked } from './testing/hijacked.ts';
import { openTerminalClient, type TerminalClient } from './testing/terminal-client.ts';
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

const signal = AbortSignal.timeout(600_000);
const size = { width: 91, height: 31 };
const keepsRunning = 'while :; do if read -r line; then eval "$line"; else sleep 0.1; fi; done';
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** All byte values in an order that does not repeat in step with any buffer. */
function allBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = at < 256 ? at : state >>> 24;
  }
  return bytes;
}

/** What the streams of the engine have handed over, and how many attachments are open. */
interface Counted { pulledBytes: number; attachments: number }

function counting(engine: Engine, counted: Counted): Engine {
  const containers = new Proxy(engine.containers, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      if (name !== 'attach') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<Engine['containers']['attach']>) => {
        const attachment = await target.attach(...args);
        counted.attachments += 1;
        return {
          stdin: attachment.stdin,
          output: (async function* () {
            for await (const chunk of attachment.output) {
              counted.pulledBytes += chunk.data.length;
              yield chunk;
            }
          })(),
          [Symbol.asyncDispose]: async () => {
            counted.attachments -= 1;
            await attachment[Symbol.asyncDispose]();
          },
        };
      };
    },
  });
  return new Proxy(engine, {
    get: (target, name) => {
      if (name === 'containers') return containers;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

suite('terminals and streams', { skip, concurrency: false }, () => {
  let docker: TestDocker;
  const counted: Counted = { pulledBytes: 0, attachments: 0 };
  before(async () => {
    docker = await openTestDocker({ wrap: (engine) => counting(engine, counted) });
    // Two containers that carry out what is typed: one with a terminal, one without.
    await ok('run', '-dit', '--network', 'none', '--name', 'term', 'busybox', 'sh', '-c', `stty -echo; ${keepsRunning}`);
    await ok('run', '-di', '--network', 'none', '--name', 'plain', 'busybox', 'sh', '-c', keepsRunning);
  });
  after(async () => docker[Symbol.asyncDispose]());

  const env = (): Record<string, string | undefined> => ({ PATH: process.env['PATH'], DOCKER_HOST: docker.host, DOCKER_CONFIG: join(docker.folder, 'config'), HOME: docker.folder });
  const start = (args: readonly string[]): ChildProcess => spawn('docker', args, { env: env(), stdio: 'pipe' });
  const finish = async (child: ChildProcess, input?: string | Uint8Array): Promise<{ code: number; stdout: Buffer; stderr: string }> => {
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    // It may end before it has read all.
    child.stdin?.on('error', () => undefined);
    if (input !== undefined) child.stdin?.end(input);
    const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
    return { code, stdout: Buffer.concat(stdout), stderr };
  };
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await finish(start(args), '');
    assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}`);
    return stdout.toString().trim();
  };
  const terminal = (...args: string[]): TerminalClient => openTerminalClient(args, env(), size);
  const isRunning = (name: string): Promise<string> => ok('inspect', '-f', '{{.State.Running}}', name);
  const events = async (name: string): Promise<string[]> => (await ok('events', '--since', '1h', '--until', String(Math.floor(Date.now() / 1000) + 1), '--filter', `container=${name}`, '--format', '{{.Action}}')).split('\n');
  const api = async (path: string, body?: unknown): Promise<{ status: number; body: { Id: string; message: string; Running: boolean; ExitCode: number } }> => {
    const { stdout } = await finish(spawn('curl', ['-s', '--unix-socket', docker.socketPath, '-w', '\n%{http_code}', '-X', body === undefined && path.endsWith('json') ? 'GET' : 'POST', '-H', 'Content-Type: application/json', ...(body === undefined ? [] : ['-d', JSON.stringify(body)]), `http://docker${path}`]), '');
    const text = stdout.toString();
    const line = text.lastIndexOf('\n');
    return { status: Number(text.slice(line + 1)), body: JSON.parse(text.slice(0, line) || '{}') as never };
  };
  const createExec = async (container: string, ...cmd: string[]): Promise<string> => (await api(`/containers/${container}/exec`, { AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: cmd })).body.Id;
  /** Asks for the size until it is the one: it reaches the terminal a moment after it was set. */
  const sizeOf = async (client: HijackedClient, wanted: string): Promise<void> => {
    const seen = client.until((bytes) => bytes.includes(`${wanted}\r\n`));
    let isSeen = false;
    void seen.then(() => (isSeen = true), () => undefined);
    await pollUntil(`the size ${wanted}`, () => {
      if (!isSeen) client.socket.write('stty size\n');
      return isSeen || undefined;
    }, { timeoutMs: 60_000, intervalMs: 200 }, signal);
    await seen;
  };
  const execEnded = (id: string): Promise<number> =>
    pollUntil('the exec to end', async () => {
      const { body } = await api(`/exec/${id}/json`);
      return body.Running ? undefined : { code: body.ExitCode };
    }, { timeoutMs: 60_000, intervalMs: 50 }, signal).then(({ code }) => code);

  test('run -it: the size is there from the first moment and follows the window; Ctrl-C, input and exit code pass', async () => {
    await using shell = terminal('run', '--rm', '-it', '--network', 'none', 'busybox', 'sh', '-c', `tty; stty size; trap 'echo "caught it"' INT; trap 'exit 7' USR1; ${keepsRunning}`);
    await shell.until(/\/dev\/pts\/0\r\n31 91\r\n/);
    shell.type('echo sum $((40+2))\r');
    await shell.until('sum 42');
    shell.resize({ width: 100, height: 40 });
    // The size comes over another connection than the command.
    await pollUntil('the new size', () => {
      if (shell.screen().includes('40 100')) return true;
      shell.type('stty size\r');
      return undefined;
    }, { timeoutMs: 60_000, intervalMs: 200 }, signal);
    shell.type(Buffer.from([3]));
    await shell.until('caught it');
    shell.type('kill -USR1 $$\r');
    assert.equal(await shell.ended, 7);
  });

  test('exec -it: size, resize, Ctrl-C and exit code; the process has a terminal of its own', async () => {
    await using shell = terminal('exec', '-it', 'plain', 'sh', '-c', `tty; stty size; ${keepsRunning}`);
    await shell.until(/\/dev\/pts\/\d+\r\n31 91\r\n/);
    shell.resize({ width: 120, height: 50 });
    await pollUntil('the new size', () => {
      if (shell.screen().includes('50 120')) return true;
      shell.type('stty size\r');
      return undefined;
    }, { timeoutMs: 60_000, intervalMs: 200 }, signal);
    shell.type('echo then; exec sleep 1000\r');
    await shell.until('\nthen');
    shell.type(Buffer.from([3]));
    assert.equal(await shell.ended, 130);
  });

  test('run -it, attach and start -a are left by the detach keys, and the container is there for the next', async () => {
    await using first = terminal('run', '-it', '--network', 'none', '--name', 'left', 'busybox', 'sh', '-c', keepsRunning);
    first.type('echo one$((1+1))\r');
    await first.until('one2');
    first.type(Buffer.from([0x10, 0x11]));
    assert.equal(await first.ended, 0);
    assert.equal(await isRunning('left'), 'true');
    await using second = terminal('attach', '--detach-keys', 'ctrl-x,x', 'left');
    second.type('echo two$((1+1))\r');
    await second.until('two2');
    // The default keys are input here: the container sees them.
    second.type(Buffer.from([0x10, 0x11, 0x0d]));
    second.type(Buffer.from([0x18]));
    second.type('x');
    assert.equal(await second.ended, 1);
    assert.match(second.screen(), /read escape sequence/);
    await ok('kill', 'left');
    await using third = terminal('start', '-ai', '--detach-keys', 'DEL,q', 'left');
    third.type('echo three$((1+1))\r');
    await third.until('three2');
    third.type(Buffer.from([0x7f, 0x71]));
    assert.equal(await third.ended, 0);
    assert.equal(await isRunning('left'), 'true');
    await ok('rm', '-f', 'left');
  });

  test('exec -it is left by the detach keys, and its process goes on', async () => {
    await using client = terminal('exec', '-it', '--detach-keys', 'ctrl-a', 'plain', 'sh', '-c', 'echo begun; while :; do [ -e /tmp/go ] && break; sleep 0.05; done; echo over > /tmp/over');
    await client.until('begun');
    client.type(Buffer.from([1]));
    assert.equal(await client.ended, 1);
    await ok('exec', 'plain', 'touch', '/tmp/go');
    await pollUntil('the process to end by itself', async () => (await finish(start(['exec', 'plain', 'cat', '/tmp/over']), '')).stdout.toString() === 'over\n' || undefined, { timeoutMs: 60_000 }, signal);
  });

  test('keys that arrive at the engine end the session and are told as events', async () => {
    await using client = await openHijacked(docker.socketPath, '/v1.50/containers/term/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=ctrl-x,x');
    client.socket.write('echo by$((1+1))keys\n');
    await client.until((bytes) => bytes.includes('by2keys'));
    client.socket.write(Buffer.from([0x18]));
    client.socket.write('x');
    await client.rest();
    const { body } = await api('/containers/plain/exec', { AttachStdin: true, AttachStdout: true, Tty: true, Cmd: ['sh', '-c', 'echo on; exec sleep 1000'] });
    await using exec = await openHijacked(docker.socketPath, `/v1.50/exec/${body.Id}/start`, { Tty: true });
    await exec.until((bytes) => bytes.includes('on'));
    exec.socket.write(Buffer.from([0x10, 0x11]));
    await exec.rest();
    assert.equal((await api(`/exec/${body.Id}/json`)).body.Running, true);
    assert.deepEqual((await events('term')).filter((action) => /^(attach|detach)$/.test(action)), ['attach', 'detach']);
    assert.deepEqual((await events('plain')).filter((action) => action === 'exec_detach'), ['exec_detach']);
    for (const keys of ['ctrl-', 'ab']) await assert.rejects(openHijacked(docker.socketPath, `/v1.50/containers/term/attach?stream=1&stdin=1&detachKeys=${keys}`), /400 .*Invalid escape keys/s);
  });

  test('sizes: before the start by ConsoleSize, then by the resize end points', async () => {
    const { body: created } = await api('/containers/create?name=sized', { Image: 'busybox', Tty: true, OpenStdin: true, Cmd: ['sh', '-c', `stty size; ${keepsRunning}`], HostConfig: { NetworkMode: 'none', ConsoleSize: [25, 81] } });
    assert.match((await api('/containers/sized/resize?h=10&w=20')).body.message, /is not running/);
    await using client = await openHijacked(docker.socketPath, `/v1.50/containers/${created.Id}/attach?stream=1&stdin=1&stdout=1`);
    assert.equal((await api('/containers/sized/start')).status, 204);
    await client.until((bytes) => bytes.includes('25 81\r\n'));
    assert.equal((await api('/containers/sized/resize?h=44&w=133')).status, 200);
    await sizeOf(client, '44 133');
    const { body } = await api('/containers/sized/exec', { AttachStdin: true, AttachStdout: true, Tty: true, ConsoleSize: [26, 82], Cmd: ['sh', '-c', `stty size; ${keepsRunning}`] });
    // Sent before the start, it takes effect when the exec has begun.
    const early = api(`/exec/${body.Id}/resize?h=27&w=83`);
    await using exec = await openHijacked(docker.socketPath, `/v1.50/exec/${body.Id}/start`, { Tty: true });
    assert.equal((await early).status, 200);
    await exec.until((bytes) => bytes.includes('\r\n'));
    await sizeOf(exec, '27 83');
    assert.equal((await api(`/exec/${body.Id}/resize?h=70000&w=83`)).status, 400);
    await ok('rm', '-f', 'sized');
    assert.equal((await api(`/exec/${body.Id}/resize?h=27&w=83`)).status, 409);
  });

  test('the end of input passes, and what comes after it is still delivered', async () => {
    const script = 'cat | wc -c; sleep 0.2; echo after; echo err >&2';
    for (const args of [['run', '--rm', '-i', '--network', 'none', 'busybox'], ['exec', '-i', 'plain']]) {
      const { code, stdout, stderr } = await finish(start([...args, 'sh', '-c', script]), 'x'.repeat(100_000));
      assert.deepEqual([code, stdout.toString(), stderr], [0, '100000\nafter\n', 'err\n'], args[0]);
    }
    // Not asked for: the process reads the end at once.
    assert.equal(await ok('run', '--rm', '--network', 'none', 'busybox', 'sh', '-c', 'cat; echo done'), 'done');
    assert.equal(await ok('exec', 'plain', 'sh', '-c', 'cat; echo done'), 'done');
  });

  test('a process that closes its input and goes on is not disturbed by a client that goes on sending', async () => {
    const script = 'echo begun; exec 0<&-; echo closed; until [ -e /tmp/sent ]; do sleep 0.05; done; echo told; exit 5';
    const goesOn = async (client: HijackedClient, container: string, isAllTaken: boolean): Promise<void> => {
      await client.until((bytes) => contentOf(bytes, 'stdout').includes('closed'));
      const sent = new Promise((resolve) => client.socket.write(Buffer.alloc(1_000_000), resolve));
      if (isAllTaken) await sent;
      await ok('exec', container, 'touch', '/tmp/sent');
      assert.equal(contentOf(await client.rest(), 'stdout').toString(), 'begun\nclosed\ntold\n', container);
    };
    const id = await createExec('plain', 'sh', '-c', script);
    await using exec = await openHijacked(docker.socketPath, `/v1.50/exec/${id}/start`, {});
    await goesOn(exec, 'plain', true);
    assert.equal(await execEnded(id), 5);
    await ok('exec', 'plain', 'rm', '/tmp/sent');
    const { body } = await api('/containers/create?name=closing', { Image: 'busybox', OpenStdin: true, StdinOnce: true, Cmd: ['sh', '-c', script], HostConfig: { NetworkMode: 'none' } });
    await using attached = await openHijacked(docker.socketPath, `/v1.50/containers/${body.Id}/attach?stream=1&stdin=1&stdout=1&stderr=1`);
    await api('/containers/closing/start');
    // conmon takes no more than its buffers hold: the client's input waits, its output does not.
    await goesOn(attached, 'closing', false);
    assert.equal(await ok('wait', 'closing'), '5');
    await ok('rm', 'closing');
  });

  test('without StdinOnce the input stays open for the next client; two at once both type and both see', async () => {
    const open = () => openHijacked(docker.socketPath, '/v1.50/containers/plain/attach?stream=1&stdin=1&stdout=1&stderr=1');
    await using gone = await open();
    gone.socket.end('echo first$((1+1)); echo err$((1+1)) >&2\n');
    await gone.until((bytes) => contentOf(bytes, 'stdout').includes('first2') && contentOf(bytes, 'stderr').includes('err2'));
    await using one = await open();
    await using two = await open();
    one.socket.write('echo from$((1+0))one\n');
    await one.until((bytes) => contentOf(bytes, 'stdout').includes('from1one'));
    two.socket.write('echo from$((1+1))two\n');
    for (const client of [one, two]) {
      const seen = await client.until((bytes) => contentOf(bytes, 'stdout').includes('from2two'));
      assert.equal(contentOf(seen, 'stdout').toString(), 'from1one\nfrom2two\n');
    }
  });

  test('every byte passes unchanged in both directions, multiplexed and raw', async () => {
    const bytes = allBytes(3_000_000);
    const through = await finish(start(['run', '--rm', '-i', '--network', 'none', 'busybox', 'cat']), bytes);
    assert.deepEqual([through.code, through.stdout.length, sha256(through.stdout)], [0, bytes.length, sha256(bytes)]);
    const exec = await finish(start(['exec', '-i', 'plain', 'sh', '-c', 'tee /dev/stderr']), bytes.subarray(0, 500_000));
    assert.deepEqual([sha256(exec.stdout), sha256(Buffer.from(exec.stderr).length === 0 ? Buffer.alloc(0) : exec.stdout)], [sha256(bytes.subarray(0, 500_000)), sha256(bytes.subarray(0, 500_000))]);
    // Raw: a terminal that changes nothing. The keys are some that the bytes do not have in them.
    const keys = Array.from({ length: 5 }, () => 'ctrl-_').join(',');
    const part = bytes.subarray(0, 600_000);
    const isReady = (seen: Buffer): boolean => /ready\r?\n/.test(seen.toString('latin1'));
    await api('/containers/create?name=raw', { Image: 'busybox', Tty: true, OpenStdin: true, Cmd: ['sh', '-c', `stty raw -echo; echo ready; exec head -c ${part.length}`], HostConfig: { NetworkMode: 'none' } });
    await using attached = await openHijacked(docker.socketPath, `/v1.50/containers/raw/attach?stream=1&stdin=1&stdout=1&detachKeys=${keys}`);
    await api('/containers/raw/start');
    const from = (await attached.until(isReady)).indexOf('\n') + 1;
    attached.socket.write(part);
    const echoed = (await attached.rest()).subarray(from);
    assert.deepEqual([echoed.length, sha256(echoed)], [part.length, sha256(part)]);
    // More than the terminal holds, while the process does not read yet: it waits, and nobody else does.
    const { body } = await api('/containers/plain/exec', { AttachStdin: true, AttachStdout: true, Tty: true, DetachKeys: keys, Cmd: ['sh', '-c', `stty raw -echo; echo ready; until [ -e /tmp/read-on ]; do sleep 0.05; done; head -c ${part.length} | busybox sha256sum`] });
    await using exec2 = await openHijacked(docker.socketPath, `/v1.50/exec/${body.Id}/start`, { Tty: true });
    await exec2.until(isReady);
    exec2.socket.write(part);
    await ok('exec', 'plain', 'touch', '/tmp/read-on');
    assert.ok((await exec2.rest()).toString().includes(sha256(part)));
    await ok('rm', '-f', 'raw');
  });

  test('signals go to the container, unless sig-proxy is off', async () => {
    const script = 'trap "echo told; exit 9" TERM; while :; do echo up; sleep 0.05; done';
    const firstOutput = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.stdout?.once('data', () => resolve()));
    const child = start(['run', '--rm', '--network', 'none', '--name', 'trapped', 'busybox', 'sh', '-c', script]);
    const done = finish(child);
    await firstOutput(child);
    const watcher = start(['attach', '--no-stdin', '--sig-proxy=false', 'trapped']);
    const left = finish(watcher);
    await firstOutput(watcher);
    // The client gives up at the third.
    const isGone = (): true | undefined => (watcher.exitCode !== null || watcher.signalCode !== null || !watcher.kill('SIGTERM') ? true : undefined);
    await pollUntil('the client to leave', isGone, { timeoutMs: 60_000, intervalMs: 50 }, signal);
    await left;
    assert.equal(await isRunning('trapped'), 'true');
    child.kill('SIGTERM');
    const { code, stdout } = await done;
    assert.deepEqual([code, stdout.toString().replace(/^(up\n)+/, '')], [9, 'told\n']);
  });

  test('a client that does not read holds up nothing and is held in bounded memory; it gets all when it reads', async () => {
    const length = 8_000_000;
    await api('/containers/create?name=loud', { Image: 'busybox', Cmd: ['sh', '-c', `yes ${'0123456789'.repeat(20)} | head -c ${length}`], HostConfig: { NetworkMode: 'none' } });
    const before = counted.pulledBytes;
    await using slow = await openHijacked(docker.socketPath, '/v1.50/containers/loud/attach?stream=1&stdout=1&stderr=1');
    await api('/containers/loud/start');
    // It ends though nobody reads, and the log has everything.
    assert.equal(await ok('wait', 'loud'), '0');
    const { stdout: logged } = await finish(start(['logs', 'loud']), '');
    assert.equal(logged.length, length);
    const pulled = counted.pulledBytes - before;
    assert.ok(pulled < 1_000_000, `${pulled} bytes were taken for a client that reads nothing`);
    const content = contentOf(await slow.rest(), 'stdout');
    assert.deepEqual([content.length, sha256(content)], [length, sha256(logged)]);
    await ok('rm', 'loud');
  });

  test('an exec whose client does not read waits for it as at a pipe; the container does not', async () => {
    const id = await createExec('plain', 'sh', '-c', 'yes 0123456789 | head -c 4000000; echo end >&2; touch /tmp/written');
    await using slow = await openHijacked(docker.socketPath, `/v1.50/exec/${id}/start`, {});
    await slow.until((bytes) => bytes.length > 0);
    assert.equal(await ok('exec', 'plain', 'echo', 'alive'), 'alive');
    assert.equal((await finish(start(['exec', 'plain', 'test', '-e', '/tmp/written']), '')).code, 1);
    const all = await slow.rest();
    assert.deepEqual([contentOf(all, 'stdout').length, contentOf(all, 'stderr').toString(), await execEnded(id)], [4_000_000, 'end\n', 0]);
  });

  test('a client that dies in the middle leaves nothing behind: the container and its exec go on', async () => {
    await pollUntil('earlier clients to be gone', () => counted.attachments === 0 || undefined, { timeoutMs: 60_000 }, signal);
    const attached = await openHijacked(docker.socketPath, '/v1.50/containers/plain/attach?stream=1&stdin=1&stdout=1&stderr=1');
    attached.socket.write('yes 0123456789 | head -c 2000000\n');
    await attached.until((bytes) => bytes.length > 1000);
    attached.socket.destroy();
    await pollUntil('its attachment to be closed', () => counted.attachments === 0 || undefined, { timeoutMs: 60_000 }, signal);
    const loud = await createExec('plain', 'sh', '-c', 'yes 0123456789 | head -c 2000000; exit 3');
    const cat = await createExec('plain', 'sh', '-c', 'cat; exit 4');
    for (const [id, minBytes] of [[loud, 1], [cat, 0]] as const) {
      const client = await openHijacked(docker.socketPath, `/v1.50/exec/${id}/start`, {});
      await client.until((bytes) => bytes.length >= minBytes);
      client.socket.destroy();
    }
    // What it wrote is read on; what it read has ended.
    assert.deepEqual([await execEnded(loud), await execEnded(cat)], [3, 4]);
    await using next = await openHijacked(docker.socketPath, '/v1.50/containers/plain/attach?stream=1&stdin=1&stdout=1&stderr=1');
    next.socket.write('echo still$((1+1))\n');
    await next.until((bytes) => contentOf(bytes, 'stdout').includes('still2'));
  });
});
