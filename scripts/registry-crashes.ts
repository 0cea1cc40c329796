/**
 * The registry under kill -9, for as long as one likes: `node_modules/.bin/node scripts/registry-crashes.ts [--rounds N] [--seed S]`.
 * Each round kills a registry that takes pushes and collects all the time; everything that was ever acknowledged must be there, whole.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runCrashes } from '../src/registry/testing/crash-driver.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds);
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error('registry-crashes: --rounds and --seed take whole numbers');
  process.exit(64);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
console.log(`seed ${seed}, ${rounds} rounds`);
const { images, parts } = await runCrashes({ seed, rounds, report: console.log }, stop.signal);
console.log(`${rounds} kills, ${images} images and ${parts} parts of uploads acknowledged: nothing lost, no half blob`);
