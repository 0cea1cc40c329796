import type { Instance } from '../test/story/instance.ts';
import { fiveStepContext, busyboxContext } from './contexts.ts';
import { Dockerd } from './peers/dockerd.ts';
import { report, type Samples } from './report.ts';

/** A five-step build, cold and cached, by the same client against ours and dockerd's classic builder. */
export async function benchImageBuild(instance: Instance, signal: AbortSignal): Promise<void> {
  await using base = await busyboxContext();
  await using dockerd = await Dockerd.open(signal);
  const engines = [
    { who: 'gantry', docker: (args: readonly string[]) => instance.docker(args, signal) },
    ...(dockerd === undefined ? [] : [{ who: 'dockerd', docker: (args: readonly string[]) => dockerd.docker(args, signal) }]),
  ];
  const cold: Samples[] = [];
  const cached: Samples[] = [];
  for (const { who, docker } of engines) {
    await docker(['build', '-q', '-t', 'bench/busybox', base.folder]);
    const coldMs: number[] = [];
    const cachedMs: number[] = [];
    for (let index = 0; index < 5; index += 1) {
      await using context = await fiveStepContext(`${process.pid}-${who}-${index}`);
      const build = async (): Promise<number> => {
        const startedAt = performance.now();
        await docker(['build', '-q', '-t', `bench/five:${index}`, context.folder]);
        return performance.now() - startedAt;
      };
      coldMs.push(await build());
      cachedMs.push(await build());
    }
    cold.push({ who, timesMs: coldMs });
    cached.push({ who, timesMs: cachedMs });
  }
  report('image build, five steps, cold', cold);
  report('image build, five steps, cached', cached);
}
