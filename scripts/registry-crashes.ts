/**
 * The registry under kill -9, for as long as one likes: `node_modules/.bin/node scripts/registry-crashes.ts [--rounds N] [--seed S]`.
 * Each round kills a registry that takes pushes and collects all the time; everything that was ever acknowledged must be there, whole.
 */
import { runCrashes } from '../src/registry/testing/crash-driver.ts';
import { faultRun } from './fault-run.ts';

await faultRun('registry-crashes', 100, async (options, signal) => {
  const { images, parts } = await runCrashes(options, signal);
  return `${options.rounds} kills, ${images} images and ${parts} parts of uploads acknowledged: nothing lost, no half blob`;
});
