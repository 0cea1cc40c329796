/**
 * The engine under random kills, for as long as one likes: `node_modules/.bin/node scripts/engine-faults.ts [--rounds N] [--seed S]`. Needs root.
 * Each round kills an engine in the midst of lives of containers and compares what the next one finds with what was answered. The seed repeats
 * the order of steps and kills; what they interleave with is the machine's.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runFaults } from '../src/engine/testing/fault-driver.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds);
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error('engine-faults: --rounds and --seed take whole numbers');
  process.exit(64);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
console.log(`seed ${seed}, ${rounds} rounds`);
const { lifecycles, steps, kills } = await runFaults({ seed, rounds, report: console.log }, stop.signal);
console.log(`${kills} kills, ${lifecycles} lives of containers and pods, ${steps} steps: no wrong state, nothing left`);
