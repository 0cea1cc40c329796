import { loadavg } from 'node:os';
import { formatError } from '../src/kernel/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { benchBurst } from './engine/burst.ts';
import { benchExitEvents, benchLogs } from './engine/exits.ts';
import { benchIdleContainers } from './engine/idle.ts';
import { type EnginePeers, openEnginePeers } from './engine/peers.ts';
import { benchPull } from './engine/pull.ts';
import { benchExec, benchRun } from './engine/run.ts';

const sections: Readonly<Record<string, (peers: EnginePeers, signal: AbortSignal) => Promise<void>>> = {
  run: benchRun, exec: benchExec, exits: benchExitEvents, burst: benchBurst, logs: benchLogs, idle: benchIdleContainers, pull: benchPull,
};
/** Of all sections; on a quiet machine they take half of it. */
const limitMs = 30 * 60_000;

/**
 * The container engine against dockerd, podman and bare runc, all in one run and turn by turn. A section that fails is reported and the others go on.
 * `GANTRY_BENCH_SECTIONS` (run,exec,…) chooses.
 */
export async function benchEngine(instance: Instance, signal: AbortSignal): Promise<void> {
  const own = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  await using peers = await openEnginePeers(instance, own);
  const chosen = process.env['GANTRY_BENCH_SECTIONS']?.split(',');
  for (const [name, run] of Object.entries(sections)) {
    if (chosen !== undefined && !chosen.includes(name)) continue;
    own.throwIfAborted();
    console.log(`\n[${name}] load average ${loadavg()[0]?.toFixed(1) ?? ''}`);
    try {
      await run(peers, own);
    } catch (error) {
      if (signal.aborted) throw error;
      process.exitCode = 1;
      console.log(`  ${name} failed: ${formatError(error)}`);
    }
  }
}
