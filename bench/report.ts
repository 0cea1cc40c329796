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
    const [p50, p90, p95, p99] = [0.5, 0.9, 0.95, 0.99].map((share) => percentile(timesMs, share));
    const ratio = ours === undefined || who === ours.who ? '' : `   ×${((p50 ?? Number.NaN) / percentile(ours.timesMs, 0.5)).toFixed(2)} of ${ours.who}`;
    console.log(`  ${who.padEnd(22)} p50 ${format(p50)}  p90 ${format(p90)}  p95 ${format(p95)}  p99 ${format(p99)}  n=${timesMs.length}${ratio}`);
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

/** Prints what the samples mean when each moved so many bytes. */
export function reportRate(what: string, bytes: number, samples: readonly Samples[]): void {
  const rates = samples.map(({ who, timesMs }) => `${who} ${(bytes / 1000 / percentile(timesMs, 0.5)).toFixed(0)} MB/s`);
  console.log(`  ${what}: ${rates.join(', ')} (median)`);
}

export interface InterleaveOptions {
  readonly times: number;
  /** No further round begins after this; five are made in any case. */
  readonly budgetMs: number;
  /** Not measured; after each turn. */
  readonly after?: (who: string) => Promise<unknown> | undefined;
}

/** Measures all in turn, round by round after an unmeasured one, so that what else the machine does hits each alike. */
export async function interleave(options: InterleaveOptions, peers: Readonly<Record<string, (index: number) => Promise<unknown>>>): Promise<Samples[]> {
  const times = new Map<string, number[]>(Object.keys(peers).map((who) => [who, []]));
  const beganAt = performance.now();
  for (let index = -1; index < options.times; index += 1) {
    if (index >= 5 && performance.now() - beganAt > options.budgetMs) break;
    for (const [who, once] of Object.entries(peers)) {
      const startedAt = performance.now();
      await once(index);
      if (index >= 0) times.get(who)?.push(performance.now() - startedAt);
      await options.after?.(who);
    }
  }
  return [...times].map(([who, timesMs]) => ({ who, timesMs }));
}
