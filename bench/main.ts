/**
 * `npm run bench [-- NAME …]`: side-by-side measurements, one run, ratios and percentiles on the terminal.
 * Needs root. `engine-memory` runs only when it is named. Peers that are not installed are named and left out.
 */
import { formatError } from '../src/kernel/mod.ts';
import { Instance } from '../test/story/instance.ts';
import { benchApi } from './api.ts';
import { benchClusterApi } from './cluster-api.ts';
import { benchClusterPods } from './cluster-pods.ts';
import { benchClusterServices } from './cluster-services.ts';
import { benchContainerStart } from './container-start.ts';
import { benchEngine } from './engine.ts';
import { benchEngineMemory } from './engine-memory.ts';
import { benchHandover } from './handover.ts';
import { benchIdle } from './idle.ts';
import { benchImageBuild } from './image-build.ts';
import { benchImages } from './images.ts';
import { benchPodStart } from './pod-start.ts';
import { benchPush } from './push.ts';
import { benchRegistry } from './registry.ts';

const benchmarks: Readonly<Record<string, (instance: Instance, signal: AbortSignal) => Promise<void>>> = {
  idle: benchIdle,
  api: benchApi,
  'cluster-api': benchClusterApi,
  'cluster-pods': benchClusterPods,
  'cluster-services': benchClusterServices,
  container: benchContainerStart,
  build: benchImageBuild,
  images: benchImages,
  pod: benchPodStart,
  push: benchPush,
  registry: benchRegistry,
  handover: benchHandover,
  engine: benchEngine,
};
/** Too long to run unasked. */
const onlyAsked: typeof benchmarks = { 'engine-memory': benchEngineMemory };

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => benchmarks[name] === undefined && onlyAsked[name] === undefined);
if (unknown.length > 0) {
  console.error(`bench: no benchmark is called ${unknown.join(', ')}; there are ${Object.keys({ ...benchmarks, ...onlyAsked }).join(', ')}`);
  process.exit(64);
}
const instance = await Instance.start([], stop.signal);
try {
  for (const [name, run] of Object.entries(asked.length === 0 ? benchmarks : { ...benchmarks, ...onlyAsked })) if (asked.length === 0 || asked.includes(name)) await run(instance, stop.signal);
} catch (error) {
  console.error(`bench: ${formatError(error)}`);
  process.exitCode = 1;
} finally {
  await instance.purge(AbortSignal.timeout(60_000));
}
