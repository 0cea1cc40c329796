import assert from 'node:assert/strict';
import { closeSync, realpathSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { isError, pollUntil } from '../kernel/mod.ts';
import { openPipe, reapChild, spawnDetached } from './spawn.ts';

const signal = AbortSignal.timeout(10_000);

test('spawnDetached() starts a program with the descriptors, folder, environment and session asked for, and nothing else of ours', async () => {
  const first = openPipe();
  const second = openPipe();
  const script = 'echo "$PWD $A $$" >&4; read -r line < /proc/self/stat; echo "$line" | cut -d" " -f6 >&4; ls /proc/self/fd >&4; echo three >&3';
  const pid = spawnDetached({ program: '/bin/sh', args: ['-c', script], env: { A: 'b', PATH: '/usr/bin:/bin' }, folder: tmpdir(), descriptors: [first.writeFd, second.writeFd] });
  closeSync(first.writeFd);
  closeSync(second.writeFd);
  const [three, four] = await Promise.all([first.readFd, second.readFd].map(readAll));
  assert.equal(three, 'three\n');
  const [line, session, ...fds] = (four ?? '').trim().split('\n');
  assert.equal(line, `${realpathSync(tmpdir())} b ${pid}`);
  assert.equal(session, String(pid));
  // The one of ls itself is among them; what whoever started us left open is not ours.
  assert.deepEqual(['0', '1', '2', '3', '4'].filter((fd) => !fds.includes(fd)), []);
  assert.ok(!fds.includes('100') && !fds.includes('101'));
  await pollUntil('the child to end', () => reapChild(pid) || undefined, { timeoutMs: 30_000 }, signal);
});

test('spawnDetached() names a program that cannot be executed', () => {
  assert.throws(() => spawnDetached({ program: '/no/such', args: [], env: {}, folder: '/', descriptors: [] }), (error) => isError(error, 'not-found'));
});

async function readAll(fd: number): Promise<string> {
  let text = '';
  for await (const chunk of new Socket({ fd, readable: true, writable: false })) text += String(chunk);
  return text;
}
