import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKubeClient, readKubeconfig } from '../../src/client/mod.ts';
import { pick, randomFrom } from '../../src/engine/testing/fault-plan.ts';
import { pollUntil, systemClock } from '../../src/kernel/mod.ts';
import { Instance } from '../story/instance.ts';
import { AcknowledgedWrites } from './acknowledged-writes.ts';
import { Churn } from './churn.ts';

export interface KillOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly report: (line: string) => void;
}

const victims = [['server'], ['agent'], ['server', 'agent']] as const;
const patience = { timeoutMs: 120_000, intervalMs: 100 };

/**
 * An instance of its own whose server and agent are killed (SIGKILL) in the midst of writes and of pods that come and go. After each round it
 * heals; at the end every acknowledged write is there, no container was started twice, and the machine holds nothing that nobody knows.
 * The seed repeats the order of steps and kills; what they interleave with is the machine's.
 */
export async function runKills({ seed, rounds, report }: KillOptions, signal: AbortSignal): Promise<{ kills: number; acknowledged: number }> {
  const random = randomFrom(seed);
  const folder = await mkdtemp(join(tmpdir(), 'gantry-starts-'));
  const instance = await Instance.start([], signal);
  let kills = 0;
  try {
    await instance.gantry(['image', 'bootstrap', 'busybox', '--quiet'], signal);
    const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
    await using client = openKubeClient(connection);
    const [writes, churn] = [new AcknowledgedWrites(client, randomFrom(seed + 1)), new Churn(client, randomFrom(seed + 2), folder)];
    await churn.begin(signal);
    for (let round = 1; round <= rounds; round += 1) {
      const stop = new AbortController();
      const inner = AbortSignal.any([signal, stop.signal]);
      const running = Promise.all([writes.run(inner), churn.run(inner)]);
      // Said by the end of the round at the latest.
      running.catch(() => undefined);
      for (const name of pick(random, victims)) {
        await systemClock.sleep(300 + random() * 1_500, signal);
        await kill(instance, name, signal);
        kills += 1;
      }
      await systemClock.sleep(300 + random() * 1_000, signal);
      stop.abort();
      await running;
      await writes.verify(signal);
      await churn.verify(signal);
      report(`round ${round}: ${kills} kills, ${writes.acknowledged} acknowledged writes`);
    }
    await churn.end(signal);
    await nothingIsLeft(instance, signal);
    return { kills, acknowledged: writes.acknowledged };
  } finally {
    await instance.purge(AbortSignal.timeout(120_000));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Kills it, and waits until another is there and everything serves. */
async function kill(instance: Instance, name: 'server' | 'agent', signal: AbortSignal): Promise<void> {
  const old = await pollUntil(`the ${name}`, async () => (await instance.processes(signal))[name] as number | undefined, patience, signal);
  process.kill(old, 'SIGKILL');
  await pollUntil(`another ${name}`, async () => {
    const { processes, nodes } = await instance.gantryJson<{ processes: { name: string; pid: number }[]; nodes?: { isReady: boolean }[] }>(['status'], signal);
    const found = processes.find((process) => process.name === name);
    return found !== undefined && found.pid !== old && nodes?.[0]?.isReady === true ? true : undefined;
  }, patience, signal);
}

async function nothingIsLeft(instance: Instance, signal: AbortSignal): Promise<void> {
  let last: unknown;
  await pollUntil('the machine to hold nothing that nobody knows', async () => {
    const { findings } = await instance.gantryJson<{ findings: unknown[] }>(['doctor'], signal);
    last = findings;
    return findings.length === 0 ? true : undefined;
  }, { timeoutMs: 30_000, intervalMs: 500 }, signal).catch((error: unknown) => assert.fail(`left: ${JSON.stringify(last)} (${String(error)})`));
}
