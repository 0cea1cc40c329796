import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomHex } from '../kernel/mod.ts';
import { RoleLock, roleHolder, withMachineLock } from './lock.ts';
import { identityOf, isAlive } from './process-identity.ts';

const signal = AbortSignal.timeout(120_000);

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-lock-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('RoleLock.acquire() gives a role to one process at a time', () =>
  withFolder(async (folder) => {
    const id = randomHex(4);
    {
      await using held = await RoleLock.acquire(id, folder, 'server', 0, signal);
      void held;
      assert.equal((await roleHolder(folder, 'server'))?.pid, process.pid);
      await assert.rejects(RoleLock.acquire(id, folder, 'server', 50, signal), { code: 'conflict', message: new RegExp(`already running \\(pid ${process.pid}\\)`) });
      await using other = await RoleLock.acquire(id, folder, 'agent', 0, signal);
      void other;
    }
    assert.equal(await roleHolder(folder, 'server'), undefined);
    await using again = await RoleLock.acquire(id, folder, 'server', 0, signal);
    void again;
  }));

test('RoleLock.acquire() takes over at once from a process that was killed', () =>
  withFolder(async (folder) => {
    const id = randomHex(4);
    const script = `const { RoleLock } = await import(${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}); globalThis.held = await RoleLock.acquire(${JSON.stringify(id)}, ${JSON.stringify(folder)}, 'supervisor', 0, AbortSignal.timeout(9000)); console.log('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    assert.equal((await roleHolder(folder, 'supervisor'))?.pid, child.pid);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    assert.equal(await roleHolder(folder, 'supervisor'), undefined);
    await using taken = await RoleLock.acquire(id, folder, 'supervisor', 0, signal);
    void taken;
  }));

test('roleHolder() takes no damaged record and no reused pid for the holder', () =>
  withFolder(async (folder) => {
    const own = identityOf(process.pid);
    assert.ok(own !== undefined && isAlive(own));
    for (const record of ['', '{"pid":', JSON.stringify({ ...own, startTime: '1' }), JSON.stringify({ ...own, bootId: 'other' }), JSON.stringify({ pid: 'x' })]) {
      await writeFile(join(folder, 'agent.pid.json'), record);
      assert.equal(await roleHolder(folder, 'agent'), undefined, record);
    }
  }));

test('withMachineLock() lets one in after the other', async () => {
  const name = `gantry-test-${randomHex(4)}`;
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = withMachineLock(name, async () => {
    order.push('first in');
    await gate.promise;
    order.push('first out');
  }, signal);
  const second = withMachineLock(name, async () => void order.push('second in'), signal);
  gate.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(order, ['first in', 'first out', 'second in']);
});
