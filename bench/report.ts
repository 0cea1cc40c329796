import { percentile } from '../test/story/load.ts';

/** One measured thing: times in milliseconds, one entry a repetition. */
export interface Samples {
  readonly who: string;
  readonly timesMs: readonly number[];
}

/** Prints percentiles of each and the ratio of the first's median to every other's. */
export function report(what: string, samples: readonly Samples[]): void {
  console.log(`\n${what}`);
  const ours = samples[0];
  for (const { who, timesMs } of samples) {
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => percentile(timesMs, share));
    const ratio = ours === undefined || who === ours.who ? '' : `   ×${((p50 ?? Number.NaN) / percentile(ours.timesMs, 0.5)).toFixed(2)} of ${ours.who}`;
    console.log(`  ${who.padEnd(22)} p50 ${format(p50)}  p90 ${format(p90)}  p99 ${format(p99)}  n=${timesMs.length}${ratio}`);
  }
}

function format(ms: number | undefined): string {
  return `${(ms ?? Number.NaN).toFixed(1).padStart(8)} ms`;
}

/** Runs `once` `times` times after one unmeasured run, one after the other. */
export async function sample(who: string, times: number, once: (index: number) => Promise<unknown>): Promise<Samples> {
  await once(-1);
  const timesMs: number[] = [];
  for (let index = 0; index < times; index += 1) {
    const startedAt = performance.now();
    await once(index);
    timesMs.push(performance.now() - startedAt);
  }
  return { who, timesMs };
}
