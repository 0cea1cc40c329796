import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { pollUntil } from '../kernel/mod.ts';
import type { Engine } from './engine.ts';
import { EnginePaths } from './paths.ts';
import { readPidFile } from './runtime/monitor.ts';
import { simulateReboot } from './testing/reboot.ts';
import { busyboxSpec } from './testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';
import type { RestartPolicy } from './types.ts';

const skip = rootNeeds('runc', 'conmon', 'nft', 'busybox');
const signal = AbortSignal.timeout(150_000);

const policies = { no: { name: 'no' }, always: { name: 'always' }, unless: { name: 'unless-stopped' }, failure: { name: 'on-failure', maximumRetryCount: 0 }, twice: { name: 'on-failure', maximumRetryCount: 2 } } as const satisfies Record<string, RestartPolicy>;
type PolicyName = keyof typeof policies;
const policyNames = Object.keys(policies) as PolicyName[];

/** Starts it and waits until the program has written its line. */
async function run(engine: Engine, id: string): Promise<void> {
  await engine.containers.start(id, signal);
  await pollUntil('the line', async () => ((await linesOf(engine, id)).length > 0 ? true : undefined), { timeoutMs: 30_000 }, signal);
}

/** What containers do when it happens. */
const situations = {
  created: async () => undefined,
  running: run,
  paused: async (engine: Engine, id: string) => {
    await run(engine, id);
    await engine.containers.pause(id, signal);
  },
  stopped: async (engine: Engine, id: string) => {
    await run(engine, id);
    await engine.containers.stop(id, { timeoutSeconds: 0 }, signal);
  },
} as const;
type Situation = keyof typeof situations;

/** Kills the monitors of all containers while no engine is there, as the kernel may for want of memory. */
async function killMonitors(opened: TestEngine): Promise<void> {
  await opened.engine[Symbol.asyncDispose]();
  const paths = new EnginePaths(opened.options.rootFolder, opened.options.runFolder);
  for (const id of readdirSync(paths.containers)) {
    const pid = readPidFile(paths.container(id).monitorPidFile);
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }
}

const still = 'running 0';
/** State and restart count, or exit code, per policy in the order of `policyNames`. */
const expected: Readonly<Record<string, { happen: (opened: TestEngine) => Promise<void>; after: Readonly<Record<Situation, readonly string[]>> }>> = {
  'the agent is started anew': {
    happen: async (opened) => opened.engine[Symbol.asyncDispose](),
    after: {
      created: ['created', 'created', 'created', 'created', 'created'],
      running: [still, still, still, still, still],
      paused: ['paused', 'paused', 'paused', 'paused', 'paused'],
      stopped: ['exited 137', still, 'exited 137', still, still],
    },
  },
  'the monitors are killed while no agent is there': {
    happen: killMonitors,
    after: {
      created: ['created', 'created', 'created', 'created', 'created'],
      running: ['exited 255', still, still, still, still],
      paused: ['exited 255', still, still, still, still],
      stopped: ['exited 137', still, 'exited 137', still, still],
    },
  },
  'the machine is started anew': {
    happen: (opened) => simulateReboot(opened, signal),
    after: {
      created: ['created', 'created', 'created', 'created', 'created'],
      running: ['exited 255', still, still, still, still],
      paused: ['exited 255', still, still, still, still],
      stopped: ['exited 137', still, 'exited 137', still, still],
    },
  },
};

for (const [event, { happen, after }] of Object.entries(expected)) {
  test(`when ${event}, every state and policy means what it means under Docker`, { skip }, async () => {
    await using opened = await openTestEngine();
    const { engine } = opened;
    const made = await Promise.all(
      (Object.keys(situations) as Situation[]).flatMap((situation) =>
        policyNames.map(async (policy) => {
          const { id } = await engine.containers.create(busyboxSpec('echo run; exec sleep 600', { restart: policies[policy] }), signal);
          await situations[situation](engine, id);
          return { situation, policy, id };
        }),
      ),
    );
    await happen(opened);
    const next = await opened.reopen();
    const shown = (id: string): string => {
      const { state, exitCode, restartCount } = next.containers.get(id).status;
      return state === 'exited' ? `${state} ${exitCode ?? ''}` : state === 'running' ? `${state} ${restartCount}` : state;
    };
    const all = (): Record<string, string> => Object.fromEntries(made.map(({ situation, policy, id }) => [`${situation} ${policy}`, shown(id)]));
    const wanted = Object.fromEntries(made.map(({ situation, policy }) => [`${situation} ${policy}`, after[situation][policyNames.indexOf(policy)]]));
    await pollUntil('restarts', () => !Object.values(all()).includes('restarting') || undefined, { timeoutMs: 60_000 }, signal);
    assert.deepEqual(all(), wanted);
    // What started again wrote its line again, and what was written before is there.
    for (const { situation, policy, id } of made) {
      const isAgain = next.containers.get(id).status.state === 'running' && (situation === 'stopped' || event !== 'the agent is started anew');
      const lines = situation === 'created' ? 0 : isAgain ? 2 : 1;
      await pollUntil(`the lines of ${situation} ${policy}`, async () => ((await linesOf(next, id)).length === lines ? true : undefined), { timeoutMs: 30_000 }, signal);
    }
  });
}

async function linesOf(engine: Engine, id: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of engine.containers.logs(id, { follow: false, stdout: true, stderr: true }, signal)) lines.push(text.toString());
  return lines;
}

/** Until the monitor has left the code of an exit that no engine sees. */
async function exitFile({ options }: TestEngine, id: string): Promise<void> {
  await pollUntil('the exit', () => readdirSync(join(options.runFolder, 'exits')).includes(id) || undefined, { timeoutMs: 30_000 }, signal);
}

test('what happens while no agent is there is known afterwards: lines, exit code, want of memory', { skip }, async () => {
  await using opened = await openTestEngine();
  const { containers } = opened.engine;
  const start = async (script: string, change: Parameters<typeof busyboxSpec>[1] = {}): Promise<string> => {
    const { id } = await containers.create(busyboxSpec(script, change), signal);
    await containers.start(id, signal);
    return id;
  };
  // Nothing happens before the gate opens, and it opens when no engine is there.
  const gate = mkdtempSync(join(tmpdir(), 'gantry-gate-'));
  const mounts = [{ type: 'bind' as const, source: gate, target: '/gate', isReadOnly: true, propagation: 'rprivate' as const, isRecursive: false, createSource: false }];
  const wait = 'until test -e /gate/open; do usleep 5000; done; ';
  const talker = await start(`${wait}i=0; while test $i -lt 400; do echo line $i; i=$((i+1)); done; exit 7`, { mounts });
  const glutton = await start(`${wait}exec tail /dev/zero`, { mounts, resources: { memoryLimitBytes: 16 << 20, memorySwapBytes: 16 << 20 } });
  await opened.engine[Symbol.asyncDispose]();
  writeFileSync(join(gate, 'open'), '');
  await Promise.all([talker, glutton].map((id) => exitFile(opened, id)));
  const engine = await opened.reopen();
  assert.deepEqual(await linesOf(engine, talker), Array.from({ length: 400 }, (_, index) => `line ${index}`));
  const { status } = engine.containers.get(talker);
  assert.deepEqual([status.state, status.exitCode, status.isOomKilled], ['exited', 7, false]);
  const { status: killed } = engine.containers.get(glutton);
  assert.deepEqual([killed.state, killed.exitCode, killed.isOomKilled], ['exited', 137, true]);
  rmSync(gate, { recursive: true });
});

test('retries are counted across agents, and what has used them up stays down', { skip }, async () => {
  await using opened = await openTestEngine();
  const { id } = await opened.engine.containers.create(busyboxSpec('echo run; exit 3', { restart: policies.twice }), signal);
  await opened.engine.containers.start(id, signal);
  await pollUntil('a restart', () => opened.engine.containers.get(id).status.restartCount >= 1 || undefined, { timeoutMs: 30_000 }, signal);
  let engine = await opened.reopen();
  await pollUntil('the end', () => (engine.containers.get(id).status.state === 'exited' ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.deepEqual([engine.containers.get(id).status.restartCount, engine.containers.get(id).status.exitCode, await linesOf(engine, id)], [2, 3, ['run', 'run', 'run']]);
  engine = await opened.reopen();
  assert.equal(engine.containers.get(id).status.state, 'exited');
});
