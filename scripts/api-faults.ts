/**
 * The API server under `kill -9`, for as long as one likes: `node_modules/.bin/node scripts/api-faults.ts [--rounds N] [--seed S]`.
 * Each round kills it in the midst of writes and compares what a watcher hears of the next one with what clients were told. The seed repeats
 * what clients ask; what a kill meets is the machine's.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runApiFaults } from '../src/cluster/apiserver/testing/fault-driver.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds);
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error('api-faults: --rounds and --seed take whole numbers');
  process.exit(64);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
console.log(`seed ${seed}, ${rounds} rounds`);
const { operations, events } = await runApiFaults({ seed, rounds, report: console.log }, stop.signal);
console.log(`${rounds} kills, ${operations} requests, ${events} changes: no acknowledged write lost, no gap`);
