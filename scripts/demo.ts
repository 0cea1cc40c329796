/**
 * `npm run demo`: starts Gantry in a data folder of its own and plays the story of the README, every step checked.
 * Exits 0 only if every step happened. Cleans up unless `--keep` is given.
 */
import { existsSync } from 'node:fs';
import { formatError } from '../src/kernel/mod.ts';
import { Figures } from '../test/story/figures.ts';
import { Instance } from '../test/story/instance.ts';
import { demoFolder, prepare, steps } from '../test/story/story.ts';

const isKept = process.argv.includes('--keep');
if (process.getuid?.() !== 0) {
  console.error('demo: Gantry makes containers and networks and must run as root');
  process.exit(1);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
const figures = new Figures();
const say = (text: string): void => console.log(text.startsWith(' ') ? text : `  ${text}`);
process.exitCode = await play(stop.signal);

async function play(signal: AbortSignal): Promise<number> {
  // What an earlier demo left (a kept one, or one that was killed) goes first.
  if (existsSync(demoFolder)) await Instance.at(demoFolder).purge(signal);
  let instance: Instance | undefined;
  try {
    heading(1, 'Gantry starts');
    instance = await figures.time('gantry up → ready', () => Instance.start([], signal, demoFolder));
    const story = await prepare(instance, figures, say, signal);
    for (const [index, step] of steps.entries()) {
      heading(index + 2, step.name);
      const startedAt = performance.now();
      await step.run(story, signal);
      console.log(`  ✔ ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    }
    console.log(`\nEvery step happened.\n\n${figures.table()}\n`);
    return 0;
  } catch (error) {
    console.error(signal.aborted ? '\nstopped' : `\n✖ ${formatError(error)}`);
    return 1;
  } finally {
    if (isKept && !signal.aborted) await explain(instance);
    else await instance?.purge(AbortSignal.timeout(60_000)).catch((error: unknown) => console.error(`clean-up: ${formatError(error)}`));
  }
}

function heading(number: number, text: string): void {
  console.log(`\n${number}. ${text}`);
}

async function explain(instance: Instance | undefined): Promise<void> {
  if (instance === undefined) return;
  console.log(`It keeps running. To use it:
  eval "$(bin/gantry env --data-dir ${instance.dataDir})"
  kubectl get pods,deployments,releases; docker ps; bin/gantry status --data-dir ${instance.dataDir}
To remove every trace of it:
  bin/gantry down --purge --data-dir ${instance.dataDir}`);
}
