/**
 * The engine under random kills, for as long as one likes: `node_modules/.bin/node scripts/engine-faults.ts [--rounds N] [--seed S]`. Needs root.
 * Each round kills an engine in the midst of lives of containers and compares what the next one finds with what was answered. The seed repeats
 * the order of steps and kills; what they interleave with is the machine's.
 */
import { runFaults } from '../src/engine/testing/fault-driver.ts';
import { faultRun } from './fault-run.ts';

await faultRun('engine-faults', 100, async (options, signal) => {
  const { lifecycles, steps, kills } = await runFaults(options, signal);
  return `${kills} kills, ${lifecycles} lives of containers and pods, ${steps} steps: no wrong state, nothing left`;
});
