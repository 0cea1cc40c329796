import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { isError, runCommand } from '../kernel/mod.ts';
import { examineOffline, examineProcesses } from './doctor.ts';
import { openInstance } from './instance.ts';
import { locateInstance, makeInstanceFolders } from './location.ts';
import { RoleLock } from './lock.ts';

const signal = AbortSignal.timeout(120_000);

test('examineProcesses() finds and repairs locks and sockets of dead processes, and tells taken ports', { skip: rootNeeds('nft') }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'gantry-doctor-'));
  const location = await locateInstance(dataDir);
  const { paths } = location;
  try {
    await makeInstanceFolders(location);
    const { record } = await openInstance(location, {}, undefined, signal);
    assert.deepEqual(await examineProcesses(location, false), []);

    await using live = await RoleLock.acquire(location.id, paths.runDir, 'supervisor', 0, signal);
    assert.ok(live);
    writeFileSync(join(paths.runDir, 'agent.pid.json'), JSON.stringify({ pid: 2 ** 22, startTime: '1', bootId: 'another' }));
    // A socket file that outlives its server, as after kill -9.
    const server = createServer().listen(join(paths.runDir, 'mine'));
    await once(server, 'listening');
    linkSync(join(paths.runDir, 'mine'), paths.dockerSocket);
    assert.deepEqual((await examineProcesses(location, false)).map(({ kind }) => kind), ['lock']);
    server.close();
    await once(server, 'close');
    const thief = createServer().listen(record.apiPort, '127.0.0.1');
    await once(thief, 'listening');
    const found = async (isRepaired: boolean): Promise<string[]> => (await examineProcesses(location, isRepaired)).map((finding) => `${finding.kind} ${finding.isRepaired}`);
    assert.deepEqual(await found(false), ['lock false', 'socket false', 'port false']);
    assert.deepEqual(await found(true), ['lock true', 'socket true', 'port false']);
    thief.close();
    await once(thief, 'close');
    assert.deepEqual(await found(false), []);
    assert.ok(existsSync(join(paths.runDir, 'supervisor.pid.json')));
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
    rmSync(paths.runDir, { recursive: true, force: true });
  }
});

test('gantry doctor examines an instance whose agent is down, and its status says what it found', { skip: rootNeeds('nft', 'runc', 'conmon') }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'gantry-doctor-'));
  const location = await locateInstance(dataDir);
  const { paths } = location;
  const program = join(import.meta.dirname, '../../bin/gantry');
  const doctor = async (...args: string[]) => {
    const { code, stdout } = await runCommand(program, ['doctor', '--json', '--data-dir', dataDir, ...args], { okCodes: [0, 20, 21] }, signal);
    const { agent, findings } = JSON.parse(stdout) as { agent: string; findings: { kind: string; isRepaired: boolean }[] };
    // What this machine lacks or is short of is not the test's to say.
    return { code, agent, findings: findings.filter(({ kind }) => !['program', 'disk', 'kernel'].includes(kind)), all: findings.length };
  };
  try {
    await makeInstanceFolders(location);
    await openInstance(location, {}, undefined, signal);
    const first = await doctor();
    assert.deepEqual([first.agent, first.findings, first.code], ['down', [], first.all === 0 ? 0 : 21]);
    await runCommand('ip', ['link', 'add', `g${location.id.slice(0, 6)}bx`, 'type', 'bridge'], {}, signal);
    assert.deepEqual((await doctor()).findings.map(({ kind, isRepaired }) => [kind, isRepaired]), [['link', false]]);
    const repaired = await doctor('--repair');
    assert.deepEqual([repaired.findings.map(({ kind, isRepaired }) => [kind, isRepaired]), repaired.code], [[['link', true]], repaired.all === 1 ? 20 : 21]);
    assert.deepEqual((await doctor()).findings, []);
    // While the agent's place is taken and it does not answer, nothing is touched.
    await using held = await RoleLock.acquire(location.id, paths.runDir, 'agent', 0, signal);
    assert.ok(held);
    await assert.rejects(examineOffline(location, true, signal), (error) => isError(error, 'conflict'));
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
    rmSync(paths.runDir, { recursive: true, force: true });
  }
});
