/**
 * The API server under `kill -9`, for as long as one likes: `node_modules/.bin/node scripts/api-faults.ts [--rounds N] [--seed S]`.
 * Each round kills it in the midst of writes and compares what a watcher hears of the next one with what clients were told. The seed repeats
 * what clients ask; what a kill meets is the machine's.
 */
import { runApiFaults } from '../src/cluster/apiserver/testing/fault-driver.ts';
import { faultRun } from './fault-run.ts';

await faultRun('api-faults', 100, async (options, signal) => {
  const { operations, events } = await runApiFaults(options, signal);
  return `${options.rounds} kills, ${operations} requests, ${events} changes: no acknowledged write lost, no gap`;
});
