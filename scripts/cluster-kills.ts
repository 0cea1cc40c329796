/**
 * Server and agent of an instance under random kills, for as long as one likes: `node_modules/.bin/node scripts/cluster-kills.ts [--rounds N] [--seed S]`.
 * Needs root. Each round kills one or both in the midst of writes and of pods that come and go, and compares what is there with what was answered.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runKills } from '../test/kills/kill-loop.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '50' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds);
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error('cluster-kills: --rounds and --seed take whole numbers');
  process.exit(64);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
console.log(`seed ${seed}, ${rounds} rounds`);
const { kills, acknowledged } = await runKills({ seed, rounds, report: console.log }, stop.signal);
console.log(`${kills} kills, ${acknowledged} acknowledged writes: none lost, no container started twice, nothing left`);
