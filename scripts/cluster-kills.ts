/**
 * Server and agent of an instance under random kills, for as long as one likes: `node_modules/.bin/node scripts/cluster-kills.ts [--rounds N] [--seed S]`.
 * Needs root. Each round kills one or both in the midst of writes and of pods that come and go, and compares what is there with what was answered.
 */
import { runKills } from '../test/kills/kill-loop.ts';
import { faultRun } from './fault-run.ts';

await faultRun('cluster-kills', 50, async (options, signal) => {
  const { kills, acknowledged } = await runKills(options, signal);
  return `${kills} kills, ${acknowledged} acknowledged writes: none lost, no container started twice, nothing left`;
});
