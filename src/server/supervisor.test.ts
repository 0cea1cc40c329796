import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pollUntil, silentLogger } from '../kernel/mod.ts';
import { restartDelayMs, supervise, type ChildRole } from './supervisor.ts';

const limit = AbortSignal.timeout(60_000);

/** A folder for logs and a child program that appends its pid to a file of its role. */
async function withProgram(source: string, work: (folder: string, command: (role: ChildRole) => { execPath: string; args: string[]; env: Record<string, string> }) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-supervisor-'));
  try {
    await writeFile(join(folder, 'child.mjs'), `import { appendFileSync } from 'node:fs';\nconst [role, folder] = process.argv.slice(2);\nappendFileSync(folder + '/' + role + '.pids', process.pid + '\\n');\n${source}`);
    await work(folder, (role) => ({ execPath: process.execPath, args: [join(folder, 'child.mjs'), role, folder], env: {} }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const serve = `process.send({ type: 'ready' });\nprocess.once('disconnect', () => process.exit(0));\nprocess.once('SIGTERM', () => process.exit(0));\nsetInterval(() => {}, 1000);`;

async function pids(folder: string, role: string): Promise<number[]> {
  return (await readFile(join(folder, `${role}.pids`), 'utf8').catch(() => '')).trim().split('\n').filter((line) => line !== '').map(Number);
}

test('supervise() tells when all are ready, replaces a killed child, and ends the children with itself', () =>
  withProgram(serve, async (folder, command) => {
    const stop = new AbortController();
    const ready = Promise.withResolvers<void>();
    const done = supervise({ logFolder: folder, roles: ['server', 'agent'], command, log: silentLogger() }, () => ready.resolve(), stop.signal);
    await Promise.race([ready.promise, done]);
    const [first] = await pids(folder, 'server');
    const agents = await pids(folder, 'agent');
    process.kill(first ?? 0, 'SIGKILL');
    const second = await pollUntil('a new server', async () => (await pids(folder, 'server'))[1], { timeoutMs: 30_000 }, limit);
    assert.notEqual(second, first);
    assert.deepEqual(await pids(folder, 'agent'), agents);
    stop.abort();
    await done;
    for (const pid of [second, ...agents]) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  }));

test('supervise() fails with the reason a child gives when it cannot start', () =>
  withProgram(`process.send({ type: 'failed', code: 'invalid', message: 'config.yaml:3:1: unknown key' }, () => process.exit(1));`, async (folder, command) => {
    const done = supervise({ logFolder: folder, roles: ['server'], command, log: silentLogger() }, () => assert.fail('not ready'), limit);
    await assert.rejects(done, { code: 'invalid', message: 'the server cannot start: config.yaml:3:1: unknown key' });
    assert.equal((await pids(folder, 'server')).length, 1);
  }));

test('supervise() tries a child that dies at once a few times, then gives up', () =>
  withProgram(`process.exit(7);`, async (folder, command) => {
    const done = supervise({ logFolder: folder, roles: ['agent'], command, log: silentLogger() }, () => assert.fail('not ready'), limit);
    await assert.rejects(done, { code: 'unavailable', message: /agent cannot start: it ended with exit code 7; see .*agent\.log/ });
    assert.equal((await pids(folder, 'agent')).length, 3);
  }));

test('restartDelayMs() grows to ten seconds', () => {
  assert.deepEqual([0, 1, 2, 10].map(restartDelayMs), [100, 200, 400, 10_000]);
});
